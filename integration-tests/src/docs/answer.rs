//! Does an output match the answer that a document shows?

/// Stands for any text within a line.
const ANYTHING: char = '…';

/// Lines are compared without the blanks at their ends; empty lines at the end do not count.
pub fn matches(shown: &str, output: &str) -> bool {
    let shown: Vec<_> = shown.trim_end().lines().collect();
    let output: Vec<_> = output.trim_end().lines().collect();
    shown.len() == output.len() && shown.iter().zip(&output).all(|(shown, line)| line_matches(shown, line))
}

fn line_matches(shown: &str, line: &str) -> bool {
    let parts: Vec<_> = shown.trim_end().split(ANYTHING).collect();
    let line = line.trim_end();
    let [first, middle @ .., last] = parts.as_slice() else { return line == shown.trim_end() };
    let Some(mut rest) = line.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ellipsis_matches_anything_within_a_line_and_nothing_else_does() {
        assert!(matches("a … c\nd\n", "a b c\nd"));
        assert!(matches("{\"id\":\"…\",\"n\":1,…}", "{\"id\":\"x\",\"n\":1,\"m\":2}"));
        assert!(!matches("a … c", "a\nc"));
        assert!(!matches("a…c", "abd"));
        assert!(!matches("aba…aba", "aba"));
        assert!(!matches("a", "a\nb"));
        assert!(!matches("a\nb", "a"));
        assert!(!matches("ab", "abc"));
    }
}
