//! ClickHouse's server: it takes inserts, forgets nothing that was written, and fails as the real one does: killed
//! between a token and its rows, stopped in the middle of an insert, out of disk once, or restarted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use clickhouse_io::client::{EngineClock, NewestBlocks};
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::tables::MIN_DEDUPLICATION_WINDOW;
use pipeline_core::announcement::EngineSeconds;
use schemas::columns::Block;
use schemas::table;

use super::process::{Life, Process};
use super::tables::{Part, Row, Table, parts, read};
use super::world::{Safeguard, World};

/// The server's clock when a run begins, in seconds since 1970.
pub const BEGAN_S: i64 = 1_800_000_000;
/// Code 395, FUNCTION_THROW_IF_VALUE_IS_NON_ZERO: the insert came after its deadline.
const TOO_LATE: &str = "Code: 395. DB::Exception: value passed to throwIf is non-zero";
const TOO_SLOW: &str = "Code: 159. DB::Exception: timeout exceeded";
const DISK_FAULT: &str = "Code: 74. DB::Exception: input/output error";
const GONE: &str = "connection reset by peer";

pub struct Server {
    world: Arc<World>,
    state: Mutex<State>,
    process: Process,
}

#[derive(Default)]
struct State {
    tables: BTreeMap<&'static str, Table>,
    /// Inserts in work, by token.
    running: BTreeMap<u64, String>,
    queries: u64,
    /// Counts the server's own restarts.
    run: u64,
    up_since_ms: i64,
}

impl Server {
    pub fn new(world: Arc<World>) -> Self {
        let tables = table::ALL.iter().map(|table| (table.name, Table::default())).collect();
        let state = Mutex::new(State { tables, ..State::default() });
        Self { world, state, process: Process::start() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at a table.
    pub fn look<T>(&self, table: &str, look: impl FnOnce(&Table) -> T) -> T {
        look(&self.state().tables[table])
    }

    pub fn pause(&self, paused: bool) {
        self.process.set(if paused { Life::Paused } else { Life::Running });
    }

    /// kill -9: inserts in work vanish, rows and tokens stay.
    pub fn kill(&self) {
        self.process.set(Life::Dead);
        let mut state = self.state();
        state.run += 1;
        state.running.clear();
    }

    pub fn restart(&self) {
        self.state().up_since_ms = self.elapsed_ms();
        self.process.restart();
    }

    pub fn is_down(&self) -> bool {
        self.process.life() == Life::Dead
    }

    /// Somebody else inserts into the tables, and their tokens push ours out.
    pub fn foreign_inserts(&self, blocks: u64) {
        self.state().tables.values_mut().for_each(|table| table.newest_block += blocks);
    }

    fn elapsed_ms(&self) -> i64 {
        i64::try_from(self.world.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    fn now_s(&self) -> i64 {
        BEGAN_S + self.elapsed_ms() / 1_000
    }

    pub fn clock(&self) -> EngineClock {
        let state = self.state();
        let newest = table::ALL.map(|t| i64::try_from(state.tables[t.name].newest_block).unwrap_or(i64::MAX));
        EngineClock {
            now: EngineSeconds(self.now_s()),
            uptime_s: (self.elapsed_ms() - state.up_since_ms) / 1_000,
            newest_blocks: NewestBlocks(newest),
        }
    }

    pub fn is_inserting(&self, token: &str) -> bool {
        self.state().running.values().any(|running| running == token)
    }

    /// Waits while the server is stopped; an error if it was killed meanwhile.
    pub async fn awake(&self, run: u64) -> Result<(), &'static str> {
        self.process.until(|life| life != Life::Paused).await;
        if self.state().run == run && !self.is_down() { Ok(()) } else { Err(GONE) }
    }

    pub fn run(&self) -> u64 {
        self.state().run
    }

    async fn work(&self, run: u64, takes: Duration) -> Result<(), &'static str> {
        tokio::time::sleep(takes).await;
        self.awake(run).await
    }

    /// One insert from its arrival to its end, whether or not anybody waits for the answer.
    pub async fn insert(&self, block: Block, terms: InsertTerms) -> Result<(), &'static str> {
        let run = self.run();
        self.awake(run).await?;
        let query = {
            let mut state = self.state();
            state.queries += 1;
            let query = state.queries;
            state.running.insert(query, terms.token.clone());
            query
        };
        let ended = self.write_blocks(run, &block, &terms).await;
        self.state().running.remove(&query);
        ended
    }

    async fn write_blocks(&self, run: u64, block: &Block, terms: &InsertTerms) -> Result<(), &'static str> {
        let began_s = self.now_s();
        let max_execution_s = i64::try_from(terms.max_execution_s).unwrap_or(i64::MAX);
        for (number, rows) in self.blocks_of(block).into_iter().enumerate() {
            let arrives = self.slow(20, 2_500);
            self.work(run, arrives).await?;
            if self.now_s() > terms.deadline.0 && !self.world.lacks(Safeguard::ServerDeadline) {
                return Err(TOO_LATE);
            }
            if self.now_s() - began_s > max_execution_s {
                return Err(TOO_SLOW);
            }
            for part in parts(&terms.token, number, rows) {
                // a write is not interrupted by any limit once it has begun
                let takes = self.slow(20, 4_000);
                self.work(run, takes).await?;
                self.land(block.table.name, part)?;
            }
        }
        Ok(())
    }

    /// Mostly quick, now and then slow.
    fn slow(&self, quick_ms: u64, slow_ms: u64) -> Duration {
        let is_slow = self.world.is_in_turmoil() && self.world.chance(self.world.plan.call_faults);
        self.world.between_ms(1, if is_slow { slow_ms } else { quick_ms })
    }

    /// The token first, then the rows; a fault may come between the two.
    fn land(&self, table: &str, part: Part) -> Result<(), &'static str> {
        let fault = self.world.is_in_turmoil() && self.world.chance(self.world.plan.call_faults / 4);
        let mut state = self.state();
        let table = state.tables.get_mut(table).expect("one of our tables");
        if table.remembers(&part.token, MIN_DEDUPLICATION_WINDOW) {
            return Ok(());
        }
        table.remember(&part.token);
        if !fault {
            table.write(part.rows);
            return Ok(());
        }
        drop(state);
        if self.world.chance(500) {
            self.kill();
            return Err(GONE);
        }
        Err(DISK_FAULT)
    }

    /// As many blocks as the stream has record batches: one, unless that safeguard is out.
    fn blocks_of(&self, block: &Block) -> Vec<Vec<Row>> {
        let batches = read(block);
        if !self.world.lacks(Safeguard::SingleRecordBatch) {
            return batches;
        }
        let at_once = self.world.draw(|rng| rand::Rng::random_range(rng, 1..=4));
        batches.into_iter().flatten().collect::<Vec<_>>().chunks(at_once).map(<[Row]>::to_vec).collect()
    }
}
