//! Runs scenarios, one after the other: the stack, the load, the fault, the wait for recovery, the verdict.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use crate::load::{LoadRun, Push};
use crate::log::Log;
use crate::oracle::{self, Tally};
use crate::played::Played;
use crate::scenario::{Ground, Part, Scenario};
use crate::scene::Scene;
use crate::stage::Stage;
use crate::table::{self, Row};

/// Processors that run in every scenario from its begin; one more is there to come.
pub const RUNNING: usize = 2;
/// Before the fault, and after it is healed.
const FLOW_BEFORE: u64 = 700;
const FLOW_AFTER: u64 = 500;
/// A scenario's own part, all its outages included.
const INJECT_LIMIT: Duration = Duration::from_secs(1_200);
/// I6: without a hand, within this.
pub(crate) const RECOVERY_LIMIT: Duration = Duration::from_secs(120);

/// What a run was asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    pub dir: PathBuf,
    pub out: PathBuf,
    pub port_shift: u16,
    pub seed: u64,
}

/// Leads a run, and keeps its table.
pub struct Director {
    plan: Plan,
    stage: Option<Stage>,
    pub rows: Vec<Row>,
}

impl Director {
    pub fn new(plan: Plan) -> anyhow::Result<Self> {
        fs::create_dir_all(&plan.dir).with_context(|| format!("make {}", plan.dir.display()))?;
        Ok(Self { plan, stage: None, rows: Vec::new() })
    }

    /// All of them: those of the shared stack first, then those that need one of their own.
    pub async fn run(&mut self, scenarios: &[&Scenario]) -> anyhow::Result<()> {
        let of = |ground| scenarios.iter().filter(move |scenario| scenario.ground == ground);
        let ordered: Vec<_> =
            of(Ground::Shared).chain(of(Ground::Own)).chain(of(Ground::OwnWithClock)).collect();
        for (number, scenario) in ordered.iter().enumerate() {
            eprintln!("[{}/{}] {} {}", number + 1, ordered.len(), scenario.fault, scenario.case);
            let seed = self.plan.seed;
            self.play(scenario, seed).await?;
        }
        self.stage = None;
        Ok(())
    }

    /// Storms of new seeds, and between them single faults of the shared stack, until the time is up.
    pub async fn run_long(&mut self, all: &[Scenario], minutes: u64) -> anyhow::Result<()> {
        let end = Instant::now() + Duration::from_secs(60 * minutes);
        let storm = all.iter().find(|scenario| scenario.part == Part::Long).context("no storm")?;
        let single: Vec<_> = all
            .iter()
            .filter(|s| s.ground == Ground::Shared && matches!(s.part, Part::Ci | Part::Full))
            .collect();
        let mut rng = StdRng::seed_from_u64(self.plan.seed);
        while Instant::now() < end {
            let seed = rng.random_range(1..1_000_000_000);
            let next = if rng.random_bool(0.6) { storm } else { single[rng.random_range(0..single.len())] };
            eprintln!("[round {}] {} {}, --seed {seed}", self.rows.len() + 1, next.fault, next.case);
            self.play(next, seed).await?;
        }
        self.stage = None;
        Ok(())
    }

    /// One scenario, to its row.
    pub async fn play(&mut self, scenario: &Scenario, seed: u64) -> anyhow::Result<()> {
        let began = Instant::now();
        let log = Log::create(&self.plan.dir.join(format!("{}.log", scenario.slug())))?;
        if scenario.ground != Ground::Shared {
            self.stage = None;
        }
        let played = self.play_on_stage(scenario, seed, &log).await;
        let row = played.unwrap_or_else(Played::never).row(scenario, seed);
        let took = began.elapsed().as_secs();
        match &row.why {
            None => log.say(&format!("{} is as expected, after {took} s", scenario.fault)),
            Some(why) => {
                log.say(&format!(
                    "{} is NOT AS EXPECTED, after {took} s, --seed {seed}: {why}",
                    scenario.fault
                ));
                self.keep_logs(scenario);
            }
        }
        if !row.as_expected || scenario.ground != Ground::Shared {
            self.stage = None;
        }
        self.rows.push(row);
        table::write(&self.rows, &self.plan.out)
    }

