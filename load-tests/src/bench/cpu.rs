//! CPU seconds of the processes that take part, read from /proc beside the wall time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::pid_file::PidFile;

/// What /proc counts in, on every Linux (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;
/// Behind the name of a process: user time, then system time.
const USER_TIME: usize = 11;

/// The processes of the other side.
#[derive(Debug, Clone, Copy)]
pub struct Processes {
    pub gateway: i32,
    pub kafka: i32,
}

/// CPU seconds, by who used them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct CpuSeconds {
    pub gateway: f64,
    pub kafka: f64,
    pub client: f64,
    /// All others on this machine. Much of it means that the figures are not to be relied on.
    pub others: f64,
}

impl Processes {
    /// What each has used since it began.
    pub fn now(self) -> Result<CpuSeconds> {
        let [gateway, kafka, client] =
            [self.gateway.to_string(), self.kafka.to_string(), "self".to_owned()].map(|pid| of_process(&pid));
        let (gateway, kafka, client) = (gateway?, kafka?, client?);
        let machine = of_machine(&fs::read_to_string("/proc/stat")?).context("/proc/stat is odd")?;
        Ok(CpuSeconds { gateway, kafka, client, others: machine - gateway - kafka - client })
    }
}

impl CpuSeconds {
    pub fn since(self, before: Self) -> Self {
        Self {
            gateway: self.gateway - before.gateway,
            kafka: self.kafka - before.kafka,
            client: self.client - before.client,
            others: (self.others - before.others).max(0.0),
        }
    }
}

/// Any processes by name, beside all others of the machine.
pub struct Watched {
    processes: Vec<(&'static str, String)>,
    began: (Vec<f64>, f64),
}

impl Watched {
    /// From now on. The command itself is `client`.
    pub fn begin(run_dir: &Path, names: &[&'static str]) -> Result<Self> {
        let mut processes = vec![("client", "self".to_owned())];
        for name in names {
            processes.push((name, PidFile::of(run_dir, name).living()?.to_string()));
        }
        let mut watched = Self { processes, began: Default::default() };
        watched.began = watched.now()?;
        Ok(watched)
    }

    fn now(&self) -> Result<(Vec<f64>, f64)> {
        let each = self.processes.iter().map(|(_, pid)| of_process(pid)).collect::<Result<Vec<_>>>()?;
        let machine = of_machine(&fs::read_to_string("/proc/stat")?).context("/proc/stat is odd")?;
        Ok((each, machine))
    }

    /// What each has used since, in CPU seconds, and at last what all others have.
    pub fn used(&self) -> Result<Vec<(&'static str, f64)>> {
        let (each, machine) = self.now()?;
        let names = self.processes.iter().map(|(name, _)| *name);
        let mut used: Vec<_> =
            names.zip(each.iter().zip(&self.began.0).map(|(now, before)| now - before)).collect();
        let ours: f64 = used.iter().map(|(_, seconds)| seconds).sum();
        used.push(("others", (machine - self.began.1 - ours).max(0.0)));
        Ok(used)
    }
}

fn of_process(pid: &str) -> Result<f64> {
    let file = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&file)
        .with_context(|| format!("{file}: does the process run on this machine?"))?;
    parse_process(&text).with_context(|| format!("{file} is odd"))
}

fn parse_process(text: &str) -> Option<f64> {
    // the name before it may hold blanks and brackets
    let (_, rest) = text.rsplit_once(") ")?;
    let ticks: Vec<f64> =
        rest.split(' ').skip(USER_TIME).take(2).filter_map(|tick| tick.parse().ok()).collect();
    (ticks.len() == 2).then(|| ticks.iter().sum::<f64>() / TICKS_PER_SECOND)
}

/// Everything but idling and waiting for the disk.
fn of_machine(text: &str) -> Option<f64> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = line.split_whitespace().filter_map(|tick| tick.parse().ok()).collect();
    let [user, nice, system, _idle, _waiting, irq, soft_irq, ..] = ticks[..] else { return None };
    Some((user + nice + system + irq + soft_irq) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_reads_whatever_the_name() {
        let line = "42 (odd) name) S 1 42 42 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0 100 1 2";
        assert_eq!(parse_process(line), Some(3.0));
        assert_eq!(of_machine("cpu  100 0 200 5000 70 0 100 0 0 0\ncpu0 1"), Some(4.0));
        assert_eq!(of_machine("nothing"), None);
    }

    #[test]
    fn this_process_has_used_some() {
        let own = std::process::id().cast_signed();
        let used = Processes { gateway: own, kafka: own }.now().expect("read");
        assert!(used.client >= 0.0 && used.gateway <= used.client + 0.1);
    }
}
