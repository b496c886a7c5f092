//! `up` and `down`: the whole stack, started in order, watched, stopped in order.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::engines::{EngineChoice, Starter};
use crate::layout::{DirFlags, Layout};
use crate::ports::{PortFlags, Ports};
use crate::supervise::{PROCESSOR, Supervisor};
use crate::{demo, examine, ready, services, targets};

const SERVICE_START: Duration = Duration::from_secs(60);
const DETACHED_START: Duration = Duration::from_secs(1_800);
const STOP_LIMIT: Duration = Duration::from_secs(120);
const TICK: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Args)]
pub struct UpFlags {
    #[command(flatten)]
    dir: DirFlags,
    #[command(flatten)]
    ports: PortFlags,
    /// Partitions of a new trail
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// Leave the sample out
    #[arg(long)]
    no_sample: bool,
    /// Start in the background, and return when everything is ready
    #[arg(long)]
    detached: bool,
    /// Stop when standard input ends: for tests, whose stack ends with them
    #[arg(long, hide = true)]
    stop_with_stdin: bool,
    /// Leave the processor out, and write what it would be started with to secrets/processor.env: for who runs several
    #[arg(long, hide = true)]
    without_processor: bool,
    #[command(flatten)]
    engines: EngineChoice,
}

pub async fn up(flags: UpFlags) -> anyhow::Result<()> {
    let layout = Layout::create(&flags.dir)?;
    if flags.detached {
        return start_detached(&layout).await;
    }
    let ports = flags.ports.addresses()?;
    if let Some(pid) = running_stack(&layout) {
        bail!("a stack runs already in this directory (process {pid}); stop it with `make down`");
    }
    ports.check_free(flags.engines.secured)?;
    let pid_file = layout.pid_file("stack");
    fs::write(&pid_file, format!("{}\n", std::process::id()))?;
    let mut supervisor = Supervisor::new(layout.clone());
    let result = tokio::select! {
        started = start_all(&mut supervisor, &flags, &layout, &ports) => match started {
            Ok(()) => Ok(Stop::Watch),
            Err(error) => Err(error),
        },
        () = asked_to_stop(flags.stop_with_stdin) => Ok(Stop::Now),
    };
    let result = match result {
        Ok(Stop::Watch) => {
            fs::write(layout.run_dir().join("ready"), "")?;
            watch(&mut supervisor, flags.stop_with_stdin).await
        }
        Ok(Stop::Now) => Ok(()),
        Err(error) => Err(error),
    };
    eprintln!("sealtrail: stopping");
    supervisor.stop().await;
    let _best_effort = fs::remove_file(layout.run_dir().join("ready"));
    let _best_effort = fs::remove_file(&pid_file);
    result
}

enum Stop {
    Watch,
    Now,
}

async fn watch(supervisor: &mut Supervisor, stop_with_stdin: bool) -> anyhow::Result<()> {
    let asked = asked_to_stop(stop_with_stdin);
    tokio::pin!(asked);
    loop {
        tokio::select! {
            () = &mut asked => return Ok(()),
            () = tokio::time::sleep(TICK) => supervisor.revive()?,
        }
    }
}

async fn asked_to_stop(stop_with_stdin: bool) {
    let listen = |kind| signal(kind).ok();
    let (interrupt, terminate) = (listen(SignalKind::interrupt()), listen(SignalKind::terminate()));
    let wait = |signal: Option<tokio::signal::unix::Signal>| async move {
        match signal {
            Some(mut signal) => signal.recv().await,
            None => std::future::pending().await,
        }
    };
    let stdin_ends = async {
        if !stop_with_stdin {
            std::future::pending::<()>().await;
        }
        let mut rest = Vec::new();
        let _ended_or_broken = tokio::io::stdin().read_to_end(&mut rest).await;
    };
    tokio::select! {
        _ = wait(interrupt) => {}
        _ = wait(terminate) => {}
        () = stdin_ends => {}
    }
}

