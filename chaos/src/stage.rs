//! A stack with its processors: what a scenario begins on, and what it leaves.

use std::path::Path;

use anyhow::{bail, ensure};
use nix::sys::signal::Signal;
use tokio::time::Instant;

use crate::fleet::Fleet;
use crate::load::{LoadRun, Push};
use crate::log::Log;
use crate::oracle::{self, Tally};
use crate::ports::{BROKERS, PROCESSORS, Ports};
use crate::run::{RECOVERY_LIMIT, RUNNING};
use crate::scenario::Ground;
use crate::stack::{Options, Stack};
use crate::tools::shim::Shim;
use crate::wait;

/// Events that show that the metrics count as the batches do, where processes were replaced.
const PROBE: u64 = 300;

pub struct Stage {
    /// Ends before the engines do.
    pub fleet: Fleet,
    pub stack: Stack,
    /// Preloaded into ClickHouse.
    pub shim: Shim,
}

impl Stage {
    pub async fn start(dir: &Path, port_shift: u16, ground: Ground, log: &Log) -> anyhow::Result<Self> {
        let began = Instant::now();
        let options = Options { settable_clock: ground == Ground::OwnWithClock };
        let stack = Stack::start(dir, Ports { shift: port_shift }, &options).await?;
        let fleet = Fleet::new(&stack)?;
        log.say(&format!("a stack with {BROKERS} brokers is up after {} s", began.elapsed().as_secs()));
        let shim = stack.shim.clone();
        Ok(Self { fleet, stack, shim })
    }

    /// The processors of every scenario run, the others do not, every proxy passes, and nothing waits to be stored.
    pub async fn quiet(&self, log: &Log) -> anyhow::Result<()> {
        self.stack.pass();
        for index in RUNNING..PROCESSORS {
            self.fleet.hold(index, Signal::SIGTERM).await?;
        }
        for index in 0..RUNNING {
            self.fleet.start(index).await?;
        }
        self.every_partition_is_owned().await?;
        oracle::lag_zero(&self.stack, RECOVERY_LIMIT, log).await.map(drop)
    }

    /// Members that have just joined share the partitions before anything is tried on them.
    async fn every_partition_is_owned(&self) -> anyhow::Result<()> {
        let partitions = self.stack.kafka.partitions(schemas::EVENTS_TOPIC).await?;
        wait::until(
            "every partition has an owner, and every processor has partitions",
            RECOVERY_LIMIT,
            || async {
                let mut owned = Vec::new();
                for index in 0..RUNNING {
                    let assigned = self.fleet.metric(index, "sealtrail_processor_assigned_partitions").await;
                    owned.push(assigned.map_or(0, |count| count as i32));
                }
                owned.iter().sum::<i32>() == partitions && owned.iter().all(|count| *count > 0)
            },
        )
        .await
    }

    /// I7: the metrics agree with the batches. They count from a process's start, so where one was replaced, or partitions
    /// moved, a few more events are sent and counted.
    pub async fn compare_metrics(&self, before: &Tally, seed: u64, log: &Log) -> anyhow::Result<()> {
        let mut before = before.clone();
        let mut after = Tally::take(&self.stack, &self.fleet).await?;
        if !before.is_comparable(&after) {
            for index in 0..RUNNING {
                self.fleet.start(index).await?;
            }
            before = Tally::take(&self.stack, &self.fleet).await?;
            LoadRun::start_with(&self.stack, seed, PROBE, Push::default(), log)?.finish().await?;
            oracle::lag_zero(&self.stack, RECOVERY_LIMIT, log).await?;
            after = Tally::take(&self.stack, &self.fleet).await?;
            ensure!(before.is_comparable(&after), "partitions still moved after the fault had healed");
            ensure!(before.stored_since(&after) >= PROBE, "the probe's events were not all stored");
        }
        match before.disagreement(&after) {
            None => Ok(()),
            Some(disagreement) => bail!("metrics and batches disagree: {disagreement}"),
        }
    }
}
