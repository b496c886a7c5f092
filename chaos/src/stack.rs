//! The running stack: three brokers, registry, ClickHouse, gateway and query API by `sealtrail-local-stack`, and the
//! proxies through which the services reach the engines. The processors are the fleet's.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use load_tests::args::StackFlags;
use load_tests::clickhouse::ClickHouse;
use load_tests::env::Settings;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

pub use crate::door::Door;
pub use crate::engine::Engine;
use crate::kafka::Kafka;
use crate::ports::{BROKERS, Client, DOORS, PROCESSORS, Ports};
use crate::process;
use crate::tools::clock::{FakeClock, Shift};
use crate::tools::proxy::{Fault, Proxy};
use crate::tools::registry::{RegistryFault, RegistryProxy};
use crate::tools::shim::Shim;
use crate::wait;

/// Kafka's three nodes, the registry, ClickHouse and two services, on two cores.
const START_LIMIT: Duration = Duration::from_secs(180);
/// How long a process may take from its start to its pid file, or from a signal to its end.
const PROCESS_LIMIT: Duration = Duration::from_secs(60);

/// How a stack differs from the others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Whether the brokers' clocks can be set: [`Stack::clock`].
    pub settable_clock: bool,
}

pub struct Stack {
    pub dir: PathBuf,
    pub ports: Ports,
    env: HashMap<String, String>,
    pub kafka: Kafka,
    /// The gateway's way to the brokers.
    pub gateway_door: Door,
    /// Each processor's way to the brokers.
    pub doors: Vec<Door>,
    /// Each processor's way to ClickHouse.
    pub clickhouse: Vec<Proxy>,
    /// The processors' way to the registry.
    pub registry: RegistryProxy,
    /// In ClickHouse's process, and for any other that is started with it.
    pub shim: Shim,
    /// The brokers', where the stack was started with one.
    pub clock: Option<FakeClock>,
    child: Child,
}

impl Stack {
    /// Starts a new one in `dir`; what was there is lost.
    pub async fn start(dir: &Path, ports: Ports, options: &Options) -> anyhow::Result<Self> {
        let _none_yet = fs::remove_dir_all(dir);
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let gateway_door = Door::open(ports, Client::Gateway).await?;
        let (mut doors, mut clickhouse) = (Vec::new(), Vec::new());
        for index in 0..PROCESSORS {
            doors.push(Door::open(ports, Client::Processor(index)).await?);
            clickhouse.push(Proxy::start(ports.clickhouse_proxy(index), ports.clickhouse()).await?);
        }
        let registry =
            RegistryProxy::start(ports.registry_proxy(), &format!("http://{}", ports.registry())).await?;
        let shim = Shim::build(&dir.join("shim"))?;
        let clock = if options.settable_clock {
            Some(FakeClock::create(&dir.join("clock"), Shift::NONE)?)
        } else {
            None
        };
        let child = spawn(dir, ports, &gateway_door, &shim, clock.as_ref())?;
        let mut stack = Self {
            dir: dir.to_owned(),
            ports,
            env: HashMap::new(),
            kafka: Kafka::new(""),
            gateway_door,
            doors,
            clickhouse,
            registry,
            shim,
            clock,
            child,
        };
        stack.wait_up().await?;
        stack.env = read_env(&dir.join("demo.env"))?;
        stack.kafka = Kafka::new(stack.var("SEALTRAIL_KAFKA"));
        Ok(stack)
    }

    async fn wait_up(&mut self) -> anyhow::Result<()> {
        let stdout = BufReader::new(self.child.stdout.take().context("no standard output")?);
        let reading = tokio::task::spawn_blocking(move || {
            let mut lines = stdout.lines().map_while(Result::ok);
            let is_up = lines.by_ref().any(|line| line.starts_with("Ctrl-C"));
            // what comes later must be read too, or the stack would wait for us
            std::thread::spawn(move || lines.for_each(drop));
            is_up
        });
        let is_up = tokio::time::timeout(START_LIMIT, reading).await.unwrap_or(Ok(false))?;
        if !is_up {
            let said = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
            bail!("the stack did not start within {} s: {said}", START_LIMIT.as_secs());
        }
        Ok(())
    }

