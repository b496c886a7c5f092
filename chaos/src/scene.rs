//! What a scenario may do: the running stack, its processors, the proxies between them, and the load in flight.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use load_tests::ledger::Account;
use rand::Rng;
use rand::rngs::StdRng;
use tokio::time::Instant;

use crate::fleet::{self, Fleet, Wanted};
use crate::kafka::{Commits, GROUP};
use crate::load::{LoadRun, Push};
use crate::log::Log;
use crate::oracle;
use crate::ports::PROCESSORS;
use crate::stack::Stack;
use crate::tools::shim::Shim;
use crate::wait;

/// The longest wait for events to flow, an outage of everything included.
const FLOW_LIMIT: Duration = Duration::from_secs(120);
/// A stop is decided within this, waits for deadlines and retries included.
const STOP_LIMIT: Duration = Duration::from_secs(90);
/// Whoever asks ClickHouse waits so long for it: a scenario, or a fault of the engine itself, may have ended it.
const ENGINE_RESTARTS: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(250);
const ROWS: &str = "SELECT toInt64(sum(rows + duplicates + dead_letters)) FROM event_batches";
/// How long the commits are watched to stay as they are.
const KEPT_FOR: Duration = Duration::from_secs(2);

/// The stage on which a scenario plays.
pub struct Scene {
    pub stack: Stack,
    pub fleet: Fleet,
    /// Faults of the disk and of names: in ClickHouse's process always, in a processor's where its `LD_PRELOAD` is set.
    pub shim: Shim,
    /// Runs from before the fault until after it is healed, unless the scenario lets it rest.
    pub(crate) load: Option<LoadRun>,
    /// Of the loads that rest.
    pub(crate) accounts: Vec<Account>,
    /// Offsets that the scenario itself took out of the log before they were stored.
    pub(crate) removed_records: u64,
    /// From the run's seed and the scenario's name.
    pub rng: StdRng,
    pub log: Log,
    pub(crate) healed_at: Option<Instant>,
    /// The processors' settings as they were before the fault.
    pub(crate) settings: Vec<BTreeMap<String, String>>,
}

/// The processors' logs from a moment on.
pub struct Marks {
    at: std::time::Instant,
    logs: Vec<u64>,
}

impl Scene {
    pub fn say(&self, text: &str) {
        self.log.say(text);
    }

    /// The cause is gone; the time of recovery counts from here. The last call counts.
    pub fn healed(&mut self) {
        self.healed_at = Some(Instant::now());
        self.say("healed");
    }

    /// A proof that the fault took place, or that a service took it as it must. It fails the scenario where it is not so.
    pub fn expect(&self, what: &str, is_so: bool) -> anyhow::Result<()> {
        ensure!(is_so, "expected: {what}");
        self.log.note(&format!("as expected: {what}"));
        Ok(())
    }

