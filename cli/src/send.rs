//! `sealtrail send`: events in JSON, as they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use crate::connect::GatewayFlags;
use crate::deliver::Gateway;

#[derive(Debug, Args)]
pub struct SendFlags {
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    gateway: GatewayFlags,
}

/// Answers whether every event was taken.
pub async fn run(flags: SendFlags) -> anyhow::Result<bool> {
    let gateway = Gateway::new(&flags.gateway)?;
    let mut events = Vec::new();
    for file in &flags.files {
        events.extend(read(file).with_context(|| format!("read {}", file.display()))?);
    }
    events.iter_mut().for_each(give_id);
    let tally = gateway.deliver(&events, |_| {}).await?;
    for (place, why) in &tally.rejected {
        eprintln!("event {}: {why}", place + 1);
    }
    println!(
        "{} events: {} accepted, {} there already, {} dropped by policy, {} not taken",
        events.len(),
        tally.accepted,
        tally.duplicate,
        tally.dropped_by_policy,
        tally.rejected.len()
    );
    Ok(tally.rejected.is_empty())
}

/// An event that is sent again after a lost answer must be the same event.
fn give_id(event: &mut Value) {
    if let Value::Object(fields) = event {
        fields.entry("event_id").or_insert_with(|| Value::String(Uuid::now_v7().to_string()));
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<Value>> {
    let text = fs::read_to_string(file)?;
    match serde_json::from_str(&text) {
        Ok(Value::Array(events)) => Ok(events),
        Ok(event) => Ok(vec![event]),
        // not one JSON value: one event a line
        Err(_) => text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| serde_json::from_str(line).with_context(|| format!("line {}", number + 1)))
            .collect(),
    }
}