    /// As the stack wrote it into demo.env.
    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).map_or("", String::as_str)
    }

    /// Where a client of the gateway finds it.
    pub fn flags(&self) -> StackFlags {
        StackFlags { env_file: Some(self.dir.join("demo.env")), ..StackFlags::default() }
    }

    /// To read with, past every proxy.
    pub fn sql(&self) -> anyhow::Result<ClickHouse> {
        ClickHouse::of(&Settings::read(&self.flags())?)
    }

    /// Runs SQL as the owner of the database, also such that changes something; answers the text.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<String> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build()?;
        let answer = client.post(self.var("SEALTRAIL_CLICKHOUSE_URL")).body(sql.to_owned()).send().await;
        let answer = answer.map_err(|error| anyhow::anyhow!("clickhouse: {}", error.without_url()))?;
        let (is_ok, text) = (answer.status().is_success(), answer.text().await.unwrap_or_default());
        ensure!(is_ok, "{sql}: {text}");
        Ok(text.trim_end().to_owned())
    }

    /// Runs the `sealtrail` command as a person would; answers what it printed.
    pub async fn sealtrail(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = tokio::process::Command::new(program("sealtrail")?);
        command.args(arguments).envs(&self.env).stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(PROCESS_LIMIT, command.output()).await.context("sealtrail")??;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "sealtrail {}: {said}", arguments.join(" "));
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn pid(&self, engine: Engine) -> anyhow::Result<Pid> {
        process::pid_in(&self.dir.join("run").join(format!("{}.pid", engine.name())))
    }

    pub fn signal(&self, engine: Engine, signal: Signal) -> anyhow::Result<()> {
        process::signal(self.pid(engine)?, signal)
    }

    /// kill -9; the local stack starts it again half a second later.
    pub fn kill(&self, engine: Engine) -> anyhow::Result<()> {
        self.signal(engine, Signal::SIGKILL)
    }

    /// Ends it with this signal and keeps it down until [`Self::release`].
    pub async fn hold(&self, engine: Engine, with: Signal) -> anyhow::Result<()> {
        let pid = self.pid(engine)?;
        fs::write(self.hold_file(engine), "")?;
        process::signal(pid, with)?;
        let what = format!("{} ends after {with}", engine.name());
        wait::until(&what, PROCESS_LIMIT, || async { !process::is_alive(pid) }).await
    }

    /// Lets a held one start again, and waits until there is a process.
    pub async fn release(&self, engine: Engine) -> anyhow::Result<()> {
        let before = self.pid(engine).ok();
        let _not_held = fs::remove_file(self.hold_file(engine));
        self.wait_other(engine, before).await
    }

    /// Waits until there is another process than this.
    pub async fn wait_other(&self, engine: Engine, before: Option<Pid>) -> anyhow::Result<()> {
        let what = format!("{} starts again", engine.name());
        let is_new = || self.pid(engine).is_ok_and(|pid| Some(pid) != before && process::is_alive(pid));
        wait::until(&what, PROCESS_LIMIT, || async { is_new() }).await
    }

    fn hold_file(&self, engine: Engine) -> PathBuf {
        self.dir.join("run").join(format!("{}.hold", engine.name()))
    }

    /// What the local stack wrote to standard error: which services ended, and how.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }

    /// Every proxy passes again.
    pub fn pass(&self) {
        for door in self.doors.iter().chain([&self.gateway_door]) {
            door.set(&Fault::Pass);
        }
        self.clickhouse.iter().for_each(|proxy| proxy.set(Fault::Pass));
        self.registry.set(RegistryFault::Pass);
    }

    /// What every processor's way to ClickHouse does from now on.
    pub fn break_clickhouse(&self, fault: &Fault) {
        self.clickhouse.iter().for_each(|proxy| proxy.set(fault.clone()));
    }
}

impl Drop for Stack {
    /// The engines die with the local stack; their data is of no use to anybody.
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(
    dir: &Path,
    ports: Ports,
    gateway: &Door,
    shim: &Shim,
    clock: Option<&FakeClock>,
) -> anyhow::Result<Child> {
    let mut command = Command::new(program("sealtrail-local-stack")?);
    command.args(["up", "--no-sample", "--stop-with-stdin", "--without-processor", "--dir"]).arg(dir);
    command.args(["--port-shift", &ports.shift.to_string(), "--brokers", &BROKERS.to_string()]);
    command.args(["--doors", &DOORS.to_string()]);
    command.arg("--clickhouse-preload").arg(shim.library());
    if let Some(clock) = clock {
        command.arg("--broker-preload").arg(clock.library());
    }
    command.env("SEALTRAIL_GATEWAY__KAFKA__BROKERS", gateway.brokers());
    command.env("SEALTRAIL_GATEWAY__REGISTRY__URL", format!("http://{}", ports.registry_proxy()));
    // an outage of a broker is answered soon, so that the load tries again
    command.env("SEALTRAIL_GATEWAY__PRODUCER__DELIVERY_TIMEOUT_MS", "5000");
    let errors = fs::File::create(dir.join("stderr"))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    command.spawn().context("start sealtrail-local-stack")
}

/// One of our programs, found beside this one.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let mut path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        // a test program lies one directory deeper
        path = path.parent().and_then(Path::parent).context("no directory of programs")?.join(name);
    }
    ensure!(path.is_file(), "{} is not built; run `make build`", path.display());
    Ok(path)
}

/// Lines KEY='value'.
pub fn read_env(file: &Path) -> anyhow::Result<HashMap<String, String>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    load_tests::env::parse(&text)
}
