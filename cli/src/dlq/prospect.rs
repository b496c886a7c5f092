//! What would become of a letter if it were replayed now.

use std::collections::HashMap;

use audit_event::{AuditEvent, TrailId};
use clickhouse_io::ClickHouse;
use clickhouse_io::dead_letters::Letter;
use clickhouse_io::known_events::EventIdentity;
use clickhouse_io::position::RecordPosition;
use kafka_io::headers;
use pipeline_core::verdict::{DeadLetterReason, Rejection};
use sha2::{Digest, Sha256};

use super::copies::{self, Origins};
use super::judge::judge;
use super::schemas::WriterSchemas;
use super::state::key_identity;
use super::stored::{self, Stored};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prospect {
    /// An event of its own.
    Event,
    /// A duplicate: its event is in the trail.
    Stored { at: Option<RecordPosition> },
    /// A conflict: another event has its id. No replay mends that, and beyond the dedupe window there would be two.
    Conflict { with: Option<RecordPosition> },
    /// The same as another letter of this replay.
    Repeat { of: RecordPosition },
    /// It is a replay of another letter, which is replayed instead.
    Copy { of: RecordPosition },
    /// A dead letter again, as far as this build can tell.
    DeadLetter(Rejection),
    /// It was replayed, and became a dead letter again; this build would take it.
    DiedBefore { at: RecordPosition, reason: String },
}

/// Whether a letter is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    Replay,
    OnlyIfForced,
    Skip,
}

impl Prospect {
    /// The name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Stored { .. } => "stored",
            Self::Conflict { .. } => "conflict",
            Self::Repeat { .. } => "repeat",
            Self::Copy { .. } => "copy",
            Self::DeadLetter(_) => "dead_letter",
            Self::DiedBefore { .. } => "died_before",
        }
    }

    /// The rest of the sentence "replayed now, it …".
    pub fn sentence(&self) -> String {
        let at = |at: &Option<RecordPosition>| at.map_or(String::new(), |at| format!(" at {at}"));
        match self {
            Self::Event => "would become an event".to_owned(),
            Self::Stored { at: Some(place) } => format!("would be a duplicate: its event stands at {place}"),
            Self::Stored { at: None } => "would be a second one: its event was stored before".to_owned(),
            Self::Conflict { with } => {
                format!("would be a conflict again: another event has its id{}", at(with))
            }
            Self::Repeat { of } => format!("is the same as the letter {of}"),
            Self::Copy { of } => format!("is a replay of {of}, which stands for both"),
            Self::DeadLetter(rejection) => {
                format!("would be a dead letter again: {}: {}", rejection.reason.as_str(), rejection.detail)
            }
            Self::DiedBefore { at, reason } => {
                format!(
                    "was replayed before and died again at {at} ({reason}); are all processors of this version?"
                )
            }
        }
    }
}

/// A letter seen from all sides.
#[derive(Debug)]
pub struct Assessment {
    pub prospect: Prospect,
    /// What the letter holds, if it can be read now.
    pub event: Option<AuditEvent>,
    /// Whose event it is; by its key where it cannot be read.
    pub identity: Option<EventIdentity>,
}

impl Assessment {
    pub fn advice(&self) -> Advice {
        match &self.prospect {
            Prospect::Event => Advice::Replay,
            Prospect::DiedBefore { .. } => Advice::OnlyIfForced,
            // without an identity nobody could tell later whether it was stored
            Prospect::DeadLetter(rejection) if self.identity.is_some() && may_change(rejection.reason) => {
                Advice::OnlyIfForced
            }
            _ => Advice::Skip,
        }
    }
}

/// Another build might judge otherwise. A record without a value holds nothing, and a key is never rewritten: the right to
/// write for a tenant is what it stands for.
fn may_change(reason: DeadLetterReason) -> bool {
    !matches!(reason, DeadLetterReason::NoValue | DeadLetterReason::ForeignTenant)
}

pub struct Assessor<'a> {
    pub engine: &'a ClickHouse,
    pub trail: TrailId,
    pub schemas: WriterSchemas,
}

