//! One scheme for all services: defaults < TOML file < environment (`SEALTRAIL_<SERVICE>__<KEY>`) < flags. An unknown
//! key is an error.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The flags that every service takes.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonFlags {
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, as in the TOML file: --set kafka.brokers=127.0.0.1:9092 (may be given more than once)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub settings: Vec<String>,
}

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("configuration file {} is not there; check --config", .0.display())]
    NoFile(PathBuf),
    #[error("--set takes KEY=VALUE, got `{0}`")]
    Flag(String),
    #[error("configuration: {0}")]
    Value(Box<figment::Error>),
}

/// Reads a service's settings. `service` is the name in the environment, such as `GATEWAY`.
pub fn load<T>(service: &str, flags: &CommonFlags) -> Result<T, ConfigError>
where
    T: Default + Serialize + DeserializeOwned,
{
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    if let Some(path) = &flags.config {
        if !path.is_file() {
            return Err(ConfigError::NoFile(path.clone()));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Env::prefixed(&format!("SEALTRAIL_{service}__")).split("__"));
    for setting in &flags.settings {
        let (key, value) = setting.split_once('=').ok_or_else(|| ConfigError::Flag(setting.clone()))?;
        let value: figment::value::Value = value.parse().expect("any text is a value");
        figment = figment.merge(Serialized::global(key, value));
    }
    figment.extract().map_err(|error| ConfigError::Value(Box::new(error)))
}

/// How a service logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A filter such as `info` or `info,processor=debug`.
    pub level: String,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Json }
    }
}

/// Where a service shows its health and metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    pub listen: SocketAddr,
}

/// The bounds of an HTTP listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    pub listen: SocketAddr,
    /// A connection more waits in the listener's backlog.
    pub max_connections: usize,
    pub header_timeout_ms: u64,
    pub request_timeout_ms: u64,
    /// How long requests in flight may go on after a stop was asked for.
    pub drain_timeout_ms: u64,
}

impl HttpConfig {
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            max_connections: 10_000,
            header_timeout_ms: 10_000,
            request_timeout_ms: 30_000,
            drain_timeout_ms: 10_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        log: LogConfig,
        depth: u32,
    }

    fn flags(settings: &[&str]) -> CommonFlags {
        CommonFlags { config: None, settings: settings.iter().map(|s| (*s).to_owned()).collect() }
    }

    #[test]
    fn flags_reach_nested_keys_and_an_unknown_key_is_an_error() {
        let sample: Sample = load("SAMPLE_TEST", &flags(&["log.level=debug", "depth=7"])).expect("loads");
        assert_eq!((sample.log.level.as_str(), sample.depth), ("debug", 7));
        assert!(load::<Sample>("SAMPLE_TEST", &flags(&["log.colour=red"])).is_err());
        assert!(load::<Sample>("SAMPLE_TEST", &flags(&["dept=7"])).is_err());
        assert!(matches!(load::<Sample>("SAMPLE_TEST", &flags(&["depth"])), Err(ConfigError::Flag(_))));
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let flags = CommonFlags { config: Some("/nowhere/x.toml".into()), settings: vec![] };
        assert!(matches!(load::<Sample>("SAMPLE_TEST", &flags), Err(ConfigError::NoFile(_))));
    }
}
