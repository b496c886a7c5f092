//! Tenants, and which of their events the gateway lets through: records of the control topic.

use audit_event::TenantId;
use audit_event::control::{PolicyRecord, TenantRecord, VALUE_VERSION};
use audit_event::policy::{AuditLevel, Policy};
use chrono::Utc;
use clap::{Args, Subcommand, ValueEnum};
use kafka_io::config::TopicCheck;
use kafka_io::control::{ControlWriter, read_once};
use schemas::CONTROL_TOPIC;
use serde::Serialize;

use crate::connect::KafkaFlags;
use crate::help;
use crate::output::{self, Format, Show, name_of};

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant, or change its audit level
    #[command(after_help = help::TENANTS_CREATE)]
    Create(TenantFlags),
    /// List the tenants and their audit levels
    #[command(after_help = help::TENANTS_LIST)]
    List(KafkaFlags),
}

#[derive(Debug, Args)]
pub struct TenantFlags {
    /// a-z, 0-9, '-' and '_', at most 64 characters
    tenant: TenantId,
    /// Which events the gateway lets through
    #[arg(long, default_value = "writes-only")]
    level: Level,
    #[command(flatten)]
    kafka: KafkaFlags,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Level {
    /// every event
    All,
    /// all operations but read
    WritesOnly,
    /// update and delete
    MutationsOnly,
    /// delete
    DeletesOnly,
    /// outcome failure or denied; these pass every level but off
    FailuresOnly,
    /// none
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

/// A tenant as it is shown.
#[derive(Debug, Serialize)]
struct TenantView {
    tenant_id: TenantId,
    level: AuditLevel,
    created_at: String,
}

#[derive(Debug, Serialize)]
struct Tenants {
    tenants: Vec<TenantView>,
}

impl Show for TenantView {
    fn text(&self) -> String {
        format!("tenant {} has level {}", self.tenant_id, name_of(self.level))
    }
}

impl Show for Tenants {
    fn text(&self) -> String {
        let row = |t: &TenantView| [t.tenant_id.to_string(), name_of(t.level), t.created_at.clone()];
        output::table(["tenant", "level", "created"], self.tenants.iter().map(row))
    }
}

pub async fn run(command: TenantCommand, format: Format) -> anyhow::Result<()> {
    match command {
        TenantCommand::Create(flags) => create_tenant(&flags, format).await,
        TenantCommand::List(kafka) => list_tenants(&kafka, format).await,
    }
}

async fn create_tenant(flags: &TenantFlags, format: Format) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let known = read_once(&kafka, CONTROL_TOPIC).await?;
    let writer = ControlWriter::new(&kafka, CONTROL_TOPIC)?;
    let tenant_id = flags.tenant.clone();
    let level = AuditLevel::from(flags.level);
    let record = match known.tenants.get(&tenant_id) {
        Some(record) => record.clone(),
        None => {
            let created_at = Utc::now().to_rfc3339();
            let record = TenantRecord { v: VALUE_VERSION, tenant_id: tenant_id.clone(), created_at };
            writer.put(&format!("tenant/{tenant_id}"), &record).await?;
            record
        }
    };
    let policy = Policy { level, ..known.policy_of(&tenant_id).clone() };
    let policy = PolicyRecord { v: VALUE_VERSION, tenant_id: tenant_id.clone(), policy };
    writer.put(&format!("policy/{tenant_id}"), &policy).await?;
    format.print(&TenantView { tenant_id, level, created_at: record.created_at })
}

async fn list_tenants(kafka: &KafkaFlags, format: Format) -> anyhow::Result<()> {
    let state = read_once(&kafka.config(TopicCheck::Off)?, CONTROL_TOPIC).await?;
    let view = |record: &TenantRecord| TenantView {
        tenant_id: record.tenant_id.clone(),
        level: state.policy_of(&record.tenant_id).level,
        created_at: record.created_at.clone(),
    };
    let mut tenants: Vec<_> = state.tenants.values().map(view).collect();
    tenants.sort_by(|a, b| a.tenant_id.cmp(&b.tenant_id));
    format.print(&Tenants { tenants })
}
