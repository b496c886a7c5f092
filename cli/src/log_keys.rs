//! The secret of the logs' keys, and the policy file that tells others whom to believe.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use audit_event::PartitionId;
use clap::{Args, Subcommand};
use client_security::private_file::write_private;
use kafka_io::config::TopicCheck;
use kafka_io::control::read_once;
use schemas::CONTROL_TOPIC;
use serde::Serialize;
use transparency_log::{LogSecret, Policy, VerifierKeys};

use crate::connect::KafkaFlags;
use crate::help;
use crate::output::{Format, Show};

#[derive(Debug, Subcommand)]
pub enum LogKeyCommand {
    /// Make the secret that the logs' keys come from; one that is there stays
    #[command(after_help = help::LOG_KEYS_CREATE)]
    Create(CreateFlags),
    /// Write the policy file for auditors: the public keys of the trail's logs
    #[command(after_help = help::LOG_KEYS_POLICY)]
    Policy(PolicyFlags),
}

#[derive(Debug, Args)]
pub struct CreateFlags {
    /// What every log's name begins with: an address of yours, such as example.com/audit
    #[arg(long)]
    name: String,
    /// Where the secret is kept: the sealer's key_file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct PolicyFlags {
    /// The secret of the logs' keys: the sealer's key_file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Verifier keys of receipts, one a line, as /.well-known/sealtrail-keys lists them
    #[arg(long, value_name = "FILE")]
    receipt_keys: Option<PathBuf>,
    #[command(flatten)]
    kafka: KafkaFlags,
}

#[derive(Debug, Serialize)]
struct LogKey {
    file: PathBuf,
    /// What the names of the logs begin with.
    name: String,
}

impl Show for LogKey {
    fn text(&self) -> String {
        format!("logs of {}: the secret is in {}", self.name, self.file.display())
    }
}

#[derive(Debug, Serialize)]
struct PolicyFile {
    policy: String,
}

impl Show for PolicyFile {
    fn text(&self) -> String {
        self.policy.trim_end().to_owned()
    }
}

pub async fn run(command: LogKeyCommand, format: Format) -> anyhow::Result<()> {
    match command {
        LogKeyCommand::Create(CreateFlags { name, file }) => {
            let secret = if file.exists() { read(&file)? } else { make(&name, &file)? };
            format.print(&LogKey { file, name: secret.name().to_owned() })
        }
        LogKeyCommand::Policy(flags) => format.print(&PolicyFile { policy: policy(&flags).await? }),
    }
}

fn make(name: &str, file: &Path) -> anyhow::Result<LogSecret> {
    let secret = LogSecret::of_seed(name, rand::random())?;
    write_private(file, &secret.secret_text()).with_context(|| format!("write {}", file.display()))?;
    Ok(secret)
}

fn read(file: &Path) -> anyhow::Result<LogSecret> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    LogSecret::parse(&text).with_context(|| format!("{}", file.display()))
}

async fn policy(flags: &PolicyFlags) -> anyhow::Result<String> {
    let secret = read(&flags.file)?;
    let receipt_keys = match &flags.receipt_keys {
        None => VerifierKeys::default(),
        Some(file) => {
            let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            VerifierKeys::parse(&text).with_context(|| format!("{}", file.display()))?
        }
    };
    let state = read_once(&flags.kafka.config(TopicCheck::Off)?, CONTROL_TOPIC).await?;
    let trail = state.trail.clone().context("no trail has been begun; run `sealtrail init`")?;
    let mut text = format!("# whom to believe about trail {} of {}\n", trail.trail_id, secret.name());
    for partition in (0..i32::try_from(trail.genesis.len())?).map(PartitionId) {
        let key = secret.signing_key(trail.trail_id, partition)?;
        writeln!(text, "log {}", key.verifier())?;
        let genesis = trail.genesis_of(partition).filter(|genesis| genesis.0 > 0);
        if let Some(genesis) = genesis {
            writeln!(text, "# genesis {} {genesis}", key.name())?;
        }
    }
    writeln!(text, "\n# the logs' own witness: it says when a checkpoint was the newest one")?;
    writeln!(text, "witness heartbeat {}\nquorum heartbeat", secret.heartbeat(trail.trail_id)?.verifier())?;
    for key in receipt_keys.iter() {
        writeln!(text, "# receipt-key {key}")?;
    }
    Policy::parse(&text).context("the policy that was made")?;
    Ok(text)
}
