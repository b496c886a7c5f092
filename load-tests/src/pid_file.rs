//! The pid files of a running stack: `<service>.pid`, one decimal pid each, rewritten when a service starts again.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

const POLL_EVERY: Duration = Duration::from_millis(50);

pub struct PidFile(PathBuf);

impl PidFile {
    pub fn of(run_dir: &Path, service: &str) -> Self {
        Self(run_dir.join(format!("{service}.pid")))
    }

    /// The pid of a living process.
    pub fn living(&self) -> Result<Pid> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                "{} is not there: start the stack, or give its directory of pid files with --run-dir",
                self.0.display()
            ),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", self.0.display())),
        };
        let pid = parse(&text).with_context(|| format!("{} holds no pid", self.0.display()))?;
        ensure!(is_alive(pid), "the process {pid} of {} is gone: start the stack again", self.0.display());
        Ok(pid)
    }

    /// Sends SIGKILL to the process that the file names now.
    pub fn kill(&self) -> Result<Pid> {
        let pid = self.living()?;
        kill(pid, Signal::SIGKILL).with_context(|| format!("cannot kill process {pid}"))?;
        Ok(pid)
    }

    /// Waits until the file names another living process than the killed one.
    pub async fn replaced(&self, killed: Pid, patience: Duration) -> Result<Pid> {
        let began = Instant::now();
        loop {
            // unreadable, half written or stale: the supervisor is about to write it
            if let Some(pid) = self.living().ok().filter(|pid| *pid != killed) {
                return Ok(pid);
            }
            ensure!(
                began.elapsed() < patience,
                "nothing took the place of the killed process {killed} in {} within {} s: does the stack start its services again?",
                self.0.display(),
                patience.as_secs()
            );
            tokio::time::sleep(POLL_EVERY).await;
        }
    }
}

/// 0, 1 and negative numbers would mean whole groups of processes, or the system's first one.
fn parse(text: &str) -> Option<Pid> {
    let pid: i32 = text.trim().parse().ok()?;
    (pid > 1 && pid.unsigned_abs() != std::process::id()).then(|| Pid::from_raw(pid))
}

fn is_alive(pid: Pid) -> bool {
    matches!(kill(pid, None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().expect("sleep starts")
    }

    #[test]
    fn only_the_pid_of_one_other_process_will_do() {
        assert_eq!(parse(" 4711\n"), Some(Pid::from_raw(4711)));
        for bad in ["", "0", "1", "-5", "x", &std::process::id().to_string()] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[tokio::test]
    async fn it_kills_and_sees_the_next_one() {
        let dir = std::env::temp_dir().join(format!("sealtrail-pids-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        let file = PidFile::of(&dir, "processor");
        assert!(file.living().expect_err("absent").to_string().contains("--run-dir"));

        let (mut first, mut second) = (sleeper(), sleeper());
        std::fs::write(&file.0, first.id().to_string()).expect("written");
        let killed = file.kill().expect("killed");
        first.wait().expect("reaped");
        assert!(file.living().is_err());
        assert!(file.replaced(killed, Duration::from_millis(100)).await.is_err());

        std::fs::write(&file.0, second.id().to_string()).expect("written");
        let next = file.replaced(killed, Duration::from_secs(5)).await.expect("replaced");
        assert_eq!(next.as_raw() as u32, second.id());
        second.kill().expect("killed");
        second.wait().expect("reaped");
        std::fs::remove_dir_all(&dir).expect("removed");
    }
}
