//! The hashes by which the window compares records.

use std::hash::Hasher;

use audit_event::{AuditEvent, EventId};
use siphasher::sip::SipHasher13;
use siphasher::sip128::{self, Hasher128};

/// A keyed hash of the body that the producer gave, tenant and event id included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(u64);

impl BodyHash {
    /// 0 stands for "unknown".
    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// What a remembered record is found by. Two ids may share one: a look-up tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    /// 0 stands for "none".
    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        (bits != 0).then_some(Self(bits))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// A keyed 128-bit hash of tenant and event id: who a record is. Half of it is the fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordKey {
    pub(super) fingerprint: Fingerprint,
    pub(super) other_half: u64,
}

/// Makes all of them. The key is random per process, so that nobody can aim at a collision; therefore the hashes are
/// never stored.
#[derive(Clone, Copy)]
pub struct RecordHasher {
    key: (u64, u64),
    fingerprint_mask: u64,
}

impl RecordHasher {
    pub fn new(key: (u64, u64)) -> Self {
        Self { key, fingerprint_mask: u64::MAX }
    }

    /// Fingerprints of so few bits, 1 to 64, that they collide; the verdicts must stay the same. For tests.
    #[must_use]
    pub fn with_fingerprint_bits(self, bits: u32) -> Self {
        Self { fingerprint_mask: u64::MAX >> (64 - bits.clamp(1, 64)), ..self }
    }

    pub fn body(&self, event: &AuditEvent) -> BodyHash {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        event.hash_body(&mut hasher);
        BodyHash(hasher.finish().max(1))
    }

    /// `tenant_id` as it stands in the record or in a row.
    pub fn key(&self, tenant_id: &str, event_id: EventId) -> RecordKey {
        let mut hasher = sip128::SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write(tenant_id.as_bytes());
        hasher.write(event_id.0.as_bytes());
        let (half, other_half) = hasher.finish128().as_u64();
        RecordKey { fingerprint: Fingerprint((half & self.fingerprint_mask).max(1)), other_half }
    }
}
