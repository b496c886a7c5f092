//! A schedule: the world it runs in and what happens there, one operation after the other.

use proptest::collection::vec;
use proptest::prelude::*;

use super::log::RecordSpec;

/// The bounds of a schedule's world: small, so that each is met.
#[derive(Debug, Clone)]
pub struct Shape {
    pub processes: usize,
    pub max_batch_rows: usize,
    pub max_batch_records_by_bytes: usize,
    pub window_offsets: i64,
    pub window_ms: i64,
    /// Tokens that a table remembers.
    pub token_window: usize,
    pub genesis: i64,
}

/// Which of what there is: counted round and round.
pub type Pick = u8;

/// One operation. Picks that find nothing do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// A worker makes moves while all goes well.
    Go {
        worker: Pick,
        moves: u8,
    },
    /// A worker takes records from Kafka.
    Poll {
        worker: Pick,
        records: u8,
    },
    /// The flush interval passes and a worker makes a move.
    Flush {
        worker: Pick,
    },
    /// A worker makes moves until it waits for an answer, which is another matter.
    Step {
        worker: Pick,
        moves: u8,
    },
    Insert {
        insert: Pick,
        fate: InsertFate,
    },
    Commit {
        commit: Pick,
        fate: CommitFate,
    },
    Pass {
        seconds: u8,
    },
    ClosePlainly {
        worker: Pick,
    },
    Rebalance {
        salt: u8,
        loser: Loser,
    },
    Crash {
        process: Pick,
        late: bool,
    },
    Start {
        process: Pick,
    },
    /// SIGSTOP.
    Pause {
        process: Pick,
    },
    Revive {
        process: Pick,
    },
    /// A process hears that its assignment is gone.
    Notice {
        process: Pick,
        hang: bool,
    },
    RestartEngine {
        torn: u8,
        retried: u8,
    },
    ForeignInserts {
        table: Pick,
        count: u8,
    },
    FaultTable {
        table: Pick,
        lasting: bool,
    },
    MendTables,
    /// The registry forgets a schema, or learns it again.
    ToggleSchema {
        schema: Pick,
    },
    /// All processes stop for long, and somebody changes a commit meanwhile.
    DamageCommit {
        partition: Pick,
        damage: Damage,
    },
}

/// What becomes of an insert that is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InsertFate {
    Answered,
    AnswerLost,
    Lost,
    /// The disk fails between the token and the rows.
    Torn,
    /// The worker gives up waiting; the insert lands at the last moment or never.
    Late {
        lands: bool,
    },
    /// It is let in and lands in part so far.
    Runs {
        parts: u8,
    },
    /// The server is held up in the midst of it.
    Overruns,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFate {
    Answered,
    AnswerLost,
    Lost,
    /// The consumer gives up waiting; the commit is still on its way.
    Late,
}

/// How a worker takes the loss of its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loser {
    Drains,
    Drops,
    Hangs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    Erased,
    Behind,
    Ahead,
    /// Set anew at the end of the last batch, without the announcement that stood there.
    Forgotten,
}

impl Damage {
    const ALL: [Self; 4] = [Self::Erased, Self::Behind, Self::Ahead, Self::Forgotten];
}

#[derive(Debug, Clone)]
pub struct Schedule {
    pub shape: Shape,
    pub logs: Vec<Vec<RecordSpec>>,
    pub ops: Vec<Op>,
}

impl Op {
    /// Any number is an operation, 0 the most harmless one. The top byte says which; so a failing schedule shrinks
    /// towards harmless ones. The thresholds are the weights.
    pub fn from_bits(bits: u32) -> Self {
        let [kind, a, b, _] = bits.to_be_bytes();
        match kind {
            0..56 => Self::Go { worker: a, moves: 1 + b % 24 },
            56..70 => Self::Poll { worker: a, records: 1 + b % 6 },
            70..76 => Self::Flush { worker: a },
            76..118 => Self::Step { worker: a, moves: 1 + b % 8 },
            118..156 => Self::Insert { insert: a, fate: InsertFate::from_bits(b) },
            156..170 => Self::Commit { commit: a, fate: CommitFate::from_bits(b) },
            170..182 => Self::Pass { seconds: 1 + a % 24 },
            182..185 => Self::ClosePlainly { worker: a },
            185..202 => Self::Rebalance {
                salt: a,
                loser: [Loser::Drains, Loser::Drops, Loser::Hangs][usize::from(b % 3)],
            },
            202..210 => Self::Crash { process: a, late: b % 2 == 1 },
            210..216 => Self::Start { process: a },
            216..222 => Self::Pause { process: a },
            222..229 => Self::Revive { process: a },
            229..232 => Self::Notice { process: a, hang: b % 2 == 1 },
            232..239 => Self::RestartEngine { torn: a, retried: b },
            239..244 => Self::ForeignInserts { table: a, count: 1 + b % 8 },
            244..246 => Self::FaultTable { table: a, lasting: b % 2 == 1 },
            246..248 => Self::MendTables,
            248..252 => Self::ToggleSchema { schema: a },
            252.. => {
                Self::DamageCommit { partition: a, damage: Damage::ALL[usize::from(b) % Damage::ALL.len()] }
            }
        }
    }
}

impl InsertFate {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0..70 => Self::Answered,
            70..110 => Self::AnswerLost,
            110..130 => Self::Lost,
            130..140 => Self::Torn,
            140..190 => Self::Late { lands: !bits.is_multiple_of(4) },
            190..240 => Self::Runs { parts: bits % 3 },
            240.. => Self::Overruns,
        }
    }
}

impl CommitFate {
    fn from_bits(bits: u8) -> Self {
        match bits {
            0..90 => Self::Answered,
            90..130 => Self::AnswerLost,
            130..170 => Self::Lost,
            170.. => Self::Late,
        }
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        1..=3_usize,
        1..=5_usize,
        1..=6_usize,
        prop_oneof![2..=14_i64, 15..=300_i64],
        5..=80_i64,
        3..=12_usize,
        0..=3_i64,
    )
        .prop_map(
            |(
                processes,
                max_batch_rows,
                max_batch_records_by_bytes,
                window_offsets,
                window_ms,
                token_window,
                genesis,
            )| {
                Shape {
                    processes,
                    max_batch_rows,
                    max_batch_records_by_bytes,
                    window_offsets,
                    window_ms,
                    token_window,
                    genesis,
                }
            },
        )
}

pub fn schedule() -> impl Strategy<Value = Schedule> {
    let log = vec(any::<u32>().prop_map(RecordSpec::from_bits), 1..18);
    let ops = vec(any::<u32>().prop_map(Op::from_bits), 4..64);
    (shape(), vec(log, 1..=3), ops).prop_map(|(shape, logs, ops)| Schedule { shape, logs, ops })
}
