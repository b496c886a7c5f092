//! Text of strangers on its way to a terminal: what would move the cursor, change colours, hide or turn the text around
//! is written as an escape.

use std::fmt::Write;

/// Whether the terminal would do something else than show a glyph or a blank: control characters, and those of Unicode
/// that turn the direction, break lines or are never seen (UAX #9, and the tags of U+E0000).
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// One line of a stranger's text.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Bytes as text as far as they are, the others as `\xNN`.
pub fn printable_bytes(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        shown += &printable(chunk.valid());
        for byte in chunk.invalid() {
            let _never_fails = write!(shown, "\\x{byte:02x}");
        }
    }
    shown
}

/// The first characters, and a sign that there are more.
pub fn shortened(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// JSON text that a terminal can take: the same value, with `\uXXXX` for what JSON itself leaves as it is. Such characters
/// stand only inside of strings there, but for the line feeds of its layout.
pub fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c == '\n' || !is_unsafe(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _never_fails = write!(shown, "\\u{unit:04x}");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "a\u{1b}[2J\r\n\u{7f}\u{9b}b\u{202e}c\u{e0041}ä語🦀";

    #[test]
    fn nothing_of_a_stranger_moves_the_cursor() {
        let shown = printable(NASTY);
        assert_eq!(shown, "a\\u{1b}[2J\\r\\n\\u{7f}\\u{9b}b\\u{202e}c\\u{e0041}ä語🦀");
        assert!(!shown.chars().any(is_unsafe));
        assert_eq!(printable_bytes(b"demo|\xff\x1b"), "demo|\\xff\\u{1b}");
        assert_eq!((shortened("äöü", 2), shortened("äö", 2)), ("äö…".to_owned(), "äö".to_owned()));
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "text": NASTY });
        let shown = printable_json(&serde_json::to_string_pretty(&value).expect("serialises"));
        assert!(shown.chars().all(|c| c == '\n' || !is_unsafe(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).expect("parses"), value);
    }
}