    pub async fn pass(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// A random time between two.
    pub async fn pass_between(&mut self, least_ms: u64, most_ms: u64) {
        let time = Duration::from_millis(self.rng.random_range(least_ms..=most_ms));
        tokio::time::sleep(time).await;
    }

    /// Waits until the gateway has acknowledged so many more events.
    pub async fn flow(&self, events: u64) -> anyhow::Result<()> {
        let load = self.load.as_ref().context("no load runs")?;
        let wanted = load.acknowledged() + events;
        let is_there = || async { load.acknowledged() >= wanted };
        wait::until(&format!("{events} more events are acknowledged"), FLOW_LIMIT, is_there).await
    }

    /// Ends the load, so that the topic stands still; its answers are kept for the verdict.
    pub async fn rest(&mut self) -> anyhow::Result<()> {
        if let Some(load) = self.load.take() {
            self.accounts.push(load.end().await?.account);
        }
        Ok(())
    }

    /// Begins another load after a rest.
    pub fn go_on(&mut self) -> anyhow::Result<()> {
        let seed = self.rng.random();
        self.load = Some(LoadRun::start(&self.stack, seed, Push::default(), &self.log)?);
        Ok(())
    }

    /// Waits until everything in the topic is stored and committed, while the load rests.
    pub async fn lag_zero(&self) -> anyhow::Result<()> {
        oracle::lag_zero(&self.stack, FLOW_LIMIT, &self.log).await.map(drop)
    }

    /// Waits until what is in the topic now is stored, while the load goes on.
    pub async fn lag_settles(&self) -> anyhow::Result<()> {
        oracle::stored_up_to_now(&self.stack, FLOW_LIMIT).await
    }

    /// The verdict takes so many offsets as gone by the scenario's own hand.
    pub fn removed_records(&mut self, count: u64) {
        self.removed_records += count;
    }

    /// Waits until so many more rows are stored, by whichever processor.
    pub async fn stored(&self, rows: u64) -> anyhow::Result<()> {
        let wanted = self.number(ROWS).await? + i64::try_from(rows)?;
        wait::until(&format!("{rows} more rows are stored"), FLOW_LIMIT, || async {
            self.number(ROWS).await.is_ok_and(|now| now >= wanted)
        })
        .await
    }

    /// The processors that run, by index.
    pub fn running(&self) -> Vec<usize> {
        self.fleet.pids().into_keys().collect()
    }

    /// One that runs, drawn.
    pub fn any_processor(&mut self) -> anyhow::Result<usize> {
        let running = self.running();
        ensure!(!running.is_empty(), "no processor runs");
        Ok(running[self.rng.random_range(0..running.len())])
    }

    pub fn mark(&self) -> Marks {
        let logs = (0..PROCESSORS).map(|index| self.fleet.log_mark(index)).collect();
        Marks { at: std::time::Instant::now(), logs }
    }

    /// Whether any processor has logged this since.
    pub fn logged(&self, marks: &Marks, text: &str) -> bool {
        self.line(marks, text).is_some()
    }

    /// The first line with this text since.
    pub fn line(&self, marks: &Marks, text: &str) -> Option<String> {
        marks.logs.iter().enumerate().find_map(|(index, mark)| {
            let log = self.fleet.log_since(index, *mark);
            let line = log.lines().find(|line| line.contains(text))?;
            Some(format!("{}: {line}", fleet::name(index)))
        })
    }

    /// Waits until a processor has logged this.
    pub async fn wait_logged(&self, marks: &Marks, text: &str, limit: Duration) -> anyhow::Result<()> {
        let what = format!("a processor logs \"{text}\"");
        wait::until(&what, limit, || async { self.logged(marks, text) }).await?;
        self.log.note(&self.line(marks, text).unwrap_or_default());
        Ok(())
    }

    /// From now on a processor that stops stays down, as one that a person looks at.
    pub fn leave_stopped(&self) {
        self.running().into_iter().for_each(|index| self.fleet.want(index, Wanted::Once));
    }

    /// Waits until at least one processor stopped by itself with this reason, and sees that the commits stay.
    pub async fn wait_stopped(&self, marks: &Marks, reason: &str) -> anyhow::Result<()> {
        let what = format!("a processor stops with \"{reason}\"");
        let stopped = || {
            (0..PROCESSORS).find(|index| {
                let log = self.fleet.log_since(*index, marks.logs[*index]);
                let ends = self.fleet.ends(*index);
                let by_itself =
                    |end: &fleet::End| end.at >= marks.at && end.status.code().is_some_and(|c| c != 0);
                log.contains(reason) && ends.iter().any(by_itself)
            })
        };
        let waited = wait::until(&what, STOP_LIMIT, || async { stopped().is_some() }).await;
        if let Err(error) = waited {
            bail!("{error}; {}", self.last_words(marks).await);
        }
        self.say(&format!("stopped: {}", self.line(marks, reason).unwrap_or_default().trim()));
        Ok(())
    }

    /// The ends of all logs and what `/readyz` says, for a message.
    async fn last_words(&self, marks: &Marks) -> String {
        let mut said = Vec::new();
        for (index, mark) in marks.logs.iter().enumerate() {
            let log = self.fleet.log_since(index, *mark);
            let line = log.lines().last().unwrap_or("nothing logged");
            let ready = self.fleet.readyz(index).await.unwrap_or_else(|_| "no answer".to_owned());
            said.push(format!("{}: {line} /readyz: {ready}", fleet::name(index)));
        }
        said.join("; ")
    }

    /// The commits as they stand, which a stop must keep.
    pub async fn commits(&self) -> anyhow::Result<Commits> {
        self.stack.kafka.commits(GROUP).await
    }

    /// Sees that nothing is committed while everything is stopped.
    pub async fn expect_commits_kept(&self) -> anyhow::Result<()> {
        let before = self.commits().await?;
        tokio::time::sleep(KEPT_FOR).await;
        self.expect(
            "the commits stay as they are while the processors are stopped",
            before == self.commits().await?,
        )
    }

    /// Starts again, as a person would, all processors that ended.
    pub async fn start_stopped(&self) -> anyhow::Result<()> {
        for index in 0..crate::run::RUNNING {
            self.fleet.want(index, Wanted::Running);
        }
        self.fleet.wait_all_ready().await
    }

    /// The settings as before the fault, from each processor's next start on.
    pub fn restore_settings(&self) {
        self.fleet.restore_settings(self.settings.clone());
    }

    /// One number by SQL.
    pub async fn number(&self, sql: &str) -> anyhow::Result<i64> {
        let until = Instant::now() + ENGINE_RESTARTS;
        let text = loop {
            match self.stack.execute(sql).await {
                Ok(text) => break text,
                Err(error) if Instant::now() >= until => return Err(error),
                Err(_) => tokio::time::sleep(ASK_AGAIN).await,
            }
        };
        text.parse().with_context(|| format!("{sql}: {text} is no number"))
    }
}
