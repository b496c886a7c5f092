//! The query API's settings.

use std::path::PathBuf;

use clickhouse_io::ClickHouseConfig;
use kafka_io::KafkaConfig;
use serde::{Deserialize, Serialize};
use service_kit::Secret;
use service_kit::config::{AdminConfig, HttpConfig, LogConfig};
use thiserror::Error;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub log: LogConfig,
    pub http: HttpConfig,
    pub admin: AdminConfig,
    /// Where the control topic is.
    pub kafka: KafkaConfig,
    pub clickhouse: ClickHouseConfig,
    /// The secret under which API keys are hashed; or the file that holds it.
    pub pepper: Option<Secret>,
    pub pepper_file: Option<PathBuf>,
    /// ClickHouse refuses an answer that is larger.
    pub max_result_bytes: u64,
    /// A query more waits for a slot, and is answered 503 when none is free in time.
    pub max_concurrent_queries: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            log: LogConfig::default(),
            http: HttpConfig::on(([127, 0, 0, 1], 8081).into()),
            admin: AdminConfig { listen: ([127, 0, 0, 1], 9103).into() },
            kafka: KafkaConfig::default(),
            clickhouse: ClickHouseConfig::default(),
            pepper: None,
            pepper_file: None,
            max_result_bytes: 64 * 1024 * 1024,
            max_concurrent_queries: 64,
        }
    }
}

#[derive(Debug, Error)]
#[error("{setting} must be at least 1")]
pub struct ZeroSetting {
    setting: &'static str,
}

impl Config {
    /// ClickHouse reads 0 bytes as "no limit", and without a slot nothing is ever answered.
    pub fn check(&self) -> Result<(), ZeroSetting> {
        if self.max_result_bytes == 0 {
            return Err(ZeroSetting { setting: "max_result_bytes" });
        }
        if self.max_concurrent_queries == 0 {
            return Err(ZeroSetting { setting: "max_concurrent_queries" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::config::{CommonFlags, load};

    #[test]
    fn defaults_load_and_zero_is_refused() {
        let flags = |settings: &[&str]| CommonFlags {
            config: None,
            settings: settings.iter().map(|s| (*s).to_owned()).collect(),
        };
        let config: Config =
            load("QUERY_API_TEST", &flags(&["pepper=0123456789abcdef-pepper"])).expect("loads");
        config.check().expect("the defaults are fine");
        assert_eq!(config.http.listen.port(), 8081);
        assert!(!format!("{config:?}").contains("abcdef"), "a pepper is not printed");
        let config: Config = load("QUERY_API_TEST", &flags(&["max_concurrent_queries=0"])).expect("loads");
        assert!(config.check().is_err());
    }
}
