//! The load of a scenario: numbered events through the gateway, and the ledger of its answers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use load_tests::args::LoadArgs;
use load_tests::env::Settings;
use load_tests::generate::{Load, Outcome};
use load_tests::progress::Progress;
use tokio::task::JoinHandle;

use crate::log::Log;
use crate::stack::Stack;

/// More than any scenario lasts.
const EVENTS: u64 = 20_000_000;
const BATCH: u64 = 100;
const CONNECTIONS: u64 = 3;
/// Sent once more on purpose, each to end in `duplicates`.
const DUPLICATES: f64 = 0.02;
/// A request under way may take so long to end: the gateway's own limit, and its client's.
const END_LIMIT: Duration = Duration::from_secs(90);

/// How hard it pushes.
#[derive(Debug, Clone, Copy)]
pub struct Push {
    pub events_per_s: u64,
}

impl Default for Push {
    fn default() -> Self {
        Self { events_per_s: 1_500 }
    }
}

/// A load under way.
pub struct LoadRun {
    load: Arc<Load>,
    running: JoinHandle<anyhow::Result<Outcome>>,
}

impl LoadRun {
    pub fn start(stack: &Stack, seed: u64, push: Push, log: &Log) -> anyhow::Result<Self> {
        Self::start_with(stack, seed, EVENTS, push, log)
    }

    /// Ends by itself after so many events.
    pub fn start_with(stack: &Stack, seed: u64, events: u64, push: Push, log: &Log) -> anyhow::Result<Self> {
        let flags = stack.flags();
        let args = LoadArgs {
            seed: Some(seed),
            first_at: Some(chrono::Utc::now()),
            batch: BATCH,
            connections: CONNECTIONS,
            duplicates: DUPLICATES,
            rate: Some(push.events_per_s),
            give_up_after_s: 300,
        };
        let log = log.clone();
        let progress = Progress::told(events, move |text| log.note(&format!("load: {}", text.trim())));
        let load = Arc::new(Load::with_progress(&Settings::read(&flags)?, events, &args, progress)?);
        let shared = Arc::clone(&load);
        Ok(Self { load, running: tokio::spawn(async move { shared.run().await }) })
    }

    /// How many distinct events were acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.load.acknowledged()
    }

    /// Sends no more; answers when what is under way has ended.
    pub async fn end(self) -> anyhow::Result<Outcome> {
        self.load.stop("the scenario is over");
        self.finish().await
    }

    /// Waits until all events are sent.
    pub async fn finish(self) -> anyhow::Result<Outcome> {
        let ended = tokio::time::timeout(END_LIMIT, self.running).await;
        let outcome = ended.context("the load does not end")???;
        match &outcome.hopeless {
            Some(why) => anyhow::bail!("the load cannot go on: {why}"),
            None => Ok(outcome),
        }
    }
}
