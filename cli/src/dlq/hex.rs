//! Bytes as people look at them: offset, sixteen bytes in hexadecimal, and what of them is ASCII.

use std::fmt::Write;

const BYTES_A_LINE: usize = 16;

/// The first bytes, and how many more there are.
pub fn dump(bytes: &[u8], max_bytes: usize) -> String {
    let mut text = String::new();
    let shown = &bytes[..bytes.len().min(max_bytes)];
    for (line, chunk) in shown.chunks(BYTES_A_LINE).enumerate() {
        let mut digits = digits(chunk, " ");
        // a gap in the middle helps to count
        if chunk.len() > BYTES_A_LINE / 2 {
            digits.insert(BYTES_A_LINE / 2 * 3, ' ');
        }
        let is_shown = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        let ascii: String =
            chunk.iter().map(|byte| if is_shown(*byte) { char::from(*byte) } else { '.' }).collect();
        let _never_fails = writeln!(text, "{:08x}  {digits:<49}  {ascii}", line * BYTES_A_LINE);
    }
    if shown.len() < bytes.len() {
        let _never_fails = writeln!(text, "… {} more bytes; --bytes shows more", bytes.len() - shown.len());
    }
    text
}

pub fn digits(bytes: &[u8], between: &str) -> String {
    let digits: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(between)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_is_bounded_and_shows_no_control_characters() {
        let bytes = b"\0\0\0\0\x01demo \x1b[2J\xff\n tail";
        let text = dump(bytes, 18);
        assert_eq!(
            text,
            "00000000  00 00 00 00 01 64 65 6d  6f 20 1b 5b 32 4a ff 0a   .....demo .[2J..\n\
             00000010  20 74                                               t\n\
             … 3 more bytes; --bytes shows more\n"
        );
        assert_eq!(dump(b"", 10), "");
        assert_eq!(dump(b"ab", 0), "… 2 more bytes; --bytes shows more\n");
    }
}
