//! `sealtrail import …`: records of other systems, mapped to events and delivered through the gateway.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::cloudtrail;
use crate::connect::GatewayFlags;
use crate::deliver::Gateway;
use crate::help;
use crate::output::{Format, Outcome, Show};

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// AWS CloudTrail log files, plain or gzip; importing a file twice adds nothing
    #[command(after_help = help::IMPORT_CLOUDTRAIL)]
    Cloudtrail(CloudTrailFlags),
}

#[derive(Debug, Args)]
pub struct CloudTrailFlags {
    /// Log files as AWS writes them
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    gateway: GatewayFlags,
}

/// What happened to all files.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: usize,
    records: usize,
    accepted: u64,
    duplicate: u64,
    dropped_by_policy: u64,
    /// A sentence for each record, or file, that is not in the trail.
    not_taken: Vec<String>,
}

impl Show for Report {
    fn text(&self) -> String {
        format!(
            "{} records in {} files: {} accepted, {} there already, {} dropped by policy, {} not taken",
            self.records,
            self.files,
            self.accepted,
            self.duplicate,
            self.dropped_by_policy,
            self.not_taken.len()
        )
    }
}

pub async fn run(command: ImportCommand, format: Format) -> anyhow::Result<Outcome> {
    let ImportCommand::Cloudtrail(flags) = command;
    let gateway = Gateway::new(&flags.gateway)?;
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}, {elapsed}")?);
    let mut report = Report { files: flags.files.len(), ..Report::default() };
    for file in &flags.files {
        import_file(file, &gateway, &bar, &mut report).await?;
    }
    bar.finish_and_clear();
    report.not_taken.iter().for_each(|fault| eprintln!("{fault}"));
    format.print(&report)?;
    Ok(Outcome::done_if(report.not_taken.is_empty()))
}

async fn import_file(
    file: &Path,
    gateway: &Gateway,
    bar: &ProgressBar,
    report: &mut Report,
) -> anyhow::Result<()> {
    let records = match cloudtrail::read_file(file) {
        Ok(records) => records,
        Err(error) => {
            report.not_taken.push(format!("{}: {error}", file.display()));
            return Ok(());
        }
    };
    report.records += records.len();
    bar.inc_length(records.len() as u64);
    let (mut events, mut places) = (Vec::new(), Vec::new());
    for (place, record) in records.iter().enumerate() {
        match cloudtrail::map_record(record) {
            Ok(event) => {
                events.push(event);
                places.push(place);
            }
            Err(error) => {
                bar.inc(1);
                report.not_taken.push(format!("{}: record {}: {error}", file.display(), place + 1));
            }
        }
    }
    let tally = gateway.deliver(&events, |n| bar.inc(n)).await?;
    for (event, why) in &tally.rejected {
        let record = places.get(*event).map_or(0, |place| place + 1);
        report.not_taken.push(format!("{}: record {record}: {why}", file.display()));
    }
    report.accepted += tally.accepted;
    report.duplicate += tally.duplicate;
    report.dropped_by_policy += tally.dropped_by_policy;
    Ok(())
}
