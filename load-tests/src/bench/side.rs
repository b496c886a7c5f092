//! The sides that are measured against each other, and the figures that they make.

use super::cpu::CpuSeconds;
use super::load::Done;

/// Events in a body of G2 and G3.
pub const BATCH_EVENTS: u64 = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// One event a request, answered when the broker has acknowledged it.
    DurableOne,
    /// One event a request, read, checked, dropped by the tenant's policy and answered.
    DroppedOne,
    /// 100 events a request, answered when the broker has acknowledged them.
    DurableBatch,
    /// The same records, made beforehand, through rdkafka and no gateway.
    Alone,
    /// 100 events a request, answered at once.
    Buffered,
}

impl Side {
    pub const ALL: [Self; 5] =
        [Self::DurableOne, Self::DroppedOne, Self::DurableBatch, Self::Alone, Self::Buffered];

    pub fn name(self) -> &'static str {
        match self {
            Self::DurableOne => "durable, 1 event",
            Self::DroppedOne => "dropped, 1 event",
            Self::DurableBatch => "durable, 100 events",
            Self::Alone => "rdkafka alone",
            Self::Buffered => "buffered, 100 events",
        }
    }

    /// Whether its events end in the topic.
    pub fn is_kept(self) -> bool {
        self != Self::DroppedOne
    }
}

/// A figure: one side's rate as a share of another's.
#[derive(Debug)]
pub struct Gauge {
    pub key: &'static str,
    pub what: &'static str,
    pub side: Side,
    pub against: Side,
    pub at_least: f64,
    pub aim: f64,
}

pub const GAUGES: [Gauge; 3] = [
    Gauge {
        key: "G1",
        what: "durable / parsed and dropped, 1 event a request",
        side: Side::DurableOne,
        against: Side::DroppedOne,
        at_least: 0.70,
        aim: 0.85,
    },
    Gauge {
        key: "G2",
        what: "gateway / rdkafka alone, 100 events a body",
        side: Side::DurableBatch,
        against: Side::Alone,
        at_least: 0.35,
        aim: 0.60,
    },
    Gauge {
        key: "G3",
        what: "durable / buffered, 100 events a body",
        side: Side::DurableBatch,
        against: Side::Buffered,
        at_least: 0.80,
        aim: 0.95,
    },
];

/// One side of one round, all of its answers as they must be.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    pub side: Side,
    pub done: Done,
    pub cpu: CpuSeconds,
}

impl Measured {
    pub fn events_per_s(&self) -> f64 {
        self.done.events as f64 / self.done.wall.as_secs_f64()
    }
}

/// Both sides, measured one right after the other.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    pub side: Measured,
    pub against: Measured,
}

impl Round {
    pub fn ratio(&self) -> f64 {
        self.side.events_per_s() / self.against.events_per_s()
    }
}
