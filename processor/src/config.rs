//! The processor's settings.

use clickhouse_io::ClickHouseConfig;
use kafka_io::KafkaConfig;
use kafka_io::group::GroupConfig;
use kafka_io::producer::ProducerConfig;
use kafka_io::registry::RegistryConfig;
use pipeline_core::batch::BatchLimits;
use serde::{Deserialize, Serialize};
use service_kit::config::{AdminConfig, LogConfig};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub log: LogConfig,
    pub admin: AdminConfig,
    pub kafka: KafkaConfig,
    pub group: GroupConfig,
    pub dead_letter_producer: ProducerConfig,
    pub registry: RegistryConfig,
    pub clickhouse: ClickHouseConfig,
    pub batch: BatchConfig,
    pub insert: InsertConfig,
    pub dead_letters: DeadLetterConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            admin: AdminConfig { listen: ([127, 0, 0, 1], 9102).into() },
            kafka: KafkaConfig::default(),
            group: GroupConfig::default(),
            dead_letter_producer: ProducerConfig::default(),
            registry: RegistryConfig::default(),
            clickhouse: ClickHouseConfig::default(),
            batch: BatchConfig::default(),
            insert: InsertConfig::default(),
            dead_letters: DeadLetterConfig::default(),
        }
    }
}

/// A block of more rows would be split by ClickHouse, and a split block is another insert.
const MAX_BATCH_ROWS: usize = 500_000;
const MAX_SECONDS: u64 = 3_600;

impl Config {
    /// Refuses settings under which the promise could not be kept.
    pub fn check(&self) -> anyhow::Result<()> {
        let within = |name: &str, value: u64, least: u64, most: u64| {
            anyhow::ensure!(
                (least..=most).contains(&value),
                "{name} is {value}, it must be {least} to {most}"
            );
            Ok(())
        };
        within("batch.max_batch_rows", self.batch.max_batch_rows as u64, 1, MAX_BATCH_ROWS as u64)?;
        within("insert.deadline_s", self.insert.deadline_s, 1, MAX_SECONDS)?;
        within("insert.max_execution_s", self.insert.max_execution_s, 1, MAX_SECONDS)?;
        within("insert.retry_min_ms", self.insert.retry_min_ms, 1, self.insert.retry_max_ms)
    }
}

/// When a batch closes: whichever comes first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    pub max_batch_rows: usize,
    pub max_batch_bytes: usize,
    pub flush_interval_ms: u64,
    /// A closed batch that nothing follows is committed plainly after this time.
    pub idle_close_ms: u64,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_batch_rows: 100_000,
            max_batch_bytes: 64 * 1024 * 1024,
            flush_interval_ms: 300,
            idle_close_ms: 1_000,
        }
    }
}

impl BatchConfig {
    pub fn limits(&self) -> BatchLimits {
        BatchLimits {
            max_batch_rows: self.max_batch_rows,
            max_batch_bytes: self.max_batch_bytes,
            flush_interval_ms: self.flush_interval_ms,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InsertConfig {
    /// ClickHouse accepts an insert up to this long after its announcement.
    pub deadline_s: u64,
    /// ClickHouse ends an insert that runs longer. A batch with a doubt waits for both before it is read back.
    pub max_execution_s: u64,
    /// The first and the longest pause between tries.
    pub retry_min_ms: u64,
    pub retry_max_ms: u64,
    /// How often the tables' columns are compared again.
    pub check_tables_every_ms: u64,
}

impl Default for InsertConfig {
    fn default() -> Self {
        Self {
            deadline_s: 10,
            max_execution_s: 8,
            retry_min_ms: 100,
            retry_max_ms: 3_000,
            check_tables_every_ms: 60_000,
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterConfig {
    /// So many in a row on one partition stop the processor: then something else than the records is wrong.
    pub max_in_a_row: u64,
    /// How long a schema id that the registry doesn't know is waited for.
    pub unknown_schema_wait_ms: u64,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        Self { max_in_a_row: 10_000, unknown_schema_wait_ms: 3_000 }
    }
}
