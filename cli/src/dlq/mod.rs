//! `dlq`: dead letters listed, shown, and sent through the pipeline again once their cause is mended.
//!
//! A replay writes the record as it was, so that it keeps its identity: tenant, event id and body. That an event becomes
//! a row once is kept in two steps: what is older than the processors' dedupe window is looked up here ([`replay`]), and
//! what is younger the window itself catches.

mod barrier;
mod copies;
mod copy;
mod flags;
mod groups;
mod help;
mod hex;
mod judge;
mod list;
mod prospect;
mod record;
mod replay;
mod report;
mod schemas;
mod selection;
mod show;
mod state;
mod stored;
mod write;

use anyhow::Context;
use audit_event::TrailId;
use clickhouse_io::ClickHouse;

pub use self::flags::DlqCommand;
use crate::output::{Format, Outcome};

pub async fn run(command: DlqCommand, format: Format) -> anyhow::Result<Outcome> {
    match command {
        DlqCommand::List(flags) if flags.summary => groups::run(&flags, format).await?,
        DlqCommand::List(flags) => list::run(&flags, format).await?,
        DlqCommand::Show(flags) => show::run(&flags, format).await?,
        DlqCommand::Replay(flags) => return replay::run(&flags, format).await,
    }
    Ok(Outcome::Done)
}

/// The trail that was named, or the one begun last.
async fn trail_of(engine: &ClickHouse, named: Option<TrailId>) -> anyhow::Result<TrailId> {
    let trails = engine.trails(::schemas::EVENTS_TOPIC).await?;
    match named {
        Some(named) if trails.iter().any(|trail| trail.trail_id == named) => Ok(named),
        Some(named) => anyhow::bail!("clickhouse knows no trail {named}; SELECT * FROM trails shows them"),
        None => Ok(trails.first().context("clickhouse knows no trail; run `sealtrail init`")?.trail_id),
    }
}

/// A word for a POSIX shell.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/+=@,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}
