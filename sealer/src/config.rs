//! The sealer's settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use kafka_io::KafkaConfig;
use kafka_io::producer::ProducerConfig;
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
    /// The producer of the topic of checkpoints.
    pub checkpoint_producer: ProducerConfig,
    /// The file that holds the secret of the logs' keys; `sealtrail log-keys create` makes one. It is required, and
    /// nobody else needs it.
    pub key_file: Option<PathBuf>,
    /// The directory that holds tiles and checkpoints.
    pub store_dir: PathBuf,
    /// When records are sealed.
    pub seal: SealConfig,
}

/// The times of the seal.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SealConfig {
    /// How long records wait for a checkpoint: one is signed so often, when there is news.
    #[schemars(range(min = 10, max = 60_000))]
    pub interval_ms: u64,
    /// How often the log's own witness says that the newest checkpoint is still the newest one.
    #[schemars(range(min = 1, max = 3_600))]
    pub heartbeat_s: u64,
    /// Full tiles (of 256 records each) that wait at most; then a seal does not wait for its time.
    #[schemars(range(min = 1, max = 100_000), extend("unit" = "tiles"))]
    pub max_waiting_tiles: usize,
    /// The wait before a log is tried again whose store, or whose topic, did not answer.
    #[schemars(range(min = 1, max = 600_000))]
    pub retry_ms: u64,
}

impl Default for SealConfig {
    fn default() -> Self {
        Self { interval_ms: 1_000, heartbeat_s: 60, max_waiting_tiles: 1_000, retry_ms: 1_000 }
    }
}

impl SealConfig {
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    pub fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat_s)
    }

    pub fn retry(&self) -> Duration {
        Duration::from_millis(self.retry_ms)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            admin: AdminConfig { listen: ([127, 0, 0, 1], 9104).into() },
            kafka: KafkaConfig::default(),
            checkpoint_producer: ProducerConfig::default(),
            key_file: None,
            store_dir: "log".into(),
            seal: SealConfig::default(),
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
        Ok(())
    }
}
