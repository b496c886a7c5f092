//! What can go wrong with Kafka, and what becomes of it: waited out, a new client, refused, or a stop with its reason.

mod codes;

use rdkafka::error::{KafkaError as ClientError, RDKafkaErrorCode};

pub use codes::{CODES, Row};

/// What an error code means for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It passes. The client tries again by itself, or what was not confirmed is sent again.
    Retry,
    /// The client cannot be used any more; another one can.
    NewClient,
    /// There is no room for more now: refused at once.
    Full,
    /// The record is larger than its topic takes, and no retry makes it smaller.
    TooLarge,
    /// Records are gone that were not stored.
    RecordsGone,
    /// No retry helps until a person has done this: the consumer stops; a producer refuses what it is given, and takes
    /// it as soon as the cause is mended.
    Mend(&'static str),
    /// Is not told there; if it is, the meaning is the same as that of a code that nobody knows.
    Never,
}

/// What was tried when the error came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Produce,
    Fetch,
    Commit,
}

/// For a code that has no meaning in the table: a fetch could have left records out.
const UNKNOWN: &str = "this build does not know the error code; look at the broker's log";

impl Meaning {
    pub fn of(operation: Operation, code: RDKafkaErrorCode) -> Self {
        let row = CODES.iter().find(|row| row.0 == code);
        let meaning = row.map_or(Self::Never, |(_, produce, fetch, commit)| match operation {
            Operation::Produce => *produce,
            Operation::Fetch => *fetch,
            Operation::Commit => *commit,
        });
        match (meaning, operation) {
            (Self::Never, Operation::Produce) => Self::Retry,
            (Self::Never, Operation::Fetch) => Self::Mend(UNKNOWN),
            // whether it was done is not known
            (Self::Never, Operation::Commit) => Self::NewClient,
            _ => meaning,
        }
    }

    /// An error without a code is the client's own word about itself.
    pub(crate) fn of_error(operation: Operation, error: &ClientError) -> Self {
        match (error.rdkafka_error_code(), operation) {
            (Some(code), _) => Self::of(operation, code),
            (None, Operation::Produce) => Self::Retry,
            (None, Operation::Fetch | Operation::Commit) => Self::NewClient,
        }
    }
}

/// Whether the broker says that there is no such topic.
pub(crate) fn is_missing_topic(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{UnknownPartition, UnknownTopic, UnknownTopicOrPartition};
    matches!(code, UnknownTopicOrPartition | UnknownTopic | UnknownPartition)
}

/// Whether the broker says that there is no such group; newer ones do of a group that never was.
pub(crate) fn is_missing_group(error: &ClientError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupIdNotFound)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rdkafka::error::RDKafkaErrorCode as Code;

    use super::*;

    #[test]
    fn each_code_stands_in_one_row() {
        let numbers: BTreeSet<_> = CODES.iter().map(|row| row.0 as i32).collect();
        assert_eq!(numbers.len(), CODES.len(), "a code stands in two rows");
    }

    /// The page shows this table; a code that moves takes its row along.
    #[test]
    fn the_page_of_error_codes_is_this_table() {
        // read when the test runs: an image is built without the documents
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/error-codes.md"))
            .expect("the page");
        for (code, ..) in CODES {
            let at = |operation| match Meaning::of(operation, *code) {
                Meaning::Retry if operation == Operation::Produce => "not confirmed",
                Meaning::Retry => "retry",
                Meaning::NewClient => "new client",
                Meaning::Full => "queue full",
                Meaning::TooLarge => "too large",
                Meaning::RecordsGone => "stop",
                Meaning::Mend(_) if operation == Operation::Produce => "not confirmed, a person",
                Meaning::Mend(_) => "stop",
                Meaning::Never => "never",
            };
            let cells = [Operation::Produce, Operation::Fetch, Operation::Commit].map(at).join(" | ");
            let mend = CODES.iter().find(|row| row.0 == *code).and_then(|row| {
                [row.1, row.2, row.3].into_iter().find_map(|meaning| match meaning {
                    Meaning::Mend(mend) => Some(mend),
                    _ => None,
                })
            });
            let row = format!("| {} `{code:?}` | {cells} | {} |", *code as i32, mend.unwrap_or_default());
            assert!(page.contains(&row), "docs/error-codes.md lacks the row\n{row}");
        }
    }

    /// F08, F09.
    #[test]
    fn a_produced_record_is_confirmed_refused_or_sent_again_and_never_skipped() {
        let produce = |code| Meaning::of(Operation::Produce, code);
        assert_eq!(produce(Code::NotEnoughReplicas), Meaning::Retry);
        assert_eq!(produce(Code::MessageTimedOut), Meaning::Retry);
        assert_eq!(produce(Code::QueueFull), Meaning::Full);
        assert_eq!(produce(Code::MessageSizeTooLarge), Meaning::TooLarge);
        assert!(matches!(produce(Code::UnknownTopicOrPartition), Meaning::Mend(_)));
        assert!(matches!(produce(Code::TopicAuthorizationFailed), Meaning::Mend(_)));
        for fatal in [Code::Fatal, Code::ProducerFenced, Code::OutOfOrderSequenceNumber] {
            assert_eq!(produce(fatal), Meaning::NewClient, "{fatal:?}");
        }
        assert_eq!(produce(Code::NonEmptyGroup), Meaning::Retry, "unheard of: not confirmed, so sent again");
    }

    #[test]
    fn a_fetch_that_may_have_left_records_out_stops() {
        let fetch = |code| Meaning::of(Operation::Fetch, code);
        for damaged in [Code::BadMessage, Code::BadCompression, Code::InvalidMessage, Code::NonEmptyGroup] {
            assert!(matches!(fetch(damaged), Meaning::Mend(_)), "{damaged:?}");
        }
        for gone in [Code::OffsetOutOfRange, Code::AutoOffsetReset, Code::LogTruncation] {
            assert_eq!(fetch(gone), Meaning::RecordsGone, "{gone:?}");
        }
        for passing in [Code::AllBrokersDown, Code::LeaderNotAvailable, Code::NotCoordinator] {
            assert_eq!(fetch(passing), Meaning::Retry, "{passing:?}");
        }
        for mended in [Code::TopicAuthorizationFailed, Code::UnknownTopicOrPartition, Code::FencedInstanceId]
        {
            assert!(matches!(fetch(mended), Meaning::Mend(_)), "{mended:?}");
        }
    }

    #[test]
    fn a_commit_is_done_refused_by_the_group_or_nothing_is_known_of_it() {
        let refused = [Code::IllegalGeneration, Code::RebalanceInProgress];
        for row in CODES {
            let meaning = Meaning::of(Operation::Commit, row.0);
            let is_refused = refused.contains(&row.0);
            assert_eq!(meaning == Meaning::Retry, is_refused, "{:?}", row.0);
            assert!(is_refused || matches!(meaning, Meaning::NewClient | Meaning::Mend(_)), "{:?}", row.0);
        }
        assert!(matches!(Meaning::of(Operation::Commit, Code::OffsetMetadataTooLarge), Meaning::Mend(_)));
    }
}