async fn start_all(
    supervisor: &mut Supervisor,
    flags: &UpFlags,
    layout: &Layout,
    ports: &Ports,
) -> anyhow::Result<()> {
    layout.secret("pepper")?;
    services::make_receipt_key(layout).await?;
    services::make_log_key(layout).await?;
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).no_proxy().build()?;
    let engines = Starter { supervisor, choice: &flags.engines, layout, ports }.start().await?;
    let variables = engines.variables();
    services::sealtrail(&["migrate"], &variables).await?;
    let partitions = flags.partitions.to_string();
    let mut init = vec!["init", "--partitions", &partitions];
    if engines.topic_check != "strict" {
        init.push("--single-broker");
    }
    if engines.topic_check == "off" {
        // the mock broker forgets its trail with every stop
        init.push("--new-trail");
    }
    services::sealtrail(&init, &variables).await?;
    let api_key = demo::create_tenant(&engines, layout).await?;
    let processor = services::processor(&engines, ports)?;
    if flags.without_processor {
        processor.write_env(&layout.secret_file("processor.env"))?;
    }
    for (service, name, admin) in [
        (services::gateway(&engines, layout, ports)?, "gateway", ports.gateway_admin),
        (processor, PROCESSOR, ports.processor_admin),
        (services::query_api(&engines, layout, ports)?, "query-api", ports.query_admin),
        (services::sealer(&engines, layout, ports)?, "sealer", ports.sealer_admin),
    ] {
        if flags.without_processor && name == PROCESSOR {
            continue;
        }
        supervisor.start(service)?;
        match wait_ready(supervisor, name, &client, admin).await {
            Err(_) if name == PROCESSOR && supervisor.has_ended(name) => supervisor.hold(name)?,
            waited => waited?,
        }
    }
    services::write_policy(layout, &variables).await?;
    demo::write_env(layout, ports, &engines, &api_key)?;
    targets::write(layout, ports, &engines)?;
    if !flags.no_sample {
        demo::load_sample(layout, ports, &api_key).await?;
    }
    if !flags.without_processor {
        examine::examine(&engines, ports).await?;
    }
    demo::print_addresses(layout, ports, &engines);
    Ok(())
}

async fn wait_ready(
    supervisor: &mut Supervisor,
    name: &'static str,
    client: &reqwest::Client,
    admin: SocketAddr,
) -> anyhow::Result<()> {
    let url = format!("http://{admin}/readyz");
    ready::wait(supervisor, name, SERVICE_START, || ready::http_ok(client, &url)).await
}

/// The process id of a stack that lives in this directory.
fn running_stack(layout: &Layout) -> Option<Pid> {
    let pid = fs::read_to_string(layout.pid_file("stack")).ok()?.trim().parse().ok()?;
    let pid = Pid::from_raw(pid);
    // a stale file may name a process that has nothing to do with us
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
    (command.contains("sealtrail-local-stack") && kill(pid, None).is_ok()).then_some(pid)
}

/// Starts this program again in the background and waits until it says that it is ready.
async fn start_detached(layout: &Layout) -> anyhow::Result<()> {
    let ready = layout.run_dir().join("ready");
    if running_stack(layout).is_none() {
        let _none_yet = fs::remove_file(&ready);
    }
    let log_file = layout.log_file("stack");
    let log = fs::File::create(&log_file)?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detached");
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = command.spawn()?;
    let began = Instant::now();
    while !ready.exists() {
        if let Some(status) = child.try_wait()? {
            let said = fs::read_to_string(&log_file).unwrap_or_default();
            bail!("the stack did not start ({status}): {}", said.trim().trim_start_matches("sealtrail: "));
        }
        if began.elapsed() > DETACHED_START {
            bail!("the stack is not ready after {} s; see {}", DETACHED_START.as_secs(), log_file.display());
        }
        tokio::time::sleep(TICK).await;
    }
    print!("{}", fs::read_to_string(&log_file).unwrap_or_default());
    Ok(())
}

pub async fn down(flags: &DirFlags) -> anyhow::Result<()> {
    let layout = Layout::find(flags);
    let Some(pid) = running_stack(&layout) else {
        println!("nothing runs here");
        return Ok(());
    };
    kill(pid, Signal::SIGTERM).context("stop the stack")?;
    let began = Instant::now();
    while running_stack(&layout).is_some() {
        if began.elapsed() > STOP_LIMIT {
            bail!("the stack (process {pid}) did not stop within {} s", STOP_LIMIT.as_secs());
        }
        tokio::time::sleep(TICK).await;
    }
    println!("stopped");
    Ok(())
}
