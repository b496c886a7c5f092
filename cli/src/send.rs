//! `sealtrail send`: events in JSON, as they are.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::connect::GatewayFlags;
use crate::deliver::{Gateway, Tally};
use crate::output::{Format, Outcome, Show};

#[derive(Debug, Args)]
pub struct SendFlags {
    /// One event, an array of events, or one event a line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    gateway: GatewayFlags,
}

/// What became of the events.
#[derive(Debug, Serialize)]
struct Sent {
    events: usize,
    accepted: u64,
    duplicate: u64,
    dropped_by_policy: u64,
    not_taken: Vec<NotTaken>,
}

#[derive(Debug, Serialize)]
struct NotTaken {
    /// Counted from 1 over all files.
    event: usize,
    why: String,
}

impl Show for Sent {
    fn text(&self) -> String {
        format!(
            "{} events: {} accepted, {} there already, {} dropped by policy, {} not taken",
            self.events,
            self.accepted,
            self.duplicate,
            self.dropped_by_policy,
            self.not_taken.len()
        )
    }
}

pub async fn run(flags: SendFlags, format: Format) -> anyhow::Result<Outcome> {
    let gateway = Gateway::new(&flags.gateway)?;
    let mut events = Vec::new();
    for file in &flags.files {
        events.extend(read(file).with_context(|| format!("read {}", file.display()))?);
    }
    events.iter_mut().for_each(give_id);
    let Tally { accepted, duplicate, dropped_by_policy, rejected } = gateway.deliver(&events, |_| {}).await?;
    let not_taken: Vec<_> =
        rejected.into_iter().map(|(place, why)| NotTaken { event: place + 1, why }).collect();
    for NotTaken { event, why } in &not_taken {
        eprintln!("event {event}: {why}");
    }
    let outcome = Outcome::done_if(not_taken.is_empty());
    format.print(&Sent { events: events.len(), accepted, duplicate, dropped_by_policy, not_taken })?;
    Ok(outcome)
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
