//! API keys: records of the control topic, which hold a hash of each.

mod rotate;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use audit_event::control::{ApiKeyRecord, ControlState, Role, Scope, VALUE_VERSION};
use audit_event::credential::{Pepper, authenticate, format_api_key};
use audit_event::{TenantId, Timestamp};
use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};
use client_security::private_file::{SECRET_CHARS, random_text, write_private};
use kafka_io::config::TopicCheck;
use kafka_io::control::{ControlWriter, read_once};
use schemas::CONTROL_TOPIC;
use serde::Serialize;
use service_kit::clock;

use crate::connect::{KafkaFlags, PepperFlags};
use crate::help;
use crate::moment::parse_span;
use crate::output::{self, Format, Show, name_of};

const KEY_ID_CHARS: usize = 12;

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Create an API key; it is shown once
    #[command(after_help = help::KEYS_CREATE)]
    Create(KeyFlags),
    /// List the API keys; never their secrets, which nobody has but their owners
    #[command(after_help = help::KEYS_LIST)]
    List(KeyListFlags),
    /// Make a key in the place of another one, which goes on for a while
    #[command(after_help = help::KEYS_ROTATE)]
    Rotate(rotate::RotateFlags),
    /// End a key at once
    #[command(after_help = help::KEYS_REVOKE)]
    Revoke(rotate::RevokeFlags),
}

#[derive(Debug, Args)]
pub struct KeyListFlags {
    /// Only this tenant's
    #[arg(long)]
    tenant: Option<TenantId>,
    #[command(flatten)]
    kafka: KafkaFlags,
}

