//! Keys that sign receipts: files, which the gateway reads again when they change.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand};
use client_security::private_file::write_private;
use serde::Serialize;
use transparency_log::{SigningKey, VerifierKeys};

use crate::help;
use crate::output::{Format, Show};

#[derive(Debug, Subcommand)]
pub enum ReceiptKeyCommand {
    /// Make the key that signs receipts; one that is there stays
    #[command(after_help = help::RECEIPT_KEYS_CREATE)]
    Create(CreateFlags),
    /// Put a new key in the place of the one that signs, which stays listed for its receipts
    #[command(after_help = help::RECEIPT_KEYS_ROTATE)]
    Rotate(RotateFlags),
    /// Show the verifier key of a signing key
    #[command(after_help = help::RECEIPT_KEYS_SHOW)]
    Show(ShowFlags),
}

#[derive(Debug, Args)]
pub struct CreateFlags {
    /// What the key is called in every receipt: an address of yours, such as example.com/receipts
    #[arg(long)]
    name: String,
    /// Where the key is kept: the gateway's receipts.key_file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub struct RotateFlags {
    /// The key that is replaced: the gateway's receipts.key_file
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
    /// Where its verifier key is added: the gateway's receipts.listed_keys_file
    #[arg(long, value_name = "FILE")]
    listed: PathBuf,
}

#[derive(Debug, Args)]
pub struct ShowFlags {
    /// The signing key
    #[arg(long, value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Serialize)]
struct ReceiptKey {
    file: PathBuf,
    /// What others check receipts with.
    verifier: String,
}

impl Show for ReceiptKey {
    fn text(&self) -> String {
        self.verifier.clone()
    }
}

pub fn run(command: ReceiptKeyCommand, format: Format) -> anyhow::Result<()> {
    let (file, key) = match command {
        ReceiptKeyCommand::Create(CreateFlags { name, file }) => {
            let key = if file.exists() { read(&file)? } else { make(&name, &file)? };
            (file, key)
        }
        ReceiptKeyCommand::Rotate(RotateFlags { file, listed }) => {
            let key = rotate(&file, &listed)?;
            (file, key)
        }
        ReceiptKeyCommand::Show(ShowFlags { file }) => {
            let key = read(&file)?;
            (file, key)
        }
    };
    format.print(&ReceiptKey { file, verifier: key.verifier() })
}

fn read(file: &Path) -> anyhow::Result<SigningKey> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    SigningKey::parse(&text).with_context(|| format!("{}", file.display()))
}

fn make(name: &str, file: &Path) -> anyhow::Result<SigningKey> {
    let key = SigningKey::of_seed(name, &rand::random())?;
    write_private(file, &key.secret_text()).with_context(|| format!("write {}", file.display()))?;
    Ok(key)
}

/// The old one is listed before the new one signs: at no moment does a receipt lack its key.
fn rotate(file: &Path, listed: &Path) -> anyhow::Result<SigningKey> {
    ensure!(file != listed, "--file and --listed are one file; a list holds verifier keys only");
    let old = read(file)?;
    let text = if listed.exists() {
        fs::read_to_string(listed).with_context(|| format!("read {}", listed.display()))?
    } else {
        String::new()
    };
    let mut keys = VerifierKeys::parse(&text).with_context(|| format!("{}", listed.display()))?;
    keys.add(&old.verifier());
    VerifierKeys::parse(&keys.to_string()).with_context(|| format!("{} is full", listed.display()))?;
    write_private(listed, keys.to_string().trim_end())
        .with_context(|| format!("write {}", listed.display()))?;
    make(old.name(), file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_keeps_the_name_and_lists_each_former_key_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let (file, listed) = (directory.path().join("key"), directory.path().join("listed"));
        let first = make("example.com/receipts", &file).expect("made");
        let second = rotate(&file, &listed).expect("rotated");
        let third = rotate(&file, &listed).expect("rotated");
        assert_eq!(read(&file).expect("a key").verifier(), third.verifier());
        assert_eq!(third.name(), "example.com/receipts");
        let keys = VerifierKeys::parse(&fs::read_to_string(&listed).expect("read")).expect("keys");
        assert_eq!(keys.iter().collect::<Vec<_>>(), [first.verifier(), second.verifier()]);
    }
}
