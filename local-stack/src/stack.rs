//! `up` and `down`: the whole stack, started in order, watched, stopped in order.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::signal::unix::{SignalKind, signal};

use crate::layout::{DirFlags, Layout};
use crate::ports::{PortFlags, Ports};
use crate::services::{ClickHouseAccess, Engines, Login};
use crate::supervise::{Service, Supervisor};
use crate::{clickhouse, demo, fetch, kafka, ready, services};

const ENGINE_START: Duration = Duration::from_secs(60);
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
    /// Use these Kafka brokers instead of starting one
    #[arg(long, env = "SEALTRAIL_USE_KAFKA", value_name = "BROKERS")]
    use_kafka: Option<String>,
    /// Use this schema registry instead of starting one
    #[arg(long, env = "SEALTRAIL_USE_REGISTRY", value_name = "URL")]
    use_registry: Option<String>,
    /// Use this ClickHouse instead of starting one: http://host:8123/?user=…&password=…&database=…
    #[arg(long, env = "SEALTRAIL_USE_CLICKHOUSE", hide_env_values = true, value_name = "URL")]
    use_clickhouse: Option<String>,
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
    ports.check_free()?;
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
    let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build()?;
    let (brokers, topic_check) = start_kafka(supervisor, flags, layout, ports).await?;
    let registry_url = start_registry(supervisor, flags, &client, &brokers, ports).await?;
    let access = start_clickhouse(supervisor, flags, layout, &client, ports).await?;
    let engines = Engines { kafka: brokers, topic_check, registry_url, clickhouse: access };
    let variables = [
        ("SEALTRAIL_KAFKA", engines.kafka.clone()),
        ("SEALTRAIL_CLICKHOUSE_URL", engines.clickhouse.owner_url()),
        ("SEALTRAIL_REGISTRY_URL", engines.registry_url.clone()),
    ];
    services::sealtrail(&["migrate"], &variables).await?;
    let partitions = flags.partitions.to_string();
    let mut init = vec!["init", "--single-broker", "--partitions", &partitions];
    if topic_check == "off" {
        // the mock broker forgets its trail with every stop
        init.push("--new-trail");
    }
    services::sealtrail(&init, &variables).await?;
    let api_key = demo::create_tenant(&engines, layout).await?;
    for (service, name, admin) in [
        (services::gateway(&engines, layout, ports)?, "gateway", ports.gateway_admin),
        (services::processor(&engines, ports)?, "processor", ports.processor_admin),
        (services::query_api(&engines, layout, ports)?, "query-api", ports.query_admin),
    ] {
        supervisor.start(service)?;
        wait_ready(supervisor, name, &client, admin).await?;
    }
    demo::write_env(layout, ports, &engines, &api_key)?;
    if !flags.no_sample {
        demo::load_sample(layout, ports, &api_key).await?;
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

/// Answers the brokers' address and how strictly topics are checked.
async fn start_kafka(
    supervisor: &mut Supervisor,
    flags: &UpFlags,
    layout: &Layout,
    ports: &Ports,
) -> anyhow::Result<(String, &'static str)> {
    if let Some(brokers) = &flags.use_kafka {
        return Ok((brokers.clone(), "single_broker"));
    }
    let libs = match kafka::check_java().await {
        Ok(()) => fetch::kafka().await.map_err(|error| format!("{error:#}")),
        Err(reason) => Err(reason),
    };
    match libs {
        Ok(libs) => {
            let address = ports.kafka.to_string();
            supervisor.start(kafka::service(&libs, layout, ports).await?)?;
            ready::wait(supervisor, "kafka", ENGINE_START, || kafka::answers(&address)).await?;
            Ok((address, "single_broker"))
        }
        Err(reason) => {
            eprintln!(
                "sealtrail: {reason}; using librdkafka's mock broker, which forgets (memory only, 5 MiB a partition) and keeps no promise"
            );
            Ok((start_mock(supervisor, layout).await?, "off"))
        }
    }
}

async fn start_mock(supervisor: &mut Supervisor, layout: &Layout) -> anyhow::Result<String> {
    let address_file = layout.run_dir().join("mock-kafka.address");
    let _none_yet = fs::remove_file(&address_file);
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("mock-kafka").arg("--address-file").arg(&address_file);
    supervisor.start(Service::new("kafka", command))?;
    let file: &PathBuf = &address_file;
    ready::wait(supervisor, "kafka", ENGINE_START, || async move {
        fs::read_to_string(file).is_ok_and(|text| !text.is_empty())
    })
    .await?;
    Ok(fs::read_to_string(&address_file)?)
}

async fn start_registry(
    supervisor: &mut Supervisor,
    flags: &UpFlags,
    client: &reqwest::Client,
    brokers: &str,
    ports: &Ports,
) -> anyhow::Result<String> {
    if let Some(url) = &flags.use_registry {
        return Ok(url.clone());
    }
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["registry", "--listen", &ports.registry.to_string(), "--kafka", brokers]);
    supervisor.start(Service::new("registry", command))?;
    let url = format!("http://{}", ports.registry);
    let subjects = format!("{url}/subjects");
    ready::wait(supervisor, "registry", ENGINE_START, || ready::http_ok(client, &subjects)).await?;
    Ok(url)
}

async fn start_clickhouse(
    supervisor: &mut Supervisor,
    flags: &UpFlags,
    layout: &Layout,
    client: &reqwest::Client,
    ports: &Ports,
) -> anyhow::Result<ClickHouseAccess> {
    if let Some(url) = &flags.use_clickhouse {
        return foreign_clickhouse(url);
    }
    let users = clickhouse::Users {
        owner_password: layout.secret("clickhouse-owner")?,
        processor_password: layout.secret("clickhouse-processor")?,
        query_api_password: layout.secret("clickhouse-query-api")?,
    };
    let library = fetch::clickhouse().await?;
    supervisor.start(clickhouse::service(&library, layout, ports, &users)?)?;
    let ping = format!("http://{}/ping", ports.clickhouse);
    ready::wait(supervisor, "clickhouse", ENGINE_START, || ready::http_ok(client, &ping)).await?;
    Ok(ClickHouseAccess::local(
        ports,
        users.owner_password,
        users.processor_password,
        users.query_api_password,
    ))
}

/// A server of the person's own: one login does everything, because its users are theirs to make.
fn foreign_clickhouse(url: &str) -> anyhow::Result<ClickHouseAccess> {
    let mut url = reqwest::Url::parse(url).context("SEALTRAIL_USE_CLICKHOUSE is not a URL")?;
    let (mut login, mut database) =
        (Login { user: "default".to_owned(), password: String::new() }, clickhouse::DATABASE.to_owned());
    for (key, value) in url.query_pairs() {
        match &*key {
            "user" => login.user = value.into_owned(),
            "password" => login.password = value.into_owned(),
            "database" => database = value.into_owned(),
            other => bail!(
                "SEALTRAIL_USE_CLICKHOUSE: unknown parameter {other}; user, password and database are read"
            ),
        }
    }
    url.set_query(None);
    let url = url.as_str().trim_end_matches('/').to_owned();
    Ok(ClickHouseAccess { url, database, owner: login.clone(), processor: login.clone(), query_api: login })
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
