//! A load: numbered events through several connections at once.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use chrono::Utc;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::args::{GenerateArgs, LoadArgs, StackFlags};
use crate::books::Books;
use crate::env::Settings;
use crate::event::Run;
use crate::ledger::Account;
use crate::progress::Progress;
use crate::report::{self, Verdict};
use crate::send::{Delivery, Ended, Gateway};

const SHOW_EVERY: Duration = Duration::from_millis(200);

pub async fn command(stack: &StackFlags, args: &GenerateArgs) -> Result<Verdict> {
    let settings = Settings::read(stack)?;
    let load = Arc::new(Load::new(&settings, args.events, &args.load)?);
    let outcome = load.run().await?;
    keep(&outcome.account, args.ledger.as_deref())?;
    report::summary(&outcome);
    if let Some(why) = outcome.hopeless {
        bail!(why);
    }
    Ok(if outcome.account.is_complete() { Verdict::Holds } else { Verdict::DoesNotHold })
}

pub fn keep(account: &Account, path: Option<&Path>) -> Result<()> {
    path.map_or(Ok(()), |path| account.write(path))
}

/// A load under way, shared by its connections and by whoever watches it.
pub struct Load {
    pub run: Run,
    pub events: u64,
    pub progress: Arc<Progress>,
    args: LoadArgs,
    gateway: Gateway,
    books: Books,
    next: AtomicU64,
    stop: CancellationToken,
    over: AtomicBool,
}

/// What a load came to.
pub struct Outcome {
    pub account: Account,
    /// How often an event was sent again because an answer was missing or no.
    pub retried: u64,
    /// Events sent once more on purpose, and acknowledged.
    pub repeated: u64,
    /// The first reason of a rejection.
    pub rejected_because: Option<String>,
    pub took: Duration,
    /// Why it ended early.
    pub stopped: Option<String>,
    /// Why no retry would have helped.
    pub hopeless: Option<String>,
}

impl Load {
    pub fn new(settings: &Settings<'_>, events: u64, args: &LoadArgs) -> Result<Self> {
        Self::with_progress(settings, events, args, Progress::new(events))
    }

    pub fn with_progress(
        settings: &Settings<'_>,
        events: u64,
        args: &LoadArgs,
        progress: Progress,
    ) -> Result<Self> {
        let seed = args.seed.unwrap_or_else(|| rand::rng().random());
        let first_at = args.first_at.unwrap_or_else(|| Run::first_at_for(events, Utc::now()));
        let progress = Arc::new(progress);
        Ok(Self {
            run: Run::new(seed, first_at),
            events,
            args: args.clone(),
            gateway: Gateway::new(settings.http()?, &settings.gateway_url()?, settings.api_key()?)?,
            books: Books::new(events, Arc::clone(&progress))?,
            progress,
            next: AtomicU64::new(1),
            stop: CancellationToken::new(),
            over: AtomicBool::new(false),
        })
    }

    /// How many distinct events were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.books.acknowledged()
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Lets the requests under way end and sends no more.
    pub fn stop(&self, why: &str) {
        self.books.stopped(why);
        self.stop.cancel();
    }

    pub async fn run(self: &Arc<Self>) -> Result<Outcome> {
        let began = Instant::now();
        self.progress.note(&format!(
            "run {}, {} events, --seed {} --first-at {}",
            self.run.id,
            self.events,
            self.run.seed,
            self.run.first_at.to_rfc3339()
        ));
        let mut connections = JoinSet::new();
        for _ in 0..self.args.connections {
            let load = Arc::clone(self);
            connections.spawn(async move { load.connection(began).await });
        }
        self.watch(&mut connections).await?;
        self.over.store(true, Ordering::Release);
        self.progress.finish(self.acknowledged());
        Ok(self.books.close(&self.run, began.elapsed()))
    }

    /// Until all connections have ended.
    async fn watch(&self, connections: &mut JoinSet<()>) -> Result<()> {
        let mut ticks = tokio::time::interval(SHOW_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                ended = connections.join_next() => match ended {
                    None => return Ok(()),
                    Some(Err(error)) if error.is_cancelled() => {}
                    Some(ended) => ended?,
                },
                _ = ticks.tick() => self.progress.show(self.acknowledged()),
                Ok(()) = tokio::signal::ctrl_c() => self.interrupt(connections),
            }
        }
    }

    /// The first time the requests under way may end; the second time they are broken off, their fate unknown.
    fn interrupt(&self, connections: &mut JoinSet<()>) {
        if self.stop.is_cancelled() {
            connections.abort_all();
        }
        self.stop("interrupted");
    }

    /// Takes batch after batch until there are none.
    async fn connection(&self, began: Instant) {
        while let Some(batch) = self.next_batch() {
            tokio::select! {
                () = self.pace(began, batch[0]) => {}
                () = self.stop.cancelled() => return,
            }
            if !self.deliver(&batch).await {
                return;
            }
            let repeats = self.repeats(&batch);
            if !repeats.is_empty() && !self.deliver(&repeats).await {
                return;
            }
        }
    }

    /// Whether to go on.
    async fn deliver(&self, batch: &[u64]) -> bool {
        let delivery = Delivery {
            gateway: &self.gateway,
            event: &|n| self.run.event(n),
            book: &self.books,
            give_up_after: Duration::from_secs(self.args.give_up_after_s),
            stop: &self.stop,
        };
        match delivery.deliver(batch).await {
            Ended::Answered => true,
            Ended::Stopped => false,
            Ended::GaveUp(why) => {
                self.stop(&format!("gave up after {} s: {why}", self.args.give_up_after_s));
                false
            }
            Ended::Hopeless(why) => {
                self.books.hopeless(&why);
                self.stop.cancel();
                false
            }
        }
    }

    fn next_batch(&self) -> Option<Vec<u64>> {
        if self.stop.is_cancelled() {
            return None;
        }
        let from = self.next.fetch_add(self.args.batch, Ordering::Relaxed);
        let to = (from + self.args.batch).min(self.events + 1);
        (from < to).then(|| (from..to).collect())
    }

    /// Waits until the event with this number is due under `--rate`.
    async fn pace(&self, began: Instant, n: u64) {
        if let Some(rate) = self.args.rate {
            tokio::time::sleep_until(began + Duration::from_secs_f64((n - 1) as f64 / rate as f64)).await;
        }
    }

    /// Which events of an answered batch to send once more: drawn by number, so the same in every run of a seed.
    fn repeats(&self, batch: &[u64]) -> Vec<u64> {
        let share = self.args.duplicates;
        let drawn = |n: &u64| StdRng::seed_from_u64(self.run.seed.rotate_left(17) ^ n).random_bool(share);
        if share > 0.0 {
            self.books.accepted_of(batch).into_iter().filter(drawn).collect()
        } else {
            Vec::new()
        }
    }
}
