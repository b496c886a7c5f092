//! Kills a service at random moments of a load, then verifies.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Deserialize;
use tokio::time::Instant;

use crate::args::{KillArgs, StackFlags};
use crate::clickhouse::ClickHouse;
use crate::env::Settings;
use crate::event::Run;
use crate::generate::{self, Load};
use crate::pid_file::PidFile;
use crate::report::{self, Verdict};
use crate::verify;

/// Between two kills, so that each finds a service at work.
const APART: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Not in the first and the last of the load.
const SPREAD: std::ops::Range<f64> = 0.03..0.93;

pub async fn command(stack: &StackFlags, args: &KillArgs) -> Result<Verdict> {
    let settings = Settings::read(stack)?;
    let pid_file = PidFile::of(&settings.run_dir()?, args.target.service());
    pid_file.living()?;
    let clickhouse = ClickHouse::of(&settings)?;
    let load = Arc::new(Load::new(&settings, args.events, &args.load)?);
    refuse_used_seed(&clickhouse, &load.run).await?;

    let killer = Killer { load: &load, pid_file: &pid_file, args };
    let (outcome, kills) = tokio::join!(load.run(), killer.run());
    let (outcome, load_ended) = (outcome?, Instant::now());
    generate::keep(&outcome.account, args.ledger.as_deref())?;
    report::summary(&outcome);
    let kills = kills?;
    if let Some(why) = outcome.hopeless {
        bail!(why);
    }

    let patience = Duration::from_secs(args.wait_s);
    let (mut verdict, settled) = tokio::select! {
        verified = verify::verify(&clickhouse, &outcome.account, patience) => verified?,
        Ok(()) = tokio::signal::ctrl_c() => bail!("interrupted before all was checked"),
    };
    let mut lines = vec![("kills", format!("{} of {} ({})", kills.done, args.kills, args.target.service()))];
    if let (Some(last), Some(reached)) = (kills.last, settled.reached_at) {
        lines
            .push(("recovered after", format!("{:.1} s from the last kill", (reached - last).as_secs_f64())));
        lines.push((
            "caught up after",
            format!("{:.1} s from the load's end", (reached - load_ended).as_secs_f64()),
        ));
    }
    report::figures(&lines);
    if !outcome.account.is_complete() {
        eprintln!("the gateway did not acknowledge every event; the summary above says why");
        verdict = verdict.max(Verdict::DoesNotHold);
    }
    if kills.done < args.kills && verdict == Verdict::Holds {
        eprintln!("the load ended before its last kill: send more --events, or slow it down with --rate");
        verdict = Verdict::CannotTell;
    }
    Ok(verdict)
}

/// A seed that the trail knows would send its ids again with other bodies, each a conflict by design.
async fn refuse_used_seed(clickhouse: &ClickHouse, run: &Run) -> Result<()> {
    #[derive(Deserialize)]
    struct Used {
        used: u64,
    }
    let ids: Vec<String> = (1..=3).map(|n| format!("'{}'", run.event_id(n))).collect();
    let sql = "SELECT count() AS used FROM events WHERE event_id IN {ids:Array(UUID)}";
    let Used { used } = clickhouse.row(sql, &[("ids", format!("[{}]", ids.join(",")))]).await?;
    ensure!(used == 0, "the trail holds events of --seed {} already: take another seed, or none", run.seed);
    Ok(())
}

struct Killer<'a> {
    load: &'a Load,
    pid_file: &'a PidFile,
    args: &'a KillArgs,
}

#[derive(Debug, Default)]
struct Kills {
    done: u32,
    last: Option<Instant>,
}

impl Killer<'_> {
    /// All kills; ends the load when the service does not come back.
    async fn run(&self) -> Result<Kills> {
        let kills = self.kill_all().await;
        if let Err(error) = &kills {
            self.load.stop(&format!("{error:#}"));
        }
        kills
    }

    async fn kill_all(&self) -> Result<Kills> {
        let service = self.args.target.service();
        let mut kills = Kills::default();
        for moment in moments(self.args.kills, self.load.events, self.load.run.seed) {
            if !self.reached(moment, kills.last).await {
                break;
            }
            let at = self.load.acknowledged();
            let pid =
                self.pid_file.kill().with_context(|| format!("kill {} of {service}", kills.done + 1))?;
            let killed_at = Instant::now();
            kills = Kills { done: kills.done + 1, last: Some(killed_at) };
            self.load.progress.note(&format!(
                "kill {} of {}: {service}, pid {pid}, at {at} of {} events ({:.1} %)",
                kills.done,
                self.args.kills,
                self.load.events,
                at as f64 * 100.0 / self.load.events as f64
            ));
            let next = self.pid_file.replaced(pid, Duration::from_secs(self.args.restart_wait_s)).await?;
            let took = killed_at.elapsed().as_secs_f64();
            self.load.progress.note(&format!("{service} is back as pid {next} after {took:.1} s"));
        }
        Ok(kills)
    }

    /// Whether the load got there before it ended, and the last kill lies far enough back.
    async fn reached(&self, moment: u64, last: Option<Instant>) -> bool {
        loop {
            if self.load.is_over() {
                return false;
            }
            let rested = last.is_none_or(|last| last.elapsed() >= APART);
            if rested && self.load.acknowledged() >= moment {
                return true;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// One random moment in each of as many equal stretches of the load, in acknowledged events.
fn moments(kills: u32, events: u64, seed: u64) -> Vec<u64> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x6b69_6c6c);
    let stretch = (SPREAD.end - SPREAD.start) / f64::from(kills);
    (0..kills)
        .map(|i| SPREAD.start + (f64::from(i) + rng.random_range(0.0..1.0)) * stretch)
        .map(|fraction| (fraction * events as f64) as u64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spread_and_belong_to_the_seed() {
        let drawn = moments(5, 1_000_000, 7);
        assert_eq!(drawn, moments(5, 1_000_000, 7));
        assert_ne!(drawn, moments(5, 1_000_000, 8));
        assert!(drawn.is_sorted() && drawn[0] >= 30_000 && drawn[4] < 930_000, "{drawn:?}");
    }

    #[test]
    fn one_kill_and_many_stay_within_the_load() {
        for kills in [1, 100] {
            assert!(moments(kills, 1_000, 3).iter().all(|n| (30..930).contains(n)));
        }
    }
}
