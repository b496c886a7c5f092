//! Children: started, watched, started again when they die, stopped in order.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::hold::is_held;
use crate::layout::{Layout, write_private};

/// So many ends within this time are not bad luck.
const MAX_RESTARTS: usize = 20;
const RESTART_WINDOW: Duration = Duration::from_secs(60);
const RESTART_PAUSE: Duration = Duration::from_millis(500);
/// How long a child may take to stop before it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(25);
const TICK: Duration = Duration::from_millis(50);
const LOG_LINES_SHOWN: usize = 5;

/// Something to run.
pub struct Service {
    name: &'static str,
    command: Command,
}

impl Service {
    pub fn new(name: &'static str, command: Command) -> Self {
        Self { name, command }
    }

    pub fn set_env(&mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) {
        self.command.env(name, value);
    }

    /// What is set for the program, as lines that a shell reads. They hold passwords.
    pub fn write_env(&self, file: &Path) -> anyhow::Result<()> {
        let variables =
            self.command.get_envs().filter_map(|(name, value)| Some((name.to_str()?, value?.to_str()?)));
        let lines: Vec<_> = variables.map(|(name, value)| format!("{name}='{value}'")).collect();
        write_private(file, &lines.join("\n"))
    }
}

/// The one service that stops for good over what a person has to mend.
pub const PROCESSOR: &str = "processor";

struct Running {
    service: Service,
    child: Option<Child>,
    ends: VecDeque<Instant>,
    start_at: Option<Instant>,
}

/// All children, in the order of their start.
pub struct Supervisor {
    layout: Layout,
    running: Vec<Running>,
}

impl Supervisor {
    pub fn new(layout: Layout) -> Self {
        Self { layout, running: Vec::new() }
    }

    pub fn start(&mut self, mut service: Service) -> anyhow::Result<()> {
        // of an earlier life
        let _not_held = fs::remove_file(self.layout.hold_file(service.name));
        let child = spawn(&self.layout, &mut service)?;
        self.running.push(Running { service, child: Some(child), ends: VecDeque::new(), start_at: None });
        Ok(())
    }

    pub fn has_ended(&mut self, name: &str) -> bool {
        let running = self.running.iter_mut().find(|running| running.service.name == name);
        running
            .and_then(|running| running.child.as_mut())
            .is_none_or(|child| !matches!(child.try_wait(), Ok(None)))
    }

    /// The end of a service's log, and where the rest is.
    pub fn last_words(&self, name: &str) -> String {
        let file = self.layout.log_file(name);
        let text = fs::read(&file).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n  ");
        format!("the end of {}:\n  {last}", file.display())
    }

    /// Leaves a service that cannot run alone, with the rest up: what stops a processor is mended in Kafka or ClickHouse.
    pub fn hold(&mut self, name: &'static str) -> anyhow::Result<()> {
        fs::write(self.layout.hold_file(name), "")?;
        self.running
            .iter_mut()
            .filter(|running| running.service.name == name)
            .for_each(|running| running.ends.clear());
        eprintln!(
            "sealtrail: {name} does not run, and is left alone; when its fault is mended, `sealtrail-local-stack start {name}`\n{}",
            self.last_words(name)
        );
        Ok(())
    }

    /// Starts again what has ended. Fails when an engine or a front ends again and again.
    pub fn revive(&mut self) -> anyhow::Result<()> {
        let mut hopeless = None;
        for running in &mut self.running {
            let ended = running.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                let now = Instant::now();
                running.child = None;
                running.start_at = Some(now + RESTART_PAUSE);
                if is_held(&self.layout, running.service.name) {
                    continue;
                }
                running.ends.push_back(now);
                running.ends.retain(|end| now.duration_since(*end) < RESTART_WINDOW);
                eprintln!("sealtrail: {} ended ({status}); starting it again", running.service.name);
                if running.ends.len() > MAX_RESTARTS {
                    hopeless = Some(running.service.name);
                }
            }
            let is_due = running.start_at.is_some_and(|at| at <= Instant::now());
            if is_due && !is_held(&self.layout, running.service.name) {
                running.start_at = None;
                running.child = Some(spawn(&self.layout, &mut running.service)?);
            }
        }
        match hopeless {
            None => Ok(()),
            Some(PROCESSOR) => self.hold(PROCESSOR),
            Some(name) => bail!("{name} ends again and again; {}", self.last_words(name)),
        }
    }

    /// Stops all children, the last started first.
    pub async fn stop(&mut self) {
        while let Some(mut running) = self.running.pop() {
            if let Some(child) = running.child.as_mut() {
                stop_child(running.service.name, child).await;
            }
            let _best_effort = fs::remove_file(self.layout.pid_file(running.service.name));
        }
    }
}

async fn stop_child(name: &str, child: &mut Child) {
    let pid = Pid::from_raw(child.id().cast_signed());
    let _already_gone = kill(pid, Signal::SIGTERM);
    let began = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if began.elapsed() > STOP_LIMIT {
            eprintln!("sealtrail: {name} did not stop within {} s and is killed", STOP_LIMIT.as_secs());
            let _already_gone = child.kill();
            let _reaped = child.wait();
            return;
        }
        tokio::time::sleep(TICK).await;
    }
}

fn spawn(layout: &Layout, service: &mut Service) -> anyhow::Result<Child> {
    let log = fs::OpenOptions::new().create(true).append(true).open(layout.log_file(service.name))?;
    let command = &mut service.command;
    // a group of its own: Ctrl-C reaches this process, which stops the others in order
    command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    die_with_parent(command);
    let child = command.spawn().with_context(|| format!("start {}", service.name))?;
    fs::write(layout.pid_file(service.name), format!("{}\n", child.id()))?;
    Ok(child)
}

/// Nothing is left running, even when this process is killed.
#[allow(unsafe_code, reason = "a child can be tied to its parent's life only between fork and exec")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of the parent's memory
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from));
    }
}
