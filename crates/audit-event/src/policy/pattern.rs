//! Which events of a type a policy means, and how many of them.

use serde::{Deserialize, Serialize};

use super::{MAX_ENTRY_BYTES, PolicyError};
use crate::ids::EventId;

/// An event type, or all that begin with what stands before a last `.*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TypePattern(String);

impl TypePattern {
    pub fn matches(&self, event_type: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(head) => event_type.starts_with(head),
            None => event_type == self.0,
        }
    }
}

impl TryFrom<String> for TypePattern {
    type Error = PolicyError;

    fn try_from(text: String) -> Result<Self, PolicyError> {
        let head = text.strip_suffix(".*").unwrap_or(&text);
        let is_part = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        if text.len() <= MAX_ENTRY_BYTES && head.split('.').all(is_part) {
            Ok(Self(text))
        } else {
            Err(PolicyError::Pattern(text))
        }
    }
}

impl From<TypePattern> for String {
    fn from(pattern: TypePattern) -> Self {
        pattern.0
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub event_type: TypePattern,
    pub rate: SampleRate,
}

/// How many of a million events are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SampleRate(u32);

/// All of them.
const MILLION: u32 = 1_000_000;

impl SampleRate {
    /// By the last 64 bits of the event id, mixed: every copy of an event gets the same answer from every gateway.
    pub fn takes(self, event_id: EventId) -> bool {
        let (_, low) = event_id.0.as_u64_pair();
        mixed(low) % u64::from(MILLION) < u64::from(self.0)
    }
}

/// Spreads ids that differ in a few bits only. The finalizer of SplitMix64 (Steele, Lea, Flood: "Fast splittable
/// pseudorandom number generators", 2014).
fn mixed(bits: u64) -> u64 {
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

impl TryFrom<u32> for SampleRate {
    type Error = PolicyError;

    fn try_from(per_million: u32) -> Result<Self, PolicyError> {
        if per_million <= MILLION { Ok(Self(per_million)) } else { Err(PolicyError::Rate(per_million)) }
    }
}

impl From<SampleRate> for u32 {
    fn from(rate: SampleRate) -> Self {
        rate.0
    }
}
