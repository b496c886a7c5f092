//! The control plane: the values of the compacted topic `audit.control.v1` and the state that they add up to.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::{Operation, Severity};
use crate::ids::{Offset, PartitionId, TenantId, TrailId};
use crate::policy::{Policy, PolicyError};
use crate::timestamp::Timestamp;

/// The version of the JSON values below.
pub const VALUE_VERSION: u8 = 1;

pub const TRAIL_KEY: &str = "trail";

/// One topic's life. Written once, when the trail is begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailRecord {
    pub v: u8,
    pub trail_id: TrailId,
    pub topic: String,
    /// The first offset of the trail, by partition number. Its length is the partition count, which never changes.
    pub genesis: Vec<Offset>,
    pub begun_at: String,
    pub dedupe: DedupeRules,
}

impl TrailRecord {
    pub fn genesis_of(&self, partition: PartitionId) -> Option<Offset> {
        usize::try_from(partition.0).ok().and_then(|i| self.genesis.get(i)).copied()
    }
}

/// How far back a record is looked for: within `window_offsets` of the same partition and `window_ms` of record time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedupeRules {
    pub window_offsets: i64,
    pub window_ms: i64,
}

impl Default for DedupeRules {
    fn default() -> Self {
        Self { window_offsets: 10_000_000, window_ms: 24 * 60 * 60 * 1000 }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRecord {
    pub v: u8,
    pub tenant_id: TenantId,
    pub created_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    pub v: u8,
    pub tenant_id: TenantId,
    #[serde(flatten)]
    pub policy: Policy,
}

/// What a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// write
    Producer,
    /// read
    Reader,
    /// read, export, verify
    Auditor,
    /// all of these for one tenant
    Admin,
    /// all of these for every tenant
    Operator,
}

impl Role {
    pub fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Producer => &[Scope::Write],
            Self::Reader => &[Scope::Read],
            Self::Auditor => &[Scope::Read, Scope::Export, Scope::Verify],
            Self::Admin | Self::Operator => &[Scope::Write, Scope::Read, Scope::Export, Scope::Verify],
        }
    }
}

/// One thing that a caller may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    Write,
    Read,
    Export,
    Verify,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyRecord {
    pub v: u8,
    pub key_id: String,
    pub tenant_id: TenantId,
    pub role: Role,
    /// HMAC-SHA256 of the whole key under the pepper, in lower-case hex.
    pub secret_hmac: String,
    pub created_at: String,
    /// What its holder may do of what the role allows; all of that where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<BTreeSet<Scope>>,
    /// From then on it opens nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

impl ApiKeyRecord {
    pub fn may(&self, scope: Scope) -> bool {
        let is_within = self.scopes.as_ref().is_none_or(|scopes| scopes.contains(&scope));
        is_within && self.role.scopes().contains(&scope)
    }
}

/// When a key was used, to about a minute. A record of its own, so that it never contends with a change of the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKeyUseRecord {
    pub v: u8,
    pub key_id: String,
    pub last_used_at: Timestamp,
}

/// An event type that a tenant has declared for itself, beside the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventTypeRecord {
    pub v: u8,
    pub tenant_id: TenantId,
    pub name: String,
    pub operation: Operation,
    pub severity: Severity,
    pub description: String,
}

