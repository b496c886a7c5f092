//! The processes that the local stack supervises, by the names of their pid files and logs.

use crate::ports::BROKERS;

/// A process that the local stack supervises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// From 0.
    Broker(u16),
    Registry,
    ClickHouse,
    Gateway,
    QueryApi,
}

impl Engine {
    /// The name of its pid file and its log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Broker(0) => "kafka",
            Self::Broker(1) => "kafka-2",
            Self::Broker(_) => "kafka-3",
            Self::Registry => "registry",
            Self::ClickHouse => "clickhouse",
            Self::Gateway => "gateway",
            Self::QueryApi => "query-api",
        }
    }

    pub fn brokers() -> impl Iterator<Item = Self> {
        (0..BROKERS).map(Self::Broker)
    }
}
