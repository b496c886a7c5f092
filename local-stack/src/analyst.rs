//! `analyst`: adds a tenant's analyst to a stack, running or not, or takes one away.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use audit_event::TenantId;
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use schemas::access::Account;

use crate::accounts::{self, Accounts};
use crate::clickhouse::DATABASE;
use crate::layout::{DirFlags, Layout};

const RESTART_LIMIT: Duration = Duration::from_secs(60);
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct AnalystFlags {
    /// Whose events the analyst may read
    tenant: TenantId,
    /// Take the analyst away
    #[arg(long)]
    remove: bool,
    #[command(flatten)]
    dir: DirFlags,
}

pub async fn run(flags: &AnalystFlags) -> anyhow::Result<()> {
    let layout = Layout::find(&flags.dir);
    if !layout.data("clickhouse").is_dir() {
        bail!(
            "no clickhouse was started from {}; start it with `make up`, or use `sealtrail analysts create {}` with a clickhouse of your own",
            flags.dir.dir.display(),
            flags.tenant
        );
    }
    if flags.remove {
        accounts::remove_analyst(&layout, &flags.tenant)?;
    } else {
        accounts::make_analyst(&layout, &flags.tenant)?;
    }
    let accounts = Accounts::read(&layout)?;
    let (_, is_new) = accounts.write(&layout)?;
    match engine(&layout) {
        Some(engine) if is_new => {
            eprintln!("clickhouse reads its users when it starts: starting it again");
            restart(&layout, &engine).await?;
        }
        Some(_) => {}
        None => eprintln!("clickhouse does not run here; it reads its users at its next start"),
    }
    let account = Account::Analyst(flags.tenant.clone());
    if flags.remove {
        println!("{} is gone", account.user());
        return Ok(());
    }
    let login = accounts.login(&account)?;
    println!("{} may read the events of {}; password: {}", login.user, flags.tenant, login.password);
    if let Some(url) = base_url(&layout) {
        println!("{}", login.url(&url, DATABASE));
    }
    Ok(())
}

struct Engine {
    pid: Pid,
    http: SocketAddr,
}

/// The engine that runs from this directory, as its own command line tells.
fn engine(layout: &Layout) -> Option<Engine> {
    let pid = fs::read_to_string(layout.pid_file("clickhouse")).ok()?.trim().parse().ok()?;
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    let mut words = command.split('\0');
    // a stale file may name a process that has nothing to do with us
    if !words.next()?.ends_with("sealtrail-local-stack") {
        return None;
    }
    let http = words.skip_while(|word| *word != "--http").nth(1)?.parse().ok()?;
    Some(Engine { pid: Pid::from_raw(pid), http })
}

/// Ends the engine, which the stack starts again, and waits until the new one listens.
async fn restart(layout: &Layout, old: &Engine) -> anyhow::Result<()> {
    kill(old.pid, Signal::SIGTERM).context("end clickhouse")?;
    let began = Instant::now();
    while !engine(layout).is_some_and(|new| new.pid != old.pid && TcpStream::connect(new.http).is_ok()) {
        if began.elapsed() > RESTART_LIMIT {
            bail!(
                "clickhouse was ended and is not back within {} s; see {}",
                RESTART_LIMIT.as_secs(),
                layout.log_file("clickhouse").display()
            );
        }
        tokio::time::sleep(TICK).await;
    }
    Ok(())
}

/// Where clients reach the engine, as `up` wrote it down.
fn base_url(layout: &Layout) -> Option<String> {
    let text = fs::read_to_string(layout.demo_env()).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("SEALTRAIL_CLICKHOUSE_URL='"))?;
    let (base, _) = line.split_once("/?")?;
    Some(base.to_owned())
}
