//! Events one a line, cut out of a body while it is still coming.

/// Holds the begin of a line until its end comes.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Hands over each line that ends in this piece; empty ones are none.
    pub fn push(&mut self, piece: &[u8], mut each: impl FnMut(&[u8])) {
        let mut parts = piece.split(|byte| *byte == b'\n');
        let Some(last) = parts.next_back() else { return };
        for part in parts {
            if self.begun.is_empty() {
                give(part, &mut each);
            } else {
                self.begun.extend_from_slice(part);
                give(&std::mem::take(&mut self.begun), &mut each);
            }
        }
        self.begun.extend_from_slice(last);
    }

    /// The last line need not end.
    pub fn finish(self, mut each: impl FnMut(&[u8])) {
        give(&self.begun, &mut each);
    }
}

fn give(line: &[u8], each: &mut impl FnMut(&[u8])) {
    let line = line.trim_ascii();
    if !line.is_empty() {
        each(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_body_is_cut() {
        let body = b"{\"a\": 1}\n\n {\"b\": 2}\r\nlast";
        for size in 1..=body.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            body.chunks(size).for_each(|piece| lines.push(piece, |line| found.push(line.to_vec())));
            lines.finish(|line| found.push(line.to_vec()));
            assert_eq!(found, [&b"{\"a\": 1}"[..], b"{\"b\": 2}", b"last"], "cut by {size}");
        }
    }
}