#[derive(Debug, Args)]
pub struct KeyFlags {
    /// Whose key it is
    #[arg(long)]
    tenant: TenantId,
    /// What its holder may do
    #[arg(long)]
    role: KeyRole,
    /// What its holder may do of what the role allows; all of that without this
    #[arg(long, value_delimiter = ',', value_name = "SCOPE")]
    scopes: Vec<KeyScope>,
    /// When it ends, such as in 90d
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    expires_in: Option<Duration>,
    /// Write the key to this file instead of showing it; a key there that is still good is kept
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    pepper: PepperFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyRole {
    /// write
    Producer,
    /// read
    Reader,
    /// read, export, verify
    Auditor,
    /// all of these for one tenant
    Admin,
    /// all of these for every tenant, which the header Sealtrail-Tenant names
    Operator,
}

impl From<KeyRole> for Role {
    fn from(role: KeyRole) -> Self {
        match role {
            KeyRole::Producer => Self::Producer,
            KeyRole::Reader => Self::Reader,
            KeyRole::Auditor => Self::Auditor,
            KeyRole::Admin => Self::Admin,
            KeyRole::Operator => Self::Operator,
        }
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeyScope {
    Write,
    Read,
    Export,
    Verify,
}

impl From<KeyScope> for Scope {
    fn from(scope: KeyScope) -> Self {
        match scope {
            KeyScope::Write => Self::Write,
            KeyScope::Read => Self::Read,
            KeyScope::Export => Self::Export,
            KeyScope::Verify => Self::Verify,
        }
    }
}

/// A key as it is shown: neither its secret nor the hash of it.
#[derive(Debug, Serialize)]
struct KeyView {
    key_id: String,
    tenant_id: TenantId,
    role: Role,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<BTreeSet<Scope>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<Timestamp>,
    /// To about a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

impl KeyView {
    fn of(record: &ApiKeyRecord) -> Self {
        Self {
            key_id: record.key_id.clone(),
            tenant_id: record.tenant_id.clone(),
            role: record.role,
            created_at: record.created_at.clone(),
            scopes: record.scopes.clone(),
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            last_used_at: None,
        }
    }

    fn with_last_use(record: &ApiKeyRecord, state: &ControlState) -> Self {
        let last_used_at = state.api_key_uses.get(&record.key_id).map(|usage| usage.last_used_at);
        Self { last_used_at, ..Self::of(record) }
    }

    fn ends(&self) -> String {
        let shown = |at: Timestamp| at.to_rfc3339().unwrap_or_default();
        match (self.revoked_at, self.expires_at) {
            (Some(at), _) => format!("revoked {}", shown(at)),
            (None, Some(at)) => shown(at),
            (None, None) => "never".to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Keys {
    keys: Vec<KeyView>,
}

impl Show for Keys {
    fn text(&self) -> String {
        let row = |k: &KeyView| {
            let last_used =
                k.last_used_at.and_then(|at| at.to_rfc3339()).unwrap_or_else(|| "never".to_owned());
            let (role, created) = (name_of(k.role), k.created_at.clone());
            [k.key_id.clone(), k.tenant_id.to_string(), role, created, k.ends(), last_used]
        };
        output::table(["key", "tenant", "role", "created", "ends", "last used"], self.keys.iter().map(row))
    }
}

/// A key just made, or found good.
#[derive(Debug, Serialize)]
struct NewKey {
    key_id: Option<String>,
    tenant_id: TenantId,
    role: Role,
    /// The key itself, if it was not written to a file.
    api_key: Option<String>,
    file: Option<PathBuf>,
}

impl Show for NewKey {
    fn text(&self) -> String {
        match (&self.api_key, &self.file, &self.key_id) {
            (Some(api_key), ..) => api_key.clone(),
            (None, Some(file), None) => format!("the key in {} is good", file.display()),
            (None, Some(file), Some(_)) => format!("wrote a new key to {}", file.display()),
            (None, None, _) => String::new(),
        }
    }
}

pub async fn run(command: KeyCommand, format: Format) -> anyhow::Result<()> {
    match command {
        KeyCommand::Create(flags) => create_key(&flags, format).await,
        KeyCommand::List(flags) => list_keys(&flags, format).await,
        KeyCommand::Rotate(flags) => rotate::rotate(&flags, format).await,
        KeyCommand::Revoke(flags) => rotate::revoke(&flags, format).await,
    }
}

async fn list_keys(flags: &KeyListFlags, format: Format) -> anyhow::Result<()> {
    let state = read_once(&flags.kafka.config(TopicCheck::Off)?, CONTROL_TOPIC).await?;
    let mut keys: Vec<_> = state
        .api_keys
        .values()
        .filter(|record| flags.tenant.as_ref().is_none_or(|tenant| *tenant == record.tenant_id))
        .map(|record| KeyView::with_last_use(record, &state))
        .collect();
    keys.sort_by(|a, b| {
        (&a.tenant_id, &a.created_at, &a.key_id).cmp(&(&b.tenant_id, &b.created_at, &b.key_id))
    });
    format.print(&Keys { keys })
}

async fn create_key(flags: &KeyFlags, format: Format) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let pepper = flags.pepper.read()?;
    let state = read_once(&kafka, CONTROL_TOPIC).await?;
    if !state.tenants.contains_key(&flags.tenant) {
        bail!("there is no tenant {0}; make it with `sealtrail tenants create {0}`", flags.tenant);
    }
    let mut made = NewKey {
        key_id: None,
        tenant_id: flags.tenant.clone(),
        role: flags.role.into(),
        api_key: None,
        file: flags.file.clone(),
    };
    if let Some(file) = &flags.file
        && is_good_key(file, &state, &pepper, flags)
    {
        return format.print(&made);
    }
    let key_id = random_text(KEY_ID_CHARS).to_lowercase();
    let api_key = format_api_key(&key_id, &random_text(SECRET_CHARS));
    let scopes: BTreeSet<_> = flags.scopes.iter().copied().map(Scope::from).collect();
    let record = ApiKeyRecord {
        v: VALUE_VERSION,
        key_id: key_id.clone(),
        tenant_id: flags.tenant.clone(),
        role: flags.role.into(),
        secret_hmac: pepper.hash(&api_key),
        created_at: Utc::now().to_rfc3339(),
        scopes: (!scopes.is_empty()).then_some(scopes),
        expires_at: flags.expires_in.map(in_time),
        revoked_at: None,
    };
    ensure!(
        Role::from(flags.role).scopes().iter().any(|scope| record.may(*scope)),
        "a key of this role and these scopes could do nothing"
    );
    // the file first: a key whose secret nobody has cannot be used, and stands there for ever
    if let Some(file) = &flags.file {
        write_private(file, &api_key).with_context(|| format!("write {}", file.display()))?;
    }
    ControlWriter::new(&kafka, CONTROL_TOPIC)?.put(&format!("api-key/{key_id}"), &record).await?;
    made.key_id = Some(key_id);
    made.api_key = flags.file.is_none().then_some(api_key);
    format.print(&made)
}

/// The moment so long after now.
fn in_time(span: Duration) -> Timestamp {
    let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(clock::now().micros().saturating_add(micros))
}

fn is_good_key(file: &Path, state: &ControlState, pepper: &Pepper, flags: &KeyFlags) -> bool {
    let Ok(api_key) = fs::read_to_string(file) else { return false };
    let caller = authenticate(state, pepper, Some(&format!("Bearer {}", api_key.trim())), clock::now());
    caller.is_ok_and(|caller| caller.tenant_id == flags.tenant && caller.role == flags.role.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_of_a_key_has_the_name_that_the_control_topic_has() {
        for role in KeyRole::value_variants() {
            let name = role.to_possible_value().expect("none is hidden");
            assert_eq!(name.get_name(), name_of(Role::from(*role)));
        }
        assert!(matches!(KeyRole::from_str("operator", false), Ok(KeyRole::Operator)));
    }

    #[test]
    fn a_listed_key_shows_neither_secret_nor_hash() {
        let keys = Keys {
            keys: vec![KeyView {
                last_used_at: None,
                key_id: "k1".into(),
                tenant_id: "demo".parse().expect("a tenant"),
                role: Role::Admin,
                created_at: "2026-11-02T10:00:00+00:00".into(),
                scopes: None,
                expires_at: None,
                revoked_at: None,
            }],
        };
        let json = serde_json::to_value(&keys).expect("serialises");
        let fields: Vec<_> = json["keys"][0].as_object().expect("an object").keys().cloned().collect();
        assert_eq!(fields, ["created_at", "key_id", "role", "tenant_id"]);
        assert_eq!(
            keys.text().lines().nth(1),
            Some("k1   demo    admin  2026-11-02T10:00:00+00:00  never  never")
        );
    }
}
