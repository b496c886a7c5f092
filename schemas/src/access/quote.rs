//! Text inside SQL and inside XML.

/// A string literal of ClickHouse's SQL.
pub fn literal(text: &str) -> String {
    format!("'{}'", escaped(text, '\''))
}

/// An identifier of ClickHouse's SQL.
pub fn identifier(text: &str) -> String {
    format!("`{}`", escaped(text, '`'))
}

fn escaped(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == quote || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

/// The text of an XML element.
pub fn xml_text(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads a quoted text as ClickHouse's lexer does; `None` where it ends early or not at all.
    fn unquoted(text: &str, quote: char) -> Option<String> {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        let mut out = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            match c {
                '\\' => out.push(chars.next()?),
                c if c == quote => return None,
                c => out.push(c),
            }
        }
        Some(out)
    }

    fn from_xml(text: &str) -> String {
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    }

    proptest! {
        #[test]
        fn quoted_text_ends_where_it_should_and_reads_back(text in r#"[a-z'`\\"<>&;%\n -]{0,20}|\PC{0,20}"#) {
            prop_assert_eq!(unquoted(&literal(&text), '\''), Some(text.clone()));
            prop_assert_eq!(unquoted(&identifier(&text), '`'), Some(text.clone()));
            let xml = xml_text(&text);
            prop_assert!(!xml.contains(['<', '>']));
            prop_assert_eq!(from_xml(&xml), text);
        }
    }
}
