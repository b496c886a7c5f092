//! `sealtrail import …`: records of other systems, mapped to events and delivered through the gateway.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cloudtrail;
use crate::connect::GatewayFlags;
use crate::deliver::{Gateway, Tally};

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// AWS CloudTrail log files, plain or gzip; importing a file twice adds nothing
    Cloudtrail(CloudTrailFlags),
}

#[derive(Debug, Args)]
pub struct CloudTrailFlags {
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    gateway: GatewayFlags,
}

/// What happened to all files.
#[derive(Debug, Default)]
struct Report {
    records: usize,
    tally: Tally,
    faults: Vec<String>,
}

/// Answers whether everything is in the trail.
pub async fn run(command: ImportCommand) -> anyhow::Result<bool> {
    let ImportCommand::Cloudtrail(flags) = command;
    let gateway = Gateway::new(&flags.gateway)?;
    let bar = ProgressBar::new(0)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} events, {per_sec}, {elapsed}")?);
    let mut report = Report::default();
    for file in &flags.files {
        import_file(file, &gateway, &bar, &mut report).await?;
    }
    bar.finish_and_clear();
    Ok(print(&report, flags.files.len()))
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
            report.faults.push(format!("{}: {error}", file.display()));
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
                report.faults.push(format!("{}: record {}: {error}", file.display(), place + 1));
            }
        }
    }
    let tally = gateway.deliver(&events, |n| bar.inc(n)).await?;
    for (event, why) in &tally.rejected {
        let record = places.get(*event).map_or(0, |place| place + 1);
        report.faults.push(format!("{}: record {record}: {why}", file.display()));
    }
    report.tally.accepted += tally.accepted;
    report.tally.duplicate += tally.duplicate;
    report.tally.dropped_by_policy += tally.dropped_by_policy;
    report.tally.rejected.extend(tally.rejected);
    Ok(())
}

fn print(report: &Report, files: usize) -> bool {
    for fault in &report.faults {
        eprintln!("{fault}");
    }
    let Tally { accepted, duplicate, dropped_by_policy, .. } = &report.tally;
    println!(
        "{} records in {files} files: {accepted} accepted, {duplicate} there already, {dropped_by_policy} dropped by policy, {} not taken",
        report.records,
        report.faults.len(),
    );
    report.faults.is_empty()
}
