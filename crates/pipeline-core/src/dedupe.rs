//! Dedupe as a local predicate: a record is a duplicate if and only if an earlier decodable record with the same
//! `(tenant_id, event_id)` lies within the last N offsets of its partition and within W of its record time. It is a
//! conflict if none of those has the same producer-given body. A dead letter never counts as a first.
//!
//! A [`Window`] remembers the last N offsets by 64-bit fingerprints, some 16 bytes a record. What a fingerprint cannot
//! tell (is it the same id? the same body? at what time?) the window knows of the records that were judged a moment
//! ago; of all others it must be told what their rows say. [`Judging`] asks for those rows, and judges. [`Restoring`]
//! rebuilds a window from the tables.

mod index;
mod judging;
mod keys;
mod known;
mod links;
mod restoring;
mod ring;
mod segment;
mod told;
mod window;

pub use judging::{Judging, MAX_LOOK_UPS};
pub use keys::{BodyHash, RecordHasher, RecordKey};
pub use restoring::Restoring;
pub use told::{CandidateIndex, Gone, Told, ToldEvent, ToldRepeat, Wanted};
pub use window::{Candidate, DedupeVerdict, MAX_WINDOW_OFFSETS, Window, WindowTooLong};

#[cfg(test)]
#[path = "dedupe_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "dedupe_cost_tests.rs"]
mod cost_tests;
