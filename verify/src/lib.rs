//! The command of an auditor: reads files, asks the verifier, and says what it found. It connects to nothing.

use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::{Value, json};
use transparency_log::Policy;
use verifier::{Fault, Files, Judgement, check_growth, check_log, check_receipt};

/// Files of keys, notes and checkpoints are small; a tile has 8 KiB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
const TEMPLATE: &str = "{elapsed_precise} [{bar:30}] {pos} leaves  {msg}";

#[derive(Debug, Subcommand)]
pub enum VerifyCommand {
    /// Derive whole logs again from their tiles, and compare them with their checkpoints
    #[command(after_help = LOG_HELP)]
    Log(LogFlags),
    /// Check a receipt: signed by a known key, and each of its records in the log
    #[command(after_help = RECEIPT_HELP)]
    Receipt(ReceiptFlags),
    /// Check that a newer checkpoint continues an older one
    #[command(after_help = GROWTH_HELP)]
    Growth(GrowthFlags),
}

const LOG_HELP: &str = "\
Examples:
  sealtrail-verify log --files sealed --policy policy.txt
  sealtrail-verify log --files sealed --policy policy.txt --origin example.com/audit/31c39780-aee6-47c7-9d27-fa2659f05183/0

It proves that the tiles are those that the checkpoint's signers meant, and names the tile that is not.

JSON: {\"judgement\", \"found\": [{\"origin\", \"size\", \"tiles\", \"cosigned_at_s\"}], \"fault\"}";

const RECEIPT_HELP: &str = "\
Examples:
  sealtrail-verify receipt receipt.txt --files sealed --policy policy.txt

The keys of receipts stand in the policy file, as comments `# receipt-key <key>`. A record that the log does not hold yet
cannot be told about until its time has passed; after that the promise is broken.

JSON: {\"judgement\", \"found\": {\"records\", \"sealed_by_ms\"}, \"fault\"}";

const GROWTH_HELP: &str = "\
Examples:
  sealtrail-verify growth kept-last-month.txt sealed/31c39780-aee6-47c7-9d27-fa2659f05183/0/checkpoint --files sealed --policy policy.txt

JSON: {\"judgement\", \"found\": {\"origin\", \"from_size\", \"size\"}, \"fault\"}";

/// What every check needs.
#[derive(Debug, Args)]
pub struct TrustFlags {
    /// The policy file with the public keys that you believe
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The logs' files, as the sealer keeps them
    #[arg(long, value_name = "DIR")]
    files: PathBuf,
}

#[derive(Debug, Args)]
pub struct LogFlags {
    #[command(flatten)]
    trust: TrustFlags,
    /// Only this log; without it all logs of the policy
    #[arg(long)]
    origin: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReceiptFlags {
    /// The receipt, as the gateway answered it
    receipt: PathBuf,
    #[command(flatten)]
    trust: TrustFlags,
}

#[derive(Debug, Args)]
pub struct GrowthFlags {
    /// The checkpoint that you kept
    older: PathBuf,
    /// The one to compare it with
    newer: PathBuf,
    #[command(flatten)]
    trust: TrustFlags,
}

/// How the finding is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// What a check came to.
#[derive(Debug)]
pub struct Finding {
    pub judgement: Judgement,
    text: String,
    found: Value,
    fault: Option<String>,
}

impl Finding {
    fn genuine(text: String, found: impl Serialize) -> Self {
        let found = serde_json::to_value(found).unwrap_or_default();
        Self { judgement: Judgement::Genuine, text, found, fault: None }
    }

    fn of(fault: &Fault) -> Self {
        let text = match fault.judgement() {
            Judgement::CannotTell => format!("cannot tell: {fault}"),
            _ => format!("NOT GENUINE: {fault}"),
        };
        Self { judgement: fault.judgement(), text, found: Value::Null, fault: Some(fault.to_string()) }
    }

    /// 0 genuine, 1 not, 2 cannot tell.
    pub fn exit_code(&self) -> u8 {
        match self.judgement {
            Judgement::Genuine => 0,
            Judgement::NotGenuine => 1,
            Judgement::CannotTell => 2,
        }
    }

    pub fn show(&self, format: Format) -> String {
        match format {
            Format::Text => self.text.clone(),
            Format::Json => {
                let Self { judgement, found, fault, .. } = self;
                json!({"judgement": judgement, "found": found, "fault": fault}).to_string()
            }
        }
    }
}

/// A directory of logs.
struct Directory(PathBuf);

impl Files for Directory {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        read(&self.0.join(path))
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
        Ok(meta) if meta.len() > MAX_FILE_BYTES => Err(format!("it has more than {MAX_FILE_BYTES} bytes")),
        Ok(_) => fs::read(path).map(Some).map_err(|error| error.to_string()),
    }
}

fn text(path: &Path) -> Result<String, Fault> {
    let name = path.display().to_string();
    let unreadable = |cause: String| Fault::Unreadable { path: name.clone(), cause };
    let bytes = read(path).map_err(unreadable)?.ok_or_else(|| Fault::Missing { path: name.clone() })?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is not a text".to_owned()))
}

impl TrustFlags {
    fn open(&self) -> Result<(Policy, Directory), Fault> {
        let path = || self.policy.display().to_string();
        let policy = Policy::parse(&text(&self.policy)?);
        let policy = policy.map_err(|error| Fault::Unreadable { path: path(), cause: error.to_string() })?;
        Ok((policy, Directory(self.files.clone())))
    }
}

pub fn run(command: &VerifyCommand) -> Finding {
    let found = match command {
        VerifyCommand::Log(flags) => logs(flags),
        VerifyCommand::Receipt(flags) => receipt(flags),
        VerifyCommand::Growth(flags) => growth(flags),
    };
    found.unwrap_or_else(|fault| Finding::of(&fault))
}

fn logs(flags: &LogFlags) -> Result<Finding, Fault> {
    let (policy, files) = flags.trust.open()?;
    let origins: Vec<&str> = match &flags.origin {
        Some(origin) => vec![origin],
        None => policy.origins().collect(),
    };
    let (mut found, mut lines) = (Vec::new(), Vec::new());
    for origin in origins {
        let bar = progress(origin);
        let log = check_log(&policy, &files, origin, |leaves| bar.set_position(leaves));
        bar.finish_and_clear();
        let log = log?;
        let seen = log.cosigned_at_s.map(|time_s| format!(", cosigned at {time_s} (s since 1970)"));
        lines.push(format!(
            "genuine: {}, {} leaves in {} tiles{}",
            log.origin,
            log.size,
            log.tiles,
            seen.unwrap_or_default()
        ));
        found.push(log);
    }
    Ok(Finding::genuine(lines.join("\n"), found))
}

fn progress(origin: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new_spinner().with_style(style).with_message(origin.to_owned())
}

fn receipt(flags: &ReceiptFlags) -> Result<Finding, Fault> {
    let (policy, files) = flags.trust.open()?;
    let checked = check_receipt(&policy, &files, &text(&flags.receipt)?)?;
    let said = format!("genuine: all {} records of the receipt are in the log", checked.records);
    Ok(Finding::genuine(said, checked))
}

fn growth(flags: &GrowthFlags) -> Result<Finding, Fault> {
    let (policy, files) = flags.trust.open()?;
    let grown = check_growth(&policy, &files, &text(&flags.older)?, &text(&flags.newer)?)?;
    let said = format!(
        "genuine: {} grew from {} to {} leaves, and what it had is unchanged",
        grown.origin, grown.from_size, grown.size
    );
    Ok(Finding::genuine(said, grown))
}
