//! `backup` and `restore`. Rows never change and know their position in Kafka, so a backup is a cut by position, taken
//! without a lock while events flow; a restore puts the rows back and sets the processors' commits to the cut, so that
//! they read the rest from Kafka again.

mod directory;
mod files;
mod manifest;
mod preflight;
mod restore;
mod take;

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::connect::{ClickHouseFlags, GroupFlags, KafkaFlags, RegistryFlags};

#[cfg(test)]
pub use manifest::tests;
pub use restore::run as restore;
pub use take::run as backup;

#[derive(Debug, Args)]
pub struct BackupFlags {
    /// Where the backup is written: a directory that is not there yet, or is empty
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only what came after this earlier backup; it and all that it builds on are needed to restore
    #[arg(long, value_name = "DIR")]
    since: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    group: GroupFlags,
    #[command(flatten)]
    clickhouse: ClickHouseFlags,
    #[command(flatten)]
    registry: RegistryFlags,
}

#[derive(Debug, Args)]
pub struct RestoreFlags {
    /// The backup; give it again for each later one that was made with --since, in order
    #[arg(long, value_name = "DIR", required = true)]
    from: Vec<PathBuf>,
    /// Verify the files and look whether a restore would be refused; change nothing
    #[arg(long)]
    check_only: bool,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    group: GroupFlags,
    #[command(flatten)]
    clickhouse: ClickHouseFlags,
}

/// Rows of a table, in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct TableRows {
    table: &'static str,
    rows: u64,
}

/// Files on their way, on standard error.
fn progress(action: &'static str, files: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix}: {bar:30} {pos}/{len} files, {bytes_per_sec} {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(files as u64).with_style(style).with_prefix(action)
}
