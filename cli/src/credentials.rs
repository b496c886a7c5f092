//! Tenants and API keys, written to the control topic.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use audit_event::TenantId;
use audit_event::control::{ApiKeyRecord, ControlState, PolicyRecord, Role, TenantRecord, VALUE_VERSION};
use audit_event::credential::{Pepper, authenticate, format_api_key};
use audit_event::policy::AuditLevel;
use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};
use kafka_io::config::TopicCheck;
use kafka_io::control::{ControlWriter, read_once};
use rand::Rng;
use rand::distr::Alphanumeric;
use schemas::CONTROL_TOPIC;

use crate::connect::{KafkaFlags, PepperFlags};

const KEY_ID_CHARS: usize = 12;
/// 40 letters and digits are 238 bits.
const SECRET_CHARS: usize = 40;

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant, or change its audit level
    Create(TenantFlags),
    /// List the tenants and their audit levels
    List(KafkaFlags),
}

#[derive(Debug, Args)]
pub struct TenantFlags {
    tenant: TenantId,
    /// Which events the gateway lets through
    #[arg(long, default_value = "writes-only")]
    level: Level,
    #[command(flatten)]
    kafka: KafkaFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    All,
    WritesOnly,
    MutationsOnly,
    DeletesOnly,
    FailuresOnly,
    Off,
}

impl From<Level> for AuditLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::All => Self::All,
            Level::WritesOnly => Self::WritesOnly,
            Level::MutationsOnly => Self::MutationsOnly,
            Level::DeletesOnly => Self::DeletesOnly,
            Level::FailuresOnly => Self::FailuresOnly,
            Level::Off => Self::Off,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Create an API key; it is shown once
    Create(KeyFlags),
}

#[derive(Debug, Args)]
pub struct KeyFlags {
    #[arg(long)]
    tenant: TenantId,
    #[arg(long)]
    role: KeyRole,
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
}

impl From<KeyRole> for Role {
    fn from(role: KeyRole) -> Self {
        match role {
            KeyRole::Producer => Self::Producer,
            KeyRole::Reader => Self::Reader,
            KeyRole::Auditor => Self::Auditor,
            KeyRole::Admin => Self::Admin,
        }
    }
}

pub async fn tenants(command: TenantCommand) -> anyhow::Result<()> {
    match command {
        TenantCommand::Create(flags) => create_tenant(&flags).await,
        TenantCommand::List(kafka) => list_tenants(&kafka).await,
    }
}

async fn create_tenant(flags: &TenantFlags) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off);
    let known = read_once(&kafka, CONTROL_TOPIC).await?;
    let writer = ControlWriter::new(&kafka, CONTROL_TOPIC)?;
    let tenant_id = flags.tenant.clone();
    let level = AuditLevel::from(flags.level);
    if !known.tenants.contains_key(&tenant_id) {
        let record = TenantRecord {
            v: VALUE_VERSION,
            tenant_id: tenant_id.clone(),
            created_at: Utc::now().to_rfc3339(),
        };
        writer.put(&format!("tenant/{tenant_id}"), &record).await?;
    }
    let policy = PolicyRecord { v: VALUE_VERSION, tenant_id: tenant_id.clone(), level };
    writer.put(&format!("policy/{tenant_id}"), &policy).await?;
    println!("tenant {tenant_id} has level {}", serde_json::to_value(level)?.as_str().unwrap_or_default());
    Ok(())
}

async fn list_tenants(kafka: &KafkaFlags) -> anyhow::Result<()> {
    let state = read_once(&kafka.config(TopicCheck::Off), CONTROL_TOPIC).await?;
    let mut tenants: Vec<_> = state.tenants.keys().collect();
    tenants.sort();
    for tenant_id in tenants {
        let level = serde_json::to_value(state.level_of(tenant_id))?;
        println!("{tenant_id}\t{}", level.as_str().unwrap_or_default());
    }
    Ok(())
}

pub async fn keys(command: KeyCommand) -> anyhow::Result<()> {
    let KeyCommand::Create(flags) = command;
    let kafka = flags.kafka.config(TopicCheck::Off);
    let pepper = flags.pepper.read()?;
    let state = read_once(&kafka, CONTROL_TOPIC).await?;
    if !state.tenants.contains_key(&flags.tenant) {
        bail!("there is no tenant {0}; make it with `sealtrail tenants create {0}`", flags.tenant);
    }
    if let Some(file) = &flags.file
        && is_good_key(file, &state, &pepper, &flags)
    {
        println!("the key in {} is good", file.display());
        return Ok(());
    }
    let key_id = random_text(KEY_ID_CHARS).to_lowercase();
    let api_key = format_api_key(&key_id, &random_text(SECRET_CHARS));
    let record = ApiKeyRecord {
        v: VALUE_VERSION,
        key_id: key_id.clone(),
        tenant_id: flags.tenant.clone(),
        role: flags.role.into(),
        secret_hmac: pepper.hash(&api_key),
        created_at: Utc::now().to_rfc3339(),
    };
    ControlWriter::new(&kafka, CONTROL_TOPIC)?.put(&format!("api-key/{key_id}"), &record).await?;
    match &flags.file {
        Some(file) => write_secret(file, &api_key).with_context(|| format!("write {}", file.display())),
        None => {
            println!("{api_key}");
            Ok(())
        }
    }
}

fn is_good_key(file: &Path, state: &ControlState, pepper: &Pepper, flags: &KeyFlags) -> bool {
    let Ok(api_key) = fs::read_to_string(file) else { return false };
    let caller = authenticate(state, pepper, Some(&format!("Bearer {}", api_key.trim())));
    caller.is_ok_and(|caller| caller.tenant_id == flags.tenant && caller.role == flags.role.into())
}

fn write_secret(file: &Path, api_key: &str) -> std::io::Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    let mut out =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(file)?;
    writeln!(out, "{api_key}")
}

fn random_text(chars: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(chars).map(char::from).collect()
}
