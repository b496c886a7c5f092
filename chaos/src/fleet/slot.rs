//! One processor of the fleet: started when it is wanted, watched, and its ends kept.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

const RESTART_PAUSE: Duration = Duration::from_millis(300);

/// What is wanted of a processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It runs, and is started again when it ends.
    Running,
    /// It runs until it ends.
    Once,
    /// It is down.
    Held,
}

/// How a processor ended.
#[derive(Debug, Clone, Copy)]
pub struct End {
    pub pid: Pid,
    pub status: ExitStatus,
    pub at: Instant,
}

pub(super) struct Slot {
    name: String,
    pub admin: SocketAddr,
    pub settings: BTreeMap<String, String>,
    pub wanted: Wanted,
    child: Option<Child>,
    pub start_at: Instant,
    pub ends: Vec<End>,
}

impl Slot {
    /// It does not run yet.
    pub fn new(name: String, admin: SocketAddr, settings: BTreeMap<String, String>) -> Self {
        let (wanted, start_at) = (Wanted::Held, Instant::now());
        Self { name, admin, settings, wanted, child: None, start_at, ends: Vec::new() }
    }

    pub fn pid(&self) -> Option<Pid> {
        self.child.as_ref().map(|child| Pid::from_raw(child.id().cast_signed()))
    }

    /// Notes an end, and starts what is wanted.
    pub fn tend(&mut self, program: &Path, logs: &Path) {
        if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten()) {
            let (Some(pid), at) = (self.pid(), Instant::now()) else { return };
            self.ends.push(End { pid, status, at });
            self.child = None;
            self.start_at = at + RESTART_PAUSE;
            if self.wanted == Wanted::Once {
                self.wanted = Wanted::Held;
            }
        }
        if self.child.is_none() && self.wanted != Wanted::Held && self.start_at <= Instant::now() {
            match self.spawn(program, logs) {
                Ok(child) => self.child = Some(child),
                Err(error) => {
                    eprintln!("sealtrail-chaos: {}: {error:#}", self.name);
                    self.start_at = Instant::now() + RESTART_PAUSE;
                }
            }
        }
    }

    fn spawn(&self, program: &Path, logs: &Path) -> anyhow::Result<Child> {
        let log = logs.join(format!("{}.log", self.name));
        let log = fs::OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(program);
        command.envs(&self.settings).process_group(0).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        die_with_parent(&mut command);
        command.spawn().context("start the processor")
    }

    pub fn end_now(&mut self) {
        if let Some(child) = &mut self.child {
            let _already_gone = child.kill();
            let _reaped = child.wait();
        }
    }
}

#[allow(unsafe_code, reason = "a processor must not outlive the run that started it")]
fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl is async-signal-safe and touches nothing of the parent's memory
    unsafe {
        command.pre_exec(|| prctl::set_pdeathsig(Signal::SIGKILL).map_err(std::io::Error::from));
    }
}
