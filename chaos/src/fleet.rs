//! The processors: several side by side, started again when they end, as a supervisor in production does it.
//!
//! One thread starts them all, because a child is tied to the life of the thread that started it.

mod slot;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

pub use self::slot::{End, Wanted};

use self::slot::Slot;
use crate::ports::PROCESSORS;
use crate::process;
use crate::stack::{Stack, program, read_env};
use crate::wait;

const TICK: Duration = Duration::from_millis(20);
/// From a start to `/readyz` 200, on a busy machine.
pub const READY_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(60);
const ASK_LIMIT: Duration = Duration::from_secs(3);

/// What is set for every processor, so that outages and waits are short. Without the prefix.
const SHORTENED: &[(&str, &str)] = &[
    ("INSERT__DEADLINE_S", "3"),
    ("INSERT__MAX_EXECUTION_S", "3"),
    ("INSERT__RETRY_MAX_MS", "1000"),
    ("INSERT__CHECK_TABLES_EVERY_MS", "2000"),
    ("CLICKHOUSE__QUERY_TIMEOUT_MS", "5000"),
    ("REGISTRY__TIMEOUT_MS", "2000"),
    ("GROUP__SESSION_TIMEOUT_MS", "6000"),
    ("GROUP__MAX_POLL_INTERVAL_MS", "30000"),
    ("GROUP__STALL_TIMEOUT_MS", "12000"),
    ("GROUP__DRAIN_TIMEOUT_MS", "8000"),
    ("BATCH__IDLE_CLOSE_MS", "400"),
    ("BATCH__MAX_BATCH_ROWS", "2000"),
    ("DEAD_LETTER_PRODUCER__DELIVERY_TIMEOUT_MS", "4000"),
    ("LOG__FORMAT", "text"),
];

pub struct Fleet {
    slots: Arc<Mutex<Vec<Slot>>>,
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
    http: reqwest::Client,
    log_dir: PathBuf,
}