impl Assessor<'_> {
    pub async fn assess(&mut self, letters: &[Letter]) -> anyhow::Result<Vec<Assessment>> {
        let claims =
            letters.iter().filter_map(|letter| Some((letter.position, letter.header(headers::REPLAY_OF)?)));
        let origins = copies::origins(self.engine, self.trail, claims).await?;
        let mut judged = Vec::with_capacity(letters.len());
        for letter in letters {
            judged.push(judge(letter, &mut self.schemas).await?);
        }
        let identities: Vec<_> = letters.iter().zip(&judged).map(|(l, j)| identity(l, j.as_ref())).collect();
        let wanted: Vec<_> = identities
            .iter()
            .zip(&judged)
            .filter_map(|(identity, judged)| Some((identity.clone()?, judged.as_ref().ok())))
            .collect();
        let mut stored = stored::look_up(self.engine, &mut self.schemas, &wanted).await?.into_iter();
        let stored: Vec<_> =
            identities.iter().map(|id| id.as_ref().and_then(|_| stored.next().flatten())).collect();
        let died = self.died_before(letters).await?;
        let seen = letters.iter().zip(judged).zip(identities).zip(stored);
        Ok(seen
            .map(|(((letter, judged), identity), stored)| {
                let prospect = prospect(letter, &judged, stored, &origins, &died);
                Assessment { prospect, event: judged.ok(), identity }
            })
            .collect())
    }

    /// Letters whose copy became a dead letter again.
    async fn died_before(
        &self,
        letters: &[Letter],
    ) -> anyhow::Result<HashMap<RecordPosition, (RecordPosition, String)>> {
        let names: HashMap<_, _> =
            letters.iter().map(|letter| (letter.position.in_trail(self.trail), letter)).collect();
        let asked: Vec<_> = names.keys().cloned().collect();
        let copies = self.engine.dead_copies(headers::REPLAY_OF, &asked).await?;
        let of_letter = copies.into_iter().filter_map(|copy| {
            let letter = names.get(std::str::from_utf8(&copy.origin).ok()?)?;
            let digest: [u8; 32] = Sha256::digest(letter.value.as_deref().unwrap_or_default()).into();
            // the header alone proves nothing: anybody may write it
            let is_copy = copy.value_sha256 == digest && copy.position != letter.position;
            is_copy.then_some((letter.position, (copy.position, copy.reason)))
        });
        Ok(of_letter.collect())
    }
}

fn identity(letter: &Letter, judged: Result<&AuditEvent, &Rejection>) -> Option<EventIdentity> {
    match judged {
        Ok(event) => Some(EventIdentity { tenant_id: event.tenant_id.clone(), event_id: event.event_id }),
        // its key claims what the record denies
        Err(rejection) if rejection.reason == DeadLetterReason::ForeignTenant => None,
        Err(_) => key_identity(letter.key.as_deref()?),
    }
}

fn prospect(
    letter: &Letter,
    judged: &Result<AuditEvent, Rejection>,
    stored: Option<Stored>,
    origins: &Origins,
    died: &HashMap<RecordPosition, (RecordPosition, String)>,
) -> Prospect {
    if let Some(of) = origins.get(&letter.position) {
        return Prospect::Copy { of: *of };
    }
    // also where the event that it conflicts with is gone with its day: it was refused for its sake
    let is_conflict = letter.reason == DeadLetterReason::ConflictingDuplicate.as_str();
    match stored {
        Some(Stored::SameBody(at) | Stored::SomeBody(at) | Stored::OtherBody(at)) if is_conflict => {
            return Prospect::Conflict { with: Some(at) };
        }
        _ if is_conflict => return Prospect::Conflict { with: None },
        Some(Stored::OtherBody(with)) => return Prospect::Conflict { with: Some(with) },
        Some(Stored::SameBody(at) | Stored::SomeBody(at)) => return Prospect::Stored { at: Some(at) },
        Some(Stored::OnlyDuplicate) => return Prospect::Stored { at: None },
        None => {}
    }
    match (judged, died.get(&letter.position)) {
        (Err(rejection), _) => Prospect::DeadLetter(rejection.clone()),
        (Ok(_), Some((at, reason))) => Prospect::DiedBefore { at: *at, reason: reason.clone() },
        (Ok(_), None) => Prospect::Event,
    }
}

#[cfg(test)]
#[path = "prospect_tests.rs"]
pub mod tests;
