//! `stop SERVICE` and `start SERVICE`: one service of a running stack held back, so that what others do without it can
//! be tried. The supervisor does not start again what a hold file names.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::layout::{DirFlags, Layout};

/// A service that drains takes its time.
const LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub struct HoldFlags {
    /// kafka, registry, clickhouse, gateway, processor, query-api or sealer
    service: String,
    #[command(flatten)]
    dir: DirFlags,
}

pub fn is_held(layout: &Layout, service: &str) -> bool {
    layout.hold_file(service).exists()
}

pub async fn stop(flags: &HoldFlags) -> anyhow::Result<()> {
    let (layout, service) = (Layout::find(&flags.dir), &flags.service);
    let Some(pid) = pid_of(&layout, service) else {
        bail!("{service} does not run in {}", flags.dir.dir.display())
    };
    fs::write(layout.hold_file(service), "").context("hold the service")?;
    kill(pid, Signal::SIGTERM).with_context(|| format!("stop {service}"))?;
    wait(|| !is_alive(pid)).await.with_context(|| format!("{service} (process {pid}) does not stop"))?;
    println!("{service} is stopped; start it with `sealtrail-local-stack start {service}`");
    Ok(())
}

pub async fn start(flags: &HoldFlags) -> anyhow::Result<()> {
    let (layout, service) = (Layout::find(&flags.dir), &flags.service);
    if !is_held(&layout, service) {
        bail!("{service} is not stopped in {}", flags.dir.dir.display());
    }
    let before = pid_of(&layout, service);
    fs::remove_file(layout.hold_file(service)).context("let the service go")?;
    let is_new = || pid_of(&layout, service).is_some_and(|pid| Some(pid) != before && is_alive(pid));
    wait(is_new).await.with_context(|| format!("{service} does not start; is the stack up?"))?;
    println!("{service} is started");
    Ok(())
}

fn pid_of(layout: &Layout, service: &str) -> Option<Pid> {
    fs::read_to_string(layout.pid_file(service)).ok()?.trim().parse().ok().map(Pid::from_raw)
}

/// A child that ended and was not waited for yet is not alive.
fn is_alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

async fn wait(is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > LIMIT {
            bail!("not within {} s", LIMIT.as_secs());
        }
        tokio::time::sleep(TICK).await;
    }
    Ok(())
}
