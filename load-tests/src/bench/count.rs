//! Counts a text in an answer without reading the answer: parsing it would cost the client as much as the gateway.

/// Horspool's search: for each byte, how far the text may be moved when that byte stands under its end.
pub struct Needle {
    text: Vec<u8>,
    shifts: [usize; 256],
}

impl Needle {
    /// The needle of a status, as the gateway writes it.
    pub fn status(status: &str) -> Self {
        Self::new(format!("\"status\":\"{status}\"").as_bytes())
    }

    fn new(text: &[u8]) -> Self {
        let mut shifts = [text.len(); 256];
        for (at, byte) in text.iter().enumerate().take(text.len() - 1) {
            shifts[usize::from(*byte)] = text.len() - 1 - at;
        }
        Self { text: text.to_vec(), shifts }
    }

    pub fn count(&self, answer: &[u8]) -> u64 {
        let (mut at, mut found) = (0, 0);
        let length = self.text.len();
        while let Some(window) = answer.get(at..at + length) {
            if window == self.text {
                found += 1;
            }
            at += self.shifts[usize::from(window[length - 1])];
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_and_nothing_else_is() {
        let needle = Needle::status("accepted");
        let item = r#"{"index":1,"status":"accepted","offset":7},"#;
        assert_eq!(needle.count(item.repeat(100).as_bytes()), 100);
        assert_eq!(needle.count(br#"{"status":"accepte"},"status":"rejected""#), 0);
        assert_eq!(needle.count(br#""status":"accepted""#), 1);
        assert_eq!(needle.count(b"") + needle.count(b"\"status\""), 0);
        assert_eq!(Needle::new(b"aa").count(b"aaaa"), 3, "overlapping ones count too");
    }
}
