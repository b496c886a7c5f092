//! The processor's settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clickhouse_io::ClickHouseConfig;
use clickhouse_io::earlier::LONGEST_CALL_TIMEOUTS;
use kafka_io::KafkaConfig;
use kafka_io::group::{GroupConfig, WAITING_BYTES};
use kafka_io::producer::ProducerConfig;
use kafka_io::registry::RegistryConfig;
use pipeline_core::batch::BatchLimits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::config::{AdminConfig, ConfigError, LogConfig};
use service_kit::service::Settings;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the service logs, on standard error.
    pub log: LogConfig,
    /// Where the service shows its health and metrics: `/healthz`, `/readyz`, `/metrics`.
    pub admin: AdminConfig,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The consumer group: its bounds and times.
    pub group: GroupConfig,
    /// The producer of the dead-letter topic.
    pub dead_letter_producer: ProducerConfig,
    /// The schema registry.
    pub registry: RegistryConfig,
    /// How to reach ClickHouse. The user needs `SELECT` and `INSERT` on the database, and `SELECT` on
    /// `system.tables`, `system.columns`, `system.processes` and `system.parts`.
    pub clickhouse: ClickHouseConfig,
    /// When a batch closes: whichever comes first.
    pub batch: BatchConfig,
    /// How long an insert may take, and how it is tried again.
    pub insert: InsertConfig,
    /// When dead letters are a sign of something else.
    pub dead_letters: DeadLetterConfig,
    /// What is found out about a record and kept beside its sealed columns.
    pub enrich: EnrichConfig,
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
            enrich: EnrichConfig::default(),
        }
    }
}

impl Settings for Config {
    fn log(&self) -> &LogConfig {
        &self.log
    }

    fn admin(&self) -> SocketAddr {
        self.admin.listen
    }

    fn check(&self) -> Result<(), ConfigError> {
        let InsertConfig { retry_min_ms, retry_max_ms, .. } = self.insert;
        if retry_min_ms > retry_max_ms {
            let fault = format!(
                "insert.retry_min_ms is {retry_min_ms}, more than insert.retry_max_ms ({retry_max_ms})"
            );
            return Err(ConfigError::Rule(fault));
        }
        Ok(())
    }
}

impl Config {
    /// The longest that a worker may wait for one answer, or between two tries.
    pub fn longest_call(&self) -> Duration {
        let query_ms = self.clickhouse.query_timeout_ms * u64::from(LONGEST_CALL_TIMEOUTS);
        let insert_ms = self.clickhouse.query_timeout_ms + self.insert.max_execution_s * 1_000;
        let letter_ms = u64::from(self.dead_letter_producer.delivery_timeout_ms);
        let answer_ms = insert_ms.max(query_ms).max(self.registry.timeout_ms).max(letter_ms);
        Duration::from_millis(answer_ms + self.insert.retry_max_ms)
    }

    /// The most bytes of one partition between the poll and the close of their batch.
    pub fn max_in_flight_bytes(&self) -> usize {
        self.batch.max_batch_bytes + WAITING_BYTES
    }
}

/// When a batch closes: whichever comes first.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BatchConfig {
    /// A batch closes at so many records. A block of more rows would be split by ClickHouse, and a split block is
    /// another insert.
    #[schemars(range(min = 1, max = 500_000), extend("unit" = "records"))]
    pub max_batch_rows: usize,
    /// A batch closes at so many bytes of records.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_batch_bytes: usize,
    /// A batch closes so long after its first record.
    #[schemars(range(min = 1, max = 60_000))]
    pub flush_interval_ms: u64,
    /// A closed batch that nothing follows is committed plainly after this time.
    #[schemars(range(min = 0, max = 600_000))]
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

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InsertConfig {
    /// ClickHouse accepts an insert up to this long after its announcement.
    #[schemars(range(min = 1, max = 3_600))]
    pub deadline_s: u64,
    /// ClickHouse ends an insert that runs longer. A batch with a doubt waits for both before it is read back.
    #[schemars(range(min = 1, max = 3_600))]
    pub max_execution_s: u64,
    /// The first pause between tries; not more than `insert.retry_max_ms`.
    #[schemars(range(min = 1, max = 600_000))]
    pub retry_min_ms: u64,
    /// The longest pause between tries.
    #[schemars(range(min = 1, max = 600_000))]
    pub retry_max_ms: u64,
    /// How often the tables' columns are compared again.
    #[schemars(range(min = 1, max = 86_400_000))]
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

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeadLetterConfig {
    /// So many in a row on one partition stop the processor: then something else than the records is wrong.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "records"))]
    pub max_in_a_row: u64,
    /// How long a schema id that the registry doesn't know is waited for.
    #[schemars(range(min = 0, max = 3_600_000))]
    pub unknown_schema_wait_ms: u64,
}

impl Default for DeadLetterConfig {
    fn default() -> Self {
        Self { max_in_a_row: 10_000, unknown_schema_wait_ms: 3_000 }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EnrichConfig {
    /// Whether user agents are parsed into the columns `user_agent_*`. The rules take about 27 MiB of memory.
    pub user_agents: bool,
    /// A file in MaxMind's format with cities or countries, for the columns `geo_*`; none if empty. One that cannot be
    /// loaded stops nothing: the log and a metric say so, and the last good one stays.
    pub geoip_city_file: Option<PathBuf>,
    /// A file in MaxMind's format with autonomous systems, for the columns `geo_as_*`; none if empty.
    pub geoip_asn_file: Option<PathBuf>,
    /// How often the files are looked at; one that changed is loaded.
    #[schemars(range(min = 100, max = 86_400_000))]
    pub reload_interval_ms: u64,
    /// A larger file is not loaded. A file takes its size in memory, twice while another replaces it.
    #[schemars(range(min = 1, max = 8_589_934_592_u64))]
    pub max_geoip_file_bytes: u64,
    /// How long the look-ups of one batch may take. What is over stays empty and has the flag
    /// `enrichment_incomplete`.
    #[schemars(range(min = 1, max = 60_000))]
    pub budget_ms: u64,
}

impl Default for EnrichConfig {
    fn default() -> Self {
        Self {
            user_agents: true,
            geoip_city_file: None,
            geoip_asn_file: None,
            reload_interval_ms: 60_000,
            max_geoip_file_bytes: 1024 * 1024 * 1024,
            budget_ms: 500,
        }
    }
}

impl EnrichConfig {
    pub fn reload_interval(&self) -> Duration {
        Duration::from_millis(self.reload_interval_ms)
    }

    pub fn budget(&self) -> Duration {
        Duration::from_millis(self.budget_ms)
    }
}
