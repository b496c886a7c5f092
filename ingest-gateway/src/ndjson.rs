//! Events one a line, cut out of a body while it is still coming.

/// Holds the begin of a line until its end comes.
#[derive(Debug, Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// So many bytes of a line are held.
    pub fn begun(&self) -> usize {
        self.begun.len()
    }

    /// Hands over each line that ends in this piece; empty ones are none. A fault ends it.
    pub fn push<E>(&mut self, piece: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut parts = piece.split(|byte| *byte == b'\n');
        let Some(last) = parts.next_back() else { return Ok(()) };
        for part in parts {
            if self.begun.is_empty() {
                give(part, &mut each)?;
            } else {
                self.begun.extend_from_slice(part);
                give(&std::mem::take(&mut self.begun), &mut each)?;
            }
        }
        self.begun.extend_from_slice(last);
        Ok(())
    }

    /// The last line need not end.
    pub fn finish<E>(self, mut each: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        give(&self.begun, &mut each)
    }
}

fn give<E>(line: &[u8], each: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let line = line.trim_ascii();
    if line.is_empty() { Ok(()) } else { each(line) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_the_same_however_the_body_is_cut() {
        let body = b"{\"a\": 1}\n\n {\"b\": 2}\r\nlast";
        for size in 1..=body.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            let mut keep = |line: &[u8]| {
                found.push(line.to_vec());
                Ok::<(), ()>(())
            };
            body.chunks(size).try_for_each(|piece| lines.push(piece, &mut keep)).expect("taken");
            lines.finish(keep).expect("taken");
            assert_eq!(found, [&b"{\"a\": 1}"[..], b"{\"b\": 2}", b"last"], "cut by {size}");
        }
    }

    #[test]
    fn a_fault_ends_it() {
        let mut taken = 0;
        let ended = Lines::default().push(b"a\nb\nc\n", |_| {
            taken += 1;
            if taken < 2 { Ok(()) } else { Err("full") }
        });
        assert_eq!((ended, taken), (Err("full"), 2));
    }
}
