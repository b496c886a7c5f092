//! How a letter stands, as far as its key tells: cheap enough for a list. `show` and `replay` look at the record itself.

use std::collections::HashSet;

use audit_event::TrailId;
use clickhouse_io::dead_letters::LetterHead;
use clickhouse_io::known_events::EventIdentity;
use clickhouse_io::{ClickHouse, EngineError};
use pipeline_core::verdict::DeadLetterReason;
use serde::Serialize;

use super::copies;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LetterState {
    Open,
    Resolved,
    Copy,
}

impl LetterState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Copy => "copy",
        }
    }
}

/// Whose event the key says it is: `tenant_id|event_id`.
pub fn key_identity(key: &[u8]) -> Option<EventIdentity> {
    let (tenant_id, event_id) = std::str::from_utf8(key).ok()?.split_once('|')?;
    Some(EventIdentity { tenant_id: tenant_id.parse().ok()?, event_id: event_id.parse().ok()? })
}

/// An event under the key of such a letter is another event: its key lies, or its event was refused for that one's sake.
fn is_settled_by_its_key(reason: &str) -> bool {
    ![DeadLetterReason::ForeignTenant, DeadLetterReason::ConflictingDuplicate]
        .iter()
        .any(|other| other.as_str() == reason)
}

/// The identity whose event would settle the letter.
fn settling_identity(head: &LetterHead) -> Option<EventIdentity> {
    let key = head.key_start.as_deref().filter(|key| key.len() as u64 == head.key_bytes)?;
    key_identity(key).filter(|_| is_settled_by_its_key(&head.reason))
}

pub async fn states(
    engine: &ClickHouse,
    trail: TrailId,
    heads: &[LetterHead],
) -> Result<Vec<LetterState>, EngineError> {
    let claims = heads.iter().map(|head| (head.position, head.replay_of.as_slice()));
    let origins = copies::origins(engine, trail, claims).await?;
    let identities: Vec<_> = heads.iter().filter_map(settling_identity).collect();
    let known =
        if identities.is_empty() { HashSet::new() } else { engine.known_identities(&identities).await? };
    let state = |head: &LetterHead| {
        if origins.contains_key(&head.position) {
            LetterState::Copy
        } else if settling_identity(head).is_some_and(|identity| known.contains(&identity)) {
            LetterState::Resolved
        } else {
            LetterState::Open
        }
    };
    Ok(heads.iter().map(state).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_of_the_contracts_form_names_an_event() {
        let id = "0192f0c1-2345-7abc-8def-0123456789ab";
        let identity = key_identity(format!("demo|{id}").as_bytes()).expect("an identity");
        assert_eq!((identity.tenant_id.as_str(), identity.event_id.to_string()), ("demo", id.to_owned()));
        for other in [format!("Demo|{id}"), format!("demo|{id}|x"), id.to_owned(), "demo|".to_owned()] {
            assert_eq!(key_identity(other.as_bytes()), None, "{other}");
        }
        assert!(is_settled_by_its_key("undecodable") && !is_settled_by_its_key("conflicting_duplicate"));
    }
}
