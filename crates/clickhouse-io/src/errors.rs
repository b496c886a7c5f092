//! What can go wrong with ClickHouse, and what to do about each error: try again, or stop until a person has mended it.

mod codes;

use std::time::Duration;

use thiserror::Error;

pub use codes::MEANINGS;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The server is away, busy or slow: try again.
    Retry,
    /// No retry helps until a person has changed something.
    Stop,
}

/// ClickHouse's number of an error and its name for it.
pub type Code = (u32, &'static str);

/// What a group of error codes means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub kind: ErrorKind,
    pub because: &'static str,
    /// What a person has to do; empty where trying again is all.
    pub mend: &'static str,
    pub codes: &'static [Code],
}

const fn retry(because: &'static str, codes: &'static [Code]) -> Meaning {
    Meaning { kind: ErrorKind::Retry, because, mend: "", codes }
}

const fn stop(because: &'static str, mend: &'static str, codes: &'static [Code]) -> Meaning {
    Meaning { kind: ErrorKind::Stop, because, mend, codes }
}

/// Of a code that is in no other group: to go on could mean to try for ever what never works.
const UNKNOWN: Meaning = stop(
    "this build does not know the error code",
    "look at ClickHouse's log, mend the cause and start again; if it passes by itself, it belongs into the list of codes that are tried again",
    &[],
);

impl Meaning {
    pub fn of(code: u32) -> Self {
        let found = MEANINGS.iter().find(|meaning| meaning.codes.iter().any(|(known, _)| *known == code));
        found.copied().unwrap_or(UNKNOWN)
    }
}

/// An error of ClickHouse or on the way to it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("clickhouse: {action}: {cause}")]
pub struct EngineError {
    pub action: &'static str,
    pub cause: String,
    pub kind: ErrorKind,
    /// ClickHouse's error code, where it answered with one.
    pub code: Option<u32>,
}

impl EngineError {
    pub(crate) fn from_client(action: &'static str, error: &clickhouse::error::Error) -> Self {
        let cause = with_causes(error);
        if matches!(error, clickhouse::error::Error::SchemaMismatch(_)) {
            // an answer of another shape than the one asked for stays so, however often it is asked for
            return Self::stop(action, cause);
        }
        let Some(code) = code_in(&cause) else {
            // no word of ClickHouse's own: the network, a proxy, a name that is not known
            return Self { action, cause, kind: ErrorKind::Retry, code: None };
        };
        let Meaning { kind, because, mend, .. } = Meaning::of(code);
        let cause = match kind {
            ErrorKind::Retry => cause,
            ErrorKind::Stop => format!("{}; {because}: {mend}", cause.trim_end()),
        };
        Self { action, cause, kind, code: Some(code) }
    }

    pub(crate) fn timeout(action: &'static str, after: Duration) -> Self {
        let cause = format!("no answer within {} ms", after.as_millis());
        Self { action, cause, kind: ErrorKind::Retry, code: None }
    }

    pub(crate) fn stop(action: &'static str, cause: impl Into<String>) -> Self {
        Self { action, cause: cause.into(), kind: ErrorKind::Stop, code: None }
    }
}

/// The client's text ends at "client error (Connect)", before the word that matters.
fn with_causes(error: &clickhouse::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

/// Reads the number out of "Code: 60. DB::Exception: …".
fn code_in(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn classify(text: &str) -> EngineError {
        EngineError::from_client("test", &clickhouse::error::Error::BadResponse(text.to_owned()))
    }

    #[test]
    fn each_code_stands_in_one_group_and_a_stop_says_what_to_do() {
        let all: Vec<_> = MEANINGS.iter().flat_map(|meaning| meaning.codes).collect();
        let numbers: BTreeSet<_> = all.iter().map(|(code, _)| code).collect();
        assert_eq!(numbers.len(), all.len(), "a code stands in two groups");
        for meaning in MEANINGS {
            assert_eq!(meaning.mend.is_empty(), meaning.kind == ErrorKind::Retry, "{}", meaning.because);
        }
    }

    /// The page shows this table; a code that moves takes its row along.
    #[test]
    fn the_page_of_error_codes_is_this_table() {
        // read when the test runs: an image is built without the documents
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/error-codes.md"))
            .expect("the page");
        for meaning in MEANINGS {
            let codes: Vec<_> = meaning.codes.iter().map(|(code, name)| format!("{code} `{name}`")).collect();
            let (decision, mend) = match meaning.kind {
                ErrorKind::Retry => ("retry", "nothing"),
                ErrorKind::Stop => ("stop", meaning.mend),
            };
            let row = format!("| {decision} | {} | {mend} | {} |", meaning.because, codes.join(", "));
            assert!(page.contains(&row), "docs/error-codes.md lacks the row\n{row}");
        }
    }

    #[test]
    fn what_passes_is_tried_again() {
        // F18, F42, a late insert, a restart, and what the network says
        for (code, name) in [
            (252, "TOO_MANY_PARTS"),
            (241, "MEMORY_LIMIT_EXCEEDED"),
            (164, "READONLY"),
            (242, "TABLE_IS_READ_ONLY"),
            (319, "UNKNOWN_STATUS_OF_INSERT"),
            (243, "NOT_ENOUGH_SPACE"),
            (74, "CANNOT_READ_FROM_FILE_DESCRIPTOR"),
            (204, "CANNOT_FSYNC"),
            (395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
            (236, "ABORTED"),
            (999, "KEEPER_EXCEPTION"),
            (1001, "STD_EXCEPTION"),
        ] {
            let error = classify(&format!("Code: {code}. DB::Exception: … ({name})"));
            assert_eq!((error.kind, error.code), (ErrorKind::Retry, Some(code)), "{name}");
        }
        assert_eq!(classify("connection refused").kind, ErrorKind::Retry);
    }

    #[test]
    fn what_a_person_must_mend_stops_and_says_so() {
        let refused = classify("Code: 516. DB::Exception: Authentication failed");
        assert_eq!((refused.kind, refused.code), (ErrorKind::Stop, Some(516)));
        assert!(refused.to_string().contains("check clickhouse.user"), "{refused}");
        let missing = classify("Code: 60. DB::Exception: Unknown table expression identifier 'events'");
        assert!(missing.to_string().ends_with("or undo what was changed"), "{missing}");
        let unheard_of = classify("Code: 2999. DB::Exception: new in the next version");
        assert_eq!(unheard_of.kind, ErrorKind::Stop);
        assert!(unheard_of.to_string().contains("does not know the error code"), "{unheard_of}");
    }

    #[test]
    fn the_first_code_counts_where_one_error_quotes_another() {
        let nested = "Code: 1000. DB::Exception: caught: Code: 60. DB::Exception: no such table";
        assert_eq!(classify(nested).code, Some(1000));
    }
}
