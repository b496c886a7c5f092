//! The gateway's settings.

use std::path::PathBuf;

use kafka_io::KafkaConfig;
use kafka_io::producer::ProducerConfig;
use kafka_io::registry::RegistryConfig;
use serde::{Deserialize, Serialize};
use service_kit::Secret;
use service_kit::config::{AdminConfig, HttpConfig, LogConfig};

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub log: LogConfig,
    pub http: HttpConfig,
    pub admin: AdminConfig,
    pub kafka: KafkaConfig,
    pub producer: ProducerConfig,
    pub registry: RegistryConfig,
    pub limits: Limits,
    /// The secret under which API keys are hashed.
    pub pepper: Option<Secret>,
    pub pepper_file: Option<PathBuf>,
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
            limits: Limits::default(),
            pepper: None,
            pepper_file: None,
        }
    }
}

/// What one request, and all of them together, may take.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub max_body_bytes: usize,
    pub max_batch_events: usize,
    /// Bodies that are held at once; one more is refused.
    pub max_bodies_mib: usize,
    /// How long a client may take over its body.
    pub body_timeout_ms: u64,
    /// Events that one tenant may send in a second, and how many at once after a pause.
    pub tenant_events_per_s: u32,
    pub tenant_burst_events: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 10 * 1024 * 1024,
            max_batch_events: 10_000,
            max_bodies_mib: 256,
            body_timeout_ms: 20_000,
            tenant_events_per_s: 1_000_000,
            tenant_burst_events: 1_000_000,
        }
    }
}
