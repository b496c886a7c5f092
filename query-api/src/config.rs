//! The query API's settings.

use std::net::SocketAddr;
use std::path::PathBuf;

use clickhouse_io::ClickHouseConfig;
use identity::TokenConfig;
use kafka_io::KafkaConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use service_kit::Secret;
use service_kit::config::{AdminConfig, ConfigError, HttpConfig, LogConfig};
use service_kit::service::Settings;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the service logs, on standard error.
    pub log: LogConfig,
    /// The HTTP listener and its bounds.
    pub http: HttpConfig,
    /// Where the service shows its health and metrics: `/healthz`, `/readyz`, `/metrics`.
    pub admin: AdminConfig,
    /// How to reach Kafka: the control topic is read there. `kafka.topic_check` is not used.
    pub kafka: KafkaConfig,
    /// How to reach ClickHouse. The user needs `SELECT` on the database, `system.tables` and `system.columns`.
    pub clickhouse: ClickHouseConfig,
    /// The secret under which API keys are hashed, at least 16 bytes; the gateway's. It or its file is required.
    pub pepper: Option<Secret>,
    /// The file that holds the pepper.
    pub pepper_file: Option<PathBuf>,
    /// Tokens (JWT) of an identity provider, taken beside API keys.
    pub tokens: TokenConfig,
    /// ClickHouse refuses an answer that is larger.
    #[schemars(range(min = 1, max = 17_179_869_184_u64))]
    pub max_result_bytes: u64,
    /// A query more waits two seconds for a slot, and is answered 503 when none is free in time.
    #[schemars(range(min = 1, max = 10_000), extend("unit" = "queries"))]
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
            tokens: TokenConfig::default(),
            max_result_bytes: 64 * 1024 * 1024,
            max_concurrent_queries: 64,
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

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::config::{CommonFlags, load};

    #[test]
    fn defaults_load_and_zero_is_refused() {
        let flags = |settings: &[&str]| CommonFlags {
            config: None,
            set: settings.iter().map(|s| (*s).to_owned()).collect(),
        };
        let config: Config =
            load("QUERY_API_TEST", &flags(&["pepper=0123456789abcdef-pepper"])).expect("loads");
        assert_eq!(config.http.listen.port(), 8081);
        assert!(!format!("{config:?}").contains("abcdef"), "a pepper is not printed");
        for zero in ["max_concurrent_queries=0", "max_result_bytes=0"] {
            // ClickHouse reads 0 bytes as "no limit", and without a slot nothing is ever answered
            assert!(load::<Config>("QUERY_API_TEST", &flags(&[zero])).is_err(), "{zero}");
        }
    }

    #[test]
    fn tokens_are_set_by_texts_and_have_bounds() {
        let with = |set: &[&str]| {
            let set = set.iter().map(|s| (*s).to_owned()).collect();
            load::<Config>("QUERY_API_TEST", &CommonFlags { config: None, set }).map(|config| config.tokens)
        };
        let tokens = with(&["tokens.algorithms=ES256,EdDSA", "tokens.audience=007"]).expect("loads");
        assert_eq!(tokens.algorithms.to_string(), "ES256,EdDSA");
        assert_eq!(tokens.audience.as_deref(), Some("007"), "a text stays as it is written");
        for refused in [
            "tokens.algorithms=HS256",
            "tokens.algorithms=",
            "tokens.leeway_s=301",
            "tokens.jwks_refresh_ms=999",
        ] {
            assert!(with(&[refused]).is_err(), "{refused}");
        }
    }
}
