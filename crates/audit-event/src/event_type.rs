//! The form of an event type: `^[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]+)+$`, at most 200 bytes.

/// The longest event type, in bytes.
pub const MAX_EVENT_TYPE_BYTES: usize = 200;

/// Whether the text has the form of an event type. Whether it is in the catalogue is another question.
pub fn is_well_formed(text: &str) -> bool {
    if text.len() > MAX_EVENT_TYPE_BYTES {
        return false;
    }
    let mut parts = text.split('.');
    let head_is_fine = parts.next().is_some_and(|head| {
        head.bytes().next().is_some_and(|b| b.is_ascii_lowercase())
            && head.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    });
    let mut tail = parts.peekable();
    head_is_fine
        && tail.peek().is_some()
        && tail.all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        })
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    #[test]
    fn form() {
        for good in ["user.login", "aws.s3.GetObject", "a1_b.c-d.E"] {
            assert!(is_well_formed(good), "{good}");
        }
        let long = format!("a.{}", "b".repeat(199));
        for bad in ["", "user", "user.", ".login", "User.login", "1a.b", "a..b", "a.b c", long.as_str()] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
