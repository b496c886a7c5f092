//! What becomes of a record: exactly one verdict each. Infrastructure faults are no verdicts: they are errors that
//! hold the partition.

use audit_event::Offset;

/// The step that gave the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    Decode,
    Route,
    Dedupe,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Route => "route",
            Self::Dedupe => "dedupe",
        }
    }
}

/// Why a record is a dead letter: a closed list, which is also the list of metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeadLetterReason {
    /// The record has no value.
    NoValue,
    /// The record value is larger than the trail takes.
    TooLarge,
    /// The value is no frame of the wire format.
    BadFrame,
    /// The registry does not know the schema id.
    UnknownSchema,
    /// The registered schema is not one that an event can be read from.
    UnusableSchema,
    /// The datum does not decode under its schema.
    Undecodable,
    /// It decodes, and is not an event that the trail takes.
    InvalidEvent,
    /// The record key does not begin with the event's own tenant.
    ForeignTenant,
    /// The same tenant and event id as an earlier record, with another body.
    ConflictingDuplicate,
}

impl DeadLetterReason {
    pub const ALL: &'static [Self] = &[
        Self::NoValue,
        Self::TooLarge,
        Self::BadFrame,
        Self::UnknownSchema,
        Self::UnusableSchema,
        Self::Undecodable,
        Self::InvalidEvent,
        Self::ForeignTenant,
        Self::ConflictingDuplicate,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoValue => "no_value",
            Self::TooLarge => "too_large",
            Self::BadFrame => "bad_frame",
            Self::UnknownSchema => "unknown_schema",
            Self::UnusableSchema => "unusable_schema",
            Self::Undecodable => "undecodable",
            Self::InvalidEvent => "invalid_event",
            Self::ForeignTenant => "foreign_tenant",
            Self::ConflictingDuplicate => "conflicting_duplicate",
        }
    }

    pub const fn stage(self) -> Stage {
        match self {
            Self::ForeignTenant => Stage::Route,
            Self::ConflictingDuplicate => Stage::Dedupe,
            _ => Stage::Decode,
        }
    }
}

/// The longest detail of a dead letter.
pub const MAX_DETAIL_BYTES: usize = 500;

/// A dead letter's reason and what a person needs to know beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub reason: DeadLetterReason,
    pub detail: String,
}

impl Rejection {
    /// The detail is cut to [`MAX_DETAIL_BYTES`]: it repeats what a producer wrote, and stands in a header.
    pub fn new(reason: DeadLetterReason, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(MAX_DETAIL_BYTES));
        Self { reason, detail }
    }
}

/// The verdict on one record; `T` is the decoded event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<T> {
    Event(T),
    Duplicate { event: T, first: Offset },
    DeadLetter(Rejection),
}