impl Fleet {
    /// Prepares the processors; none runs yet.
    pub fn new(stack: &Stack) -> anyhow::Result<Self> {
        let given = read_env(&stack.dir.join("secrets/processor.env"))?;
        let slot = |index: usize| {
            let mut settings: BTreeMap<String, String> = given.clone().into_iter().collect();
            let mut set =
                |key: &str, value: String| settings.insert(format!("SEALTRAIL_PROCESSOR__{key}"), value);
            SHORTENED.iter().for_each(|(key, value)| drop(set(key, (*value).to_owned())));
            let admin = stack.ports.processor_admin(index);
            set("ADMIN__LISTEN", admin.to_string());
            // one static member, the others without a name: both ways are taken in every run
            set("GROUP__INSTANCE_ID", if index == 0 { "chaos-1".to_owned() } else { String::new() });
            set("KAFKA__BROKERS", stack.doors[index].brokers());
            set("CLICKHOUSE__URL", format!("http://{}", stack.clickhouse[index].address()));
            set("REGISTRY__URL", stack.registry.url());
            Slot::new(name(index), admin, settings)
        };
        let slots = Arc::new(Mutex::new((0..PROCESSORS).map(slot).collect::<Vec<_>>()));
        let over = Arc::new(AtomicBool::new(false));
        let log_dir = stack.dir.join("log");
        let (program, watched, ended, logs) =
            (program("sealtrail-processor")?, Arc::clone(&slots), Arc::clone(&over), log_dir.clone());
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Acquire) {
                lock(&watched).iter_mut().for_each(|slot| slot.tend(&program, &logs));
                std::thread::sleep(TICK);
            }
            lock(&watched).iter_mut().for_each(Slot::end_now);
        });
        let http = reqwest::Client::builder().no_proxy().timeout(ASK_LIMIT).build()?;
        Ok(Self { slots, over, thread: Some(thread), http, log_dir })
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        lock(&self.slots)
    }

    /// From now on; a running one that shall be held is not ended by this.
    pub fn want(&self, index: usize, wanted: Wanted) {
        let slot = &mut self.slots()[index];
        slot.wanted = wanted;
        slot.start_at = Instant::now();
    }

    pub fn wanted(&self, index: usize) -> Wanted {
        self.slots()[index].wanted
    }

    pub fn pid(&self, index: usize) -> Option<Pid> {
        self.slots()[index].pid()
    }

    /// All that run, by index.
    pub fn pids(&self) -> BTreeMap<usize, Pid> {
        self.slots().iter().enumerate().filter_map(|(index, slot)| Some((index, slot.pid()?))).collect()
    }

    /// A value of the settings from its next start on; the key without `SEALTRAIL_PROCESSOR__`.
    pub fn set(&self, index: usize, key: &str, value: &str) {
        self.slots()[index].settings.insert(format!("SEALTRAIL_PROCESSOR__{key}"), value.to_owned());
    }

    /// The same for a variable of any name, such as LD_PRELOAD.
    pub fn set_env(&self, index: usize, name: &str, value: Option<&str>) {
        let settings = &mut self.slots()[index].settings;
        match value {
            Some(value) => drop(settings.insert(name.to_owned(), value.to_owned())),
            None => drop(settings.remove(name)),
        }
    }

    /// The settings of all, to put them back with [`Self::restore_settings`].
    pub fn settings(&self) -> Vec<BTreeMap<String, String>> {
        self.slots().iter().map(|slot| slot.settings.clone()).collect()
    }

    pub fn restore_settings(&self, all: Vec<BTreeMap<String, String>>) {
        self.slots().iter_mut().zip(all).for_each(|(slot, settings)| slot.settings = settings);
    }

    pub fn signal(&self, index: usize, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid(index).with_context(|| format!("{} does not run", name(index)))?;
        process::signal(pid, signal)
    }

    /// kill -9; it is started again if that is wanted.
    pub fn kill(&self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::SIGKILL)
    }

    /// Starts it if it does not run, and waits until it is ready.
    pub async fn start(&self, index: usize) -> anyhow::Result<()> {
        self.want(index, Wanted::Running);
        self.wait_ready(index).await
    }

    /// Ends it with this signal and keeps it down.
    pub async fn hold(&self, index: usize, with: Signal) -> anyhow::Result<Option<End>> {
        self.want(index, Wanted::Held);
        let Some(pid) = self.pid(index) else { return Ok(None) };
        process::signal(pid, with)?;
        self.wait_end(index, pid).await.map(Some)
    }

    /// Ends it in order and starts it again, with the settings as they are now.
    pub async fn restart(&self, index: usize) -> anyhow::Result<()> {
        self.hold(index, Signal::SIGTERM).await?;
        self.start(index).await
    }

    pub async fn wait_end(&self, index: usize, pid: Pid) -> anyhow::Result<End> {
        wait::until_some(&format!("{} (process {pid}) ends", name(index)), END_LIMIT, || async {
            self.slots()[index].ends.iter().find(|end| end.pid == pid).copied()
        })
        .await
    }

    pub async fn wait_ready(&self, index: usize) -> anyhow::Result<()> {
        let what = format!("{} is ready", name(index));
        wait::until(&what, READY_LIMIT, || async { self.is_ready(index).await }).await
    }

    /// All that are wanted.
    pub async fn wait_all_ready(&self) -> anyhow::Result<()> {
        for index in 0..PROCESSORS {
            if self.wanted(index) != Wanted::Held {
                self.wait_ready(index).await?;
            }
        }
        Ok(())
    }

    pub async fn is_ready(&self, index: usize) -> bool {
        self.pid(index).is_some() && self.get(index, "readyz").await.is_ok_and(|(is_ok, _)| is_ok)
    }

    /// What `/readyz` says; an error where nobody answers.
    pub async fn readyz(&self, index: usize) -> anyhow::Result<String> {
        self.get(index, "readyz").await.map(|(_, text)| text)
    }

    /// The value of a metric, summed over its labels.
    pub async fn metric(&self, index: usize, metric: &str) -> anyhow::Result<f64> {
        let (_, text) = self.get(index, "metrics").await?;
        Ok(sum_of(&text, metric))
    }

    /// `/metrics` as text.
    pub async fn metrics(&self, index: usize) -> anyhow::Result<String> {
        self.get(index, "metrics").await.map(|(_, text)| text)
    }

    async fn get(&self, index: usize, path: &str) -> anyhow::Result<(bool, String)> {
        let admin = self.slots()[index].admin;
        let answer = self.http.get(format!("http://{admin}/{path}")).send().await?;
        Ok((answer.status().is_success(), answer.text().await?))
    }

    /// A place in its log to read on from.
    pub fn log_mark(&self, index: usize) -> u64 {
        fs::metadata(self.log_file(index)).map_or(0, |metadata| metadata.len())
    }

    pub fn log_since(&self, index: usize, mark: u64) -> String {
        let bytes = fs::read(self.log_file(index)).unwrap_or_default();
        String::from_utf8_lossy(bytes.get(mark as usize..).unwrap_or_default()).into_owned()
    }

    pub fn log_file(&self, index: usize) -> PathBuf {
        self.log_dir.join(format!("{}.log", name(index)))
    }

    /// How often it ended since the fleet was made.
    pub fn ends(&self, index: usize) -> Vec<End> {
        self.slots()[index].ends.clone()
    }

    /// Waits until one ended by itself, not by a signal and not with success, after this moment.
    pub async fn wait_stopped(&self, index: usize, since: Instant, limit: Duration) -> anyhow::Result<End> {
        let what = format!("{} stops by itself", name(index));
        let found = wait::until_some(&what, limit, || async {
            let stopped = |end: &&End| end.at >= since && end.status.code().is_some_and(|code| code != 0);
            self.slots()[index].ends.iter().find(stopped).copied()
        });
        match found.await {
            Ok(end) => Ok(end),
            Err(error) => bail!("{error}; /readyz says {}", self.readyz(index).await.unwrap_or_default()),
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

fn lock(slots: &Mutex<Vec<Slot>>) -> MutexGuard<'_, Vec<Slot>> {
    slots.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn name(index: usize) -> String {
    format!("processor-{}", index + 1)
}

/// The sum of a metric's samples in the text format of Prometheus.
pub fn sum_of(text: &str, metric: &str) -> f64 {
    let sample = |line: &str| {
        let rest = line.strip_prefix(metric)?;
        let is_whole = rest.starts_with(' ') || rest.starts_with('{');
        is_whole.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
    };
    text.lines().filter_map(sample).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_one_metric_are_summed() {
        let text = "# HELP a_total x\na_total{p=\"1\"} 2\na_total{p=\"2\"} 3\na_total_more 7\nb 1\n";
        assert_eq!(sum_of(text, "a_total"), 5.0);
        assert_eq!(sum_of(text, "b"), 1.0);
        assert_eq!(sum_of(text, "c"), 0.0);
    }
}
