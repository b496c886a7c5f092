//! The gateway's settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use identity::TokenConfig;
use kafka_io::KafkaConfig;
use kafka_io::producer::ProducerConfig;
use kafka_io::registry::RegistryConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::Secret;
use service_kit::config::{AdminConfig, ConfigError, HttpConfig, LogConfig};
use service_kit::service::Settings;

use crate::buffered::DeliveryConfig;
use crate::receipts::ReceiptConfig;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the service logs, on standard error.
    pub log: LogConfig,
    /// The HTTP listener and its bounds.
    pub http: HttpConfig,
    /// Where the service shows its health and metrics: `/healthz`, `/readyz`, `/metrics`.
    pub admin: AdminConfig,
    /// How to reach Kafka.
    pub kafka: KafkaConfig,
    /// The producer of events.
    pub producer: ProducerConfig,
    /// The schema registry.
    pub registry: RegistryConfig,
    /// The signed answers for accepted events.
    pub receipts: ReceiptConfig,
    /// Asynchronous delivery.
    pub delivery: DeliveryConfig,
    /// What one request, and all of them together, may take.
    pub limits: Limits,
    /// The secret under which API keys are hashed, at least 16 bytes. It or its file is required.
    pub pepper: Option<Secret>,
    /// The file that holds the pepper.
    pub pepper_file: Option<PathBuf>,
    /// Tokens (JWT) of an identity provider, taken beside API keys.
    pub tokens: TokenConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            http: HttpConfig::on(([127, 0, 0, 1], 8080).into()),
            admin: AdminConfig { listen: ([127, 0, 0, 1], 9101).into() },
            kafka: KafkaConfig::default(),
            producer: ProducerConfig::default(),
            registry: RegistryConfig::default(),
            receipts: ReceiptConfig::default(),
            delivery: DeliveryConfig::default(),
            limits: Limits::default(),
            pepper: None,
            pepper_file: None,
            tokens: TokenConfig::default(),
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
        self.http.check()
    }
}

/// What one request, and all of them together, may take.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest body of a request.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    pub max_body_bytes: usize,
    /// The most events in one batch.
    #[schemars(range(min = 1, max = 100_000), extend("unit" = "events"))]
    pub max_batch_events: usize,
    /// Bodies that are held at once; one more is refused.
    #[schemars(range(min = 1, max = 65_536))]
    pub max_bodies_mib: usize,
    /// How long a client may take over its body.
    #[schemars(range(min = 1, max = 600_000))]
    pub body_timeout_ms: u64,
    /// Events that the holder of one key may send in a second.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "events/s"))]
    pub key_events_per_s: u32,
    /// Events that the holder of one key may send at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "events"))]
    pub key_burst_events: u32,
    /// Events that one tenant may send in a second.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "events/s"))]
    pub tenant_events_per_s: u32,
    /// Events that one tenant may send at once after a pause.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "events"))]
    pub tenant_burst_events: u32,
    /// Bytes of bodies, unpacked, that one tenant may send in a second.
    #[schemars(range(min = 1, max = 4_000_000_000_u32), extend("unit" = "bytes/s"))]
    pub tenant_bytes_per_s: u32,
    /// Requests of one tenant that are in work at once; the next ones wait for their turn.
    #[schemars(range(min = 1, max = 65_536), extend("unit" = "requests"))]
    pub tenant_requests_in_work: usize,
    /// How long a request may wait for its turn.
    #[schemars(range(min = 1, max = 600_000))]
    pub turn_timeout_ms: u64,
    /// Events that this gateway takes in a second, from all tenants together.
    #[schemars(range(min = 1, max = 1_000_000_000), extend("unit" = "events/s"))]
    pub all_events_per_s: u32,
    /// The same in bytes of bodies, unpacked.
    #[schemars(range(min = 1, max = 4_000_000_000_u32), extend("unit" = "bytes/s"))]
    pub all_bytes_per_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 10 * 1024 * 1024,
            max_batch_events: 10_000,
            max_bodies_mib: 256,
            body_timeout_ms: 20_000,
            key_events_per_s: 1_000_000,
            key_burst_events: 1_000_000,
            tenant_events_per_s: 1_000_000,
            tenant_burst_events: 1_000_000,
            tenant_bytes_per_s: 1_000_000_000,
            tenant_requests_in_work: 1_024,
            turn_timeout_ms: 5_000,
            all_events_per_s: 2_000_000,
            all_bytes_per_s: 2_000_000_000,
        }
    }
}
