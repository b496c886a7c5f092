//! How a key ends: at once, or with time for its successor.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use audit_event::control::{ApiKeyRecord, ControlState};
use audit_event::credential::format_api_key;
use chrono::Utc;
use clap::Args;
use client_security::private_file::{SECRET_CHARS, random_text, write_private};
use kafka_io::config::TopicCheck;
use kafka_io::control::{ControlWriter, read_once};
use schemas::CONTROL_TOPIC;
use serde::Serialize;
use service_kit::clock;

use super::{KEY_ID_CHARS, KeyView, in_time};
use crate::connect::{KafkaFlags, PepperFlags};
use crate::moment::parse_span;
use crate::output::{Format, Show};

#[derive(Debug, Args)]
pub struct RotateFlags {
    /// The key that is replaced, as `keys list` shows it
    key_id: String,
    /// How long the old one goes on beside the new one
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = parse_span)]
    overlap: Duration,
    /// When the new one ends, such as in 90d; never without this
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    expires_in: Option<Duration>,
    /// Write the new key to this file instead of showing it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    pepper: PepperFlags,
}

#[derive(Debug, Args)]
pub struct RevokeFlags {
    /// The key, as `keys list` shows it
    key_id: String,
    #[command(flatten)]
    kafka: KafkaFlags,
}

/// A key and the one that takes its place.
#[derive(Debug, Serialize)]
struct Rotated {
    old: KeyView,
    new: KeyView,
    /// The new key itself, if it was not written to a file.
    api_key: Option<String>,
    file: Option<PathBuf>,
}

impl Show for Rotated {
    fn text(&self) -> String {
        let what = format!(
            "key {} ends {}; key {} takes its place",
            self.old.key_id,
            self.old.ends(),
            self.new.key_id
        );
        match (&self.api_key, &self.file) {
            (Some(api_key), _) => format!("{what}\n{api_key}"),
            (None, Some(file)) => format!("{what}; wrote it to {}", file.display()),
            (None, None) => what,
        }
    }
}

impl Show for KeyView {
    fn text(&self) -> String {
        format!("key {} of tenant {} is {}", self.key_id, self.tenant_id, self.ends())
    }
}

fn find(state: &ControlState, key_id: &str) -> anyhow::Result<ApiKeyRecord> {
    let record = state.api_keys.get(key_id).cloned();
    let record =
        record.with_context(|| format!("there is no key {key_id}; `sealtrail keys list` shows them"))?;
    ensure!(record.revoked_at.is_none(), "key {key_id} was revoked before");
    Ok(record)
}

pub async fn rotate(flags: &RotateFlags, format: Format) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let pepper = flags.pepper.read()?;
    let mut old = find(&*read_once(&kafka, CONTROL_TOPIC).await?, &flags.key_id)?;
    let key_id = random_text(KEY_ID_CHARS).to_lowercase();
    let api_key = format_api_key(&key_id, &random_text(SECRET_CHARS));
    let new = ApiKeyRecord {
        key_id: key_id.clone(),
        secret_hmac: pepper.hash(&api_key),
        created_at: Utc::now().to_rfc3339(),
        expires_at: flags.expires_in.map(in_time),
        ..old.clone()
    };
    let end = in_time(flags.overlap);
    old.expires_at = Some(old.expires_at.map_or(end, |before| before.min(end)));
    // the file first: a key whose secret nobody has cannot be used, and stands there for ever
    if let Some(file) = &flags.file {
        write_private(file, &api_key).with_context(|| format!("write {}", file.display()))?;
    }
    let writer = ControlWriter::new(&kafka, CONTROL_TOPIC)?;
    // the new one first: there is no moment without a key
    writer.put(&format!("api-key/{key_id}"), &new).await?;
    writer.put(&format!("api-key/{}", flags.key_id), &old).await?;
    let api_key = flags.file.is_none().then_some(api_key);
    let (old, new) = (KeyView::of(&old), KeyView::of(&new));
    format.print(&Rotated { old, new, api_key, file: flags.file.clone() })
}

pub async fn revoke(flags: &RevokeFlags, format: Format) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let mut record = find(&*read_once(&kafka, CONTROL_TOPIC).await?, &flags.key_id)?;
    record.revoked_at = Some(clock::now());
    ControlWriter::new(&kafka, CONTROL_TOPIC)?.put(&format!("api-key/{}", flags.key_id), &record).await?;
    format.print(&KeyView::of(&record))
}