    async fn play_on_stage(&mut self, scenario: &Scenario, seed: u64, log: &Log) -> anyhow::Result<Played> {
        let stage = match self.stage.take() {
            Some(stage) => stage,
            None => {
                Stage::start(&self.plan.dir.join("stack"), self.plan.port_shift, scenario.ground, log).await?
            }
        };
        let mut rng = StdRng::seed_from_u64(seed ^ spread(&scenario.slug()));
        stage.quiet(log).await.context("before the fault")?;
        let before = Tally::take(&stage.stack, &stage.fleet).await?;
        let Stage { stack, fleet, shim } = stage;
        let settings = fleet.settings();
        let load = LoadRun::start(&stack, rng.random(), Push::default(), log)?;
        let mut scene = Scene {
            stack,
            fleet,
            shim,
            load: Some(load),
            accounts: Vec::new(),
            removed_records: 0,
            rng,
            log: log.clone(),
            healed_at: None,
            settings,
        };
        let injected = inject(scenario, &mut scene).await;
        let rested = scene.rest().await;
        let Scene { stack, fleet, shim, accounts, removed_records, mut rng, healed_at, settings, .. } = scene;
        let stage = self.stage.insert(Stage { fleet, stack, shim });
        let mut played = Played {
            flowed: accounts.iter().map(|account| account.accepted.len()).sum(),
            ..Played::default()
        };
        let judged = async {
            injected?;
            rested?;
            let healed_at = healed_at.context("the scenario never said that it is healed")?;
            let at_zero = oracle::lag_zero(&stage.stack, RECOVERY_LIMIT, log).await?;
            played.recovered = Some(at_zero.saturating_duration_since(healed_at));
            stage.fleet.restore_settings(settings);
            stage.compare_metrics(&before, rng.random(), log).await
        };
        played.fault = judged.await.err();
        // what is lost or doubled counts also where the rest is not as expected
        match oracle::examine(&stage.stack, &accounts, removed_records, log).await {
            Ok(findings) => played.findings = played.recovered.map(|_| findings),
            Err(error) => played.fault = played.fault.or(Some(error)),
        }
        Ok(played)
    }

    /// The stack's logs would be gone with the next one.
    fn keep_logs(&self, scenario: &Scenario) {
        let kept = self.plan.dir.join(format!("{}.stack-logs", scenario.slug()));
        let _none_yet = fs::remove_dir_all(&kept);
        let copy = || -> std::io::Result<()> {
            fs::create_dir_all(&kept)?;
            for file in fs::read_dir(self.plan.dir.join("stack/log"))? {
                let file = file?;
                fs::copy(file.path(), kept.join(file.file_name()))?;
            }
            Ok(())
        };
        match copy() {
            Ok(()) => eprintln!("    the stack's logs are in {}", kept.display()),
            Err(error) => eprintln!("    the stack's logs are not kept: {error}"),
        }
    }
}

/// Brings the fault about under load, and sees that events flow after it.
async fn inject(scenario: &Scenario, scene: &mut Scene) -> anyhow::Result<()> {
    scene.flow(FLOW_BEFORE).await.context("before the fault")?;
    scene.say("the fault begins");
    let injected = tokio::time::timeout(INJECT_LIMIT, (scenario.inject)(scene)).await;
    let injected = injected.unwrap_or_else(|_| bail_out_of_time());
    injected?;
    scene.flow(FLOW_AFTER).await.context("after the fault was healed")
}

fn bail_out_of_time() -> anyhow::Result<()> {
    bail!("the scenario did not end within {} s", INJECT_LIMIT.as_secs())
}

/// FNV-1a: each scenario draws its own numbers from the run's seed.
fn spread(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