#[derive(Debug, Error)]
pub enum ControlError {
    #[error("the control record cannot be read; the last good one stays: {0}")]
    Value(#[from] serde_json::Error),
    #[error("the policy is out of bounds; the last good one stays: {0}")]
    Policy(#[from] PolicyError),
    #[error("the control record has version {found}, this build reads {VALUE_VERSION}; upgrade it")]
    Version { found: u8 },
}

/// All that the control topic says, in memory.
#[derive(Debug, Clone, Default)]
pub struct ControlState {
    pub trail: Option<TrailRecord>,
    pub tenants: HashMap<TenantId, TenantRecord>,
    pub policies: HashMap<TenantId, Policy>,
    unreadable_policies: HashSet<TenantId>,
    pub api_keys: HashMap<String, ApiKeyRecord>,
    pub api_key_uses: HashMap<String, ApiKeyUseRecord>,
    /// By tenant and name.
    pub event_types: HashMap<TenantId, BTreeMap<String, EventTypeRecord>>,
}

impl ControlState {
    /// Applies one record; `None` is a tombstone. Keys that this build doesn't know belong to other parts.
    pub fn apply(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), ControlError> {
        match key.split_once('/') {
            None if key == TRAIL_KEY => self.trail = read(value)?,
            Some(("tenant", id)) => put(&mut self.tenants, id.parse().ok(), read(value)?),
            Some(("policy", id)) => return self.put_policy(id, value),
            Some(("api-key", id)) => put(&mut self.api_keys, Some(id.to_owned()), read(value)?),
            Some(("api-key-use", id)) => put(&mut self.api_key_uses, Some(id.to_owned()), read(value)?),
            Some(("event-type", id)) => self.put_event_type(id, read(value)?),
            _ => {}
        }
        Ok(())
    }

    fn put_policy(&mut self, id: &str, value: Option<&[u8]>) -> Result<(), ControlError> {
        let Ok(tenant) = id.parse::<TenantId>() else { return Ok(()) };
        let policy = read(value).and_then(|record: Option<PolicyRecord>| {
            record.map(|record| record.policy.check().map(|()| record.policy)).transpose().map_err(Into::into)
        });
        match policy {
            Ok(policy) => {
                self.unreadable_policies.remove(&tenant);
                put(&mut self.policies, Some(tenant), policy);
                Ok(())
            }
            Err(error) => {
                if !self.policies.contains_key(&tenant) {
                    self.unreadable_policies.insert(tenant);
                }
                Err(error)
            }
        }
    }

    /// Whether what the tenant asks for is known: not where its policy cannot be read and no earlier one was. Nothing may
    /// then be taken for it, since it may ask for signatures.
    pub fn knows_policy_of(&self, tenant: &TenantId) -> bool {
        !self.unreadable_policies.contains(tenant)
    }

    fn put_event_type(&mut self, id: &str, record: Option<EventTypeRecord>) {
        let Some((tenant, name)) = id.split_once('/') else { return };
        let Ok(tenant) = tenant.parse::<TenantId>() else { return };
        match record {
            Some(record) => {
                self.event_types.entry(tenant).or_default().insert(name.to_owned(), record);
            }
            None => {
                self.event_types.get_mut(&tenant).map(|types| types.remove(name));
            }
        }
    }

    /// A type that the tenant has declared for itself.
    pub fn own_event_type(&self, tenant: &TenantId, name: &str) -> Option<&EventTypeRecord> {
        self.event_types.get(tenant)?.get(name)
    }

    pub fn policy_of(&self, tenant: &TenantId) -> &Policy {
        static OF_A_NEW_TENANT: LazyLock<Policy> = LazyLock::new(Policy::default);
        self.policies.get(tenant).unwrap_or(&OF_A_NEW_TENANT)
    }
}

fn read<T: serde::de::DeserializeOwned>(value: Option<&[u8]>) -> Result<Option<T>, ControlError> {
    #[derive(Deserialize)]
    struct Version {
        v: u8,
    }
    let Some(bytes) = value else { return Ok(None) };
    let Version { v } = serde_json::from_slice(bytes)?;
    if v != VALUE_VERSION {
        return Err(ControlError::Version { found: v });
    }
    Ok(Some(serde_json::from_slice(bytes)?))
}

fn put<K: std::hash::Hash + Eq, V>(map: &mut HashMap<K, V>, key: Option<K>, value: Option<V>) {
    match (key, value) {
        (Some(key), Some(value)) => {
            map.insert(key, value);
        }
        (Some(key), None) => {
            map.remove(&key);
        }
        (None, _) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::AuditLevel;

    #[test]
    fn an_operator_may_do_what_an_admin_may() {
        assert_eq!(serde_json::from_str::<Role>("\"operator\"").ok(), Some(Role::Operator));
        assert_eq!(Role::Operator.scopes(), Role::Admin.scopes());
        assert_eq!(Role::Operator.scopes().len(), 4);
    }

    #[test]
    fn a_bad_value_leaves_the_last_good_one() {
        let mut state = ControlState::default();
        let tenant: TenantId = "demo".parse().expect("a tenant");
        state.apply("policy/demo", Some(br#"{"v":1,"tenant_id":"demo","level":"all"}"#)).expect("applies");
        assert!(state.apply("policy/demo", Some(b"{")).is_err());
        assert!(matches!(
            state.apply("policy/demo", Some(br#"{"v":2,"tenant_id":"demo","level":"off"}"#)),
            Err(ControlError::Version { found: 2 })
        ));
        assert_eq!(state.policy_of(&tenant).level, AuditLevel::All);
        let unbounded = format!(
            r#"{{"v":1,"tenant_id":"demo","level":"off","excluded_actor_ids":["{}"]}}"#,
            "x".repeat(500)
        );
        assert!(matches!(
            state.apply("policy/demo", Some(unbounded.as_bytes())),
            Err(ControlError::Policy(_))
        ));
        assert_eq!(state.policy_of(&tenant).level, AuditLevel::All);
        state.apply("policy/demo", None).expect("a tombstone applies");
        assert_eq!(state.policy_of(&tenant), &Policy::default());
        let other: TenantId = "other".parse().expect("a tenant");
        assert!(state.apply("policy/other", Some(b"{")).is_err());
        assert!(state.knows_policy_of(&tenant) && !state.knows_policy_of(&other), "no last good one");
        state.apply("policy/other", Some(br#"{"v":1,"tenant_id":"other","level":"all"}"#)).expect("applies");
        assert!(state.knows_policy_of(&other));
        let declared = br#"{"v":1,"tenant_id":"demo","name":"pay.run","operation":"execute","severity":"info","description":"A run."}"#;
        state.apply("event-type/demo/pay.run", Some(declared)).expect("applies");
        assert!(state.own_event_type(&tenant, "pay.run").is_some());
        state.apply("event-type/demo/pay.run", None).expect("a tombstone applies");
        assert!(state.own_event_type(&tenant, "pay.run").is_none());
        state.apply("hold/demo/1", Some(b"whatever")).expect("others' keys are let be");
    }
}
