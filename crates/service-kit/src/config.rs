//! One scheme for all services: defaults < TOML file < environment (`SEALTRAIL_<SERVICE>__<KEY>`) < flags. An unknown
//! key is an error, and so is a number outside its bounds.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::http_config::{HttpConfig, TlsConfig};
use crate::reference::variable;
use crate::setting::{self, Kind, Setting};
use crate::toml_file::{self, TomlFileError};

/// The flags that every service takes.
#[derive(Debug, Clone, Default, Args)]
pub struct CommonFlags {
    /// TOML file with settings
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting: --set kafka.brokers=127.0.0.1:9092 (may be given more than once)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Error)]
pub enum ConfigError {
    #[error("configuration file {} is not there; check --config", .0.display())]
    NoFile(PathBuf),
    #[error("--set takes KEY=VALUE, got `{0}`")]
    Flag(String),
    #[error("configuration file {0}")]
    Content(#[from] TomlFileError),
    #[error("configuration: {0}")]
    Value(Box<figment::Error>),
    /// Each setting can be read, and together they break a rule.
    #[error("configuration: {0}")]
    Rule(String),
}

/// Reads a service's settings. `service` is the name in the environment, such as `GATEWAY`.
pub fn load<T>(service: &str, flags: &CommonFlags) -> Result<T, ConfigError>
where
    T: Default + Serialize + DeserializeOwned + JsonSchema,
{
    let settings = setting::all::<T>();
    let mut figment = Figment::from(Serialized::defaults(T::default()));
    if let Some(path) = &flags.config {
        if !path.is_file() {
            return Err(ConfigError::NoFile(path.clone()));
        }
        // figment would show the line at fault, which may hold a secret
        let _sound = toml_file::read::<toml::Table>(path)?;
        figment = figment.merge(Toml::file_exact(path));
    }
    for (key, text) in Env::prefixed(&format!("SEALTRAIL_{service}__")).split("__").iter() {
        figment = figment.merge(Given::new(variable(service, key.as_str()), key.as_str(), &text, &settings));
    }
    for flag in &flags.set {
        let (key, text) = flag.split_once('=').ok_or_else(|| ConfigError::Flag(flag.clone()))?;
        figment = figment.merge(Given::new(format!("--set {key}"), key, text, &settings));
    }
    let loaded: T = figment.extract().map_err(|error| ConfigError::Value(Box::new(error)))?;
    let values = serde_json::to_value(&loaded).unwrap_or_default();
    setting::out_of_bounds(&settings, &values).map_or(Ok(loaded), |fault| Err(ConfigError::Rule(fault)))
}

/// One value of the environment or of a flag.
struct Given {
    source: String,
    key: String,
    value: Value,
}

impl Given {
    /// What a text setting is given stays as it is written: a password may be digits only, with zeros before them.
    /// The texts of a list are joined by commas.
    fn new(source: String, key: &str, text: &str, settings: &[Setting]) -> Self {
        let value = match settings.iter().find(|setting| setting.key == key).map(|setting| &setting.kind) {
            Some(kind) if kind.is_text() => Value::from(text),
            Some(Kind::List) => {
                Value::from(text.split(',').map(str::trim).filter(|t| !t.is_empty()).collect::<Vec<_>>())
            }
            _ => text.parse().expect("any text is a value"),
        };
        Self { source, key: key.to_owned(), value }
    }
}

impl Provider for Given {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.source.clone()).interpolater(|_, keys| keys.join("."))
    }

    fn data(&self) -> figment::error::Result<Map<Profile, Dict>> {
        let nested = figment::util::nest(&self.key, self.value.clone());
        Ok(Profile::Default.collect(nested.into_dict().unwrap_or_default()))
    }
}

/// How the service logs, on standard error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A filter such as `info` or `info,kafka_io=debug`.
    pub level: String,
    /// How a line is written.
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object a line, for machines.
    Json,
    /// Lines for people.
    Text,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Json }
    }
}

/// Where the service shows its health and metrics: `/healthz`, `/readyz`, `/metrics`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdminConfig {
    /// Address and port; `0.0.0.0` or `[::]` for all of the machine's addresses.
    #[schemars(with = "String", extend("format" = "address:port"))]
    pub listen: SocketAddr,
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
