//! The audit policy of a tenant: which events the gateway lets through before anything is produced. It reads the event
//! and nothing else, so that every gateway decides alike, and a retry as the first try.

mod level;
mod pattern;
mod signatures;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::{AuditEvent, Outcome};

pub use level::AuditLevel;
pub use pattern::{Sample, SampleRate, TypePattern};
pub use signatures::{SignatureAlgorithm, SignatureFault, SignatureKey, Signatures, Signer, signing_secret};

/// The most entries of one list of a policy.
pub const MAX_ENTRIES: usize = 1_000;
/// The longest entry, in bytes.
pub const MAX_ENTRY_BYTES: usize = 200;

/// A tenant's audit policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub level: AuditLevel,
    /// Never taken, whatever their outcome.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excluded_event_types: BTreeSet<TypePattern>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excluded_actor_ids: BTreeSet<String>,
    /// Events with targets, all of which have one of these types.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excluded_target_types: BTreeSet<String>,
    /// The first that matches an event's type counts. Failures and denials are always taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<Sample>,
    /// How producers sign.
    #[serde(default, skip_serializing_if = "Signatures::is_default")]
    pub signatures: Signatures,
}

impl Policy {
    pub fn of_level(level: AuditLevel) -> Self {
        Self {
            level,
            excluded_event_types: BTreeSet::new(),
            excluded_actor_ids: BTreeSet::new(),
            excluded_target_types: BTreeSet::new(),
            samples: Vec::new(),
            signatures: Signatures::default(),
        }
    }

    pub fn decide(&self, event: &AuditEvent) -> Decision {
        let failed = matches!(event.outcome, Outcome::Failure | Outcome::Denied);
        let sample = || self.samples.iter().find(|sample| sample.event_type.matches(&event.event_type));
        let dropped = match () {
            () if !self.level.admits(event.operation, event.outcome) => DropReason::Level,
            () if self.excluded_event_types.iter().any(|pattern| pattern.matches(&event.event_type)) => {
                DropReason::EventType
            }
            () if self.excluded_actor_ids.contains(&event.actor.id) => DropReason::Actor,
            () if self.excludes_targets_of(event) => DropReason::TargetType,
            () if !failed && sample().is_some_and(|sample| !sample.rate.takes(event.event_id)) => {
                DropReason::Sample
            }
            () => return Decision::Take,
        };
        Decision::Drop(dropped)
    }

    fn excludes_targets_of(&self, event: &AuditEvent) -> bool {
        !event.targets.is_empty()
            && event.targets.iter().all(|target| self.excluded_target_types.contains(&target.kind))
    }

    /// Whether its lists are within their bounds.
    pub fn check(&self) -> Result<(), PolicyError> {
        let lists = [
            ("excluded_event_types", self.excluded_event_types.len()),
            ("excluded_actor_ids", self.excluded_actor_ids.len()),
            ("excluded_target_types", self.excluded_target_types.len()),
            ("samples", self.samples.len()),
            ("signatures", self.signatures.keys.len()),
        ];
        if let Some((list, entries)) = lists.into_iter().find(|(_, entries)| *entries > MAX_ENTRIES) {
            return Err(PolicyError::TooMany { list, entries });
        }
        let texts = self.excluded_actor_ids.iter().chain(&self.excluded_target_types);
        let mut texts = texts.chain(self.signatures.keys.keys());
        if let Some(text) = texts.find(|text| text.is_empty() || text.len() > MAX_ENTRY_BYTES) {
            return Err(PolicyError::Entry(text.clone()));
        }
        match self.signatures.keys.iter().find(|(_, key)| !key.is_sound()) {
            Some((key_id, _)) => Err(PolicyError::SignatureKey(key_id.clone())),
            None => Ok(()),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::of_level(AuditLevel::DEFAULT)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Take,
    Drop(DropReason),
}

/// Why a policy leaves an event out: a closed list, which is also the list of metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    Level,
    EventType,
    Actor,
    TargetType,
    Sample,
}

impl DropReason {
    pub const ALL: [Self; 5] = [Self::Level, Self::EventType, Self::Actor, Self::TargetType, Self::Sample];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Level => "level",
            Self::EventType => "event_type",
            Self::Actor => "actor",
            Self::TargetType => "target_type",
            Self::Sample => "sample",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    #[error("{0:?} is no event type, nor one with `.*` at its end")]
    Pattern(String),
    #[error("a sample rate is a number of a million events, not {0}")]
    Rate(u32),
    #[error("{list} has {entries} entries; at most {MAX_ENTRIES} are taken")]
    TooMany { list: &'static str, entries: usize },
    #[error("{0:?} must have 1 to {MAX_ENTRY_BYTES} bytes")]
    Entry(String),
    #[error("signature key {0:?} has no public key that can verify anything")]
    SignatureKey(String),
}

#[cfg(test)]
mod tests;
