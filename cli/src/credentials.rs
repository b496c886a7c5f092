//! Secrets: random ones, and files that only their owner reads.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rand::Rng;
use rand::distr::Alphanumeric;

pub fn write_secret(file: &Path, api_key: &str) -> std::io::Result<()> {
    const OWNER_ONLY: u32 = 0o600;
    let mut out =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(file)?;
    writeln!(out, "{api_key}")
}

pub fn random_text(chars: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(chars).map(char::from).collect()
}
