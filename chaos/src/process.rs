//! Processes by their pid files and signals.

use std::fs;
use std::path::Path;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The process that a pid file names.
pub fn pid_in(file: &Path) -> anyhow::Result<Pid> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let pid: i32 = text.trim().parse().with_context(|| format!("{} holds no pid", file.display()))?;
    anyhow::ensure!(pid > 1, "{} names no single process", file.display());
    Ok(Pid::from_raw(pid))
}

pub fn signal(pid: Pid, signal: Signal) -> anyhow::Result<()> {
    kill(pid, signal).with_context(|| format!("send {signal} to process {pid}"))
}

/// A child that ended and was not waited for yet is not alive.
pub fn is_alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}
