//! Where things are: flags that also read the variables that `make up` writes.

use std::path::PathBuf;

use anyhow::Context;
use audit_event::credential::Pepper;
use clap::Args;
use clickhouse_io::{ClickHouse, ClickHouseConfig};
use kafka_io::KafkaConfig;
use kafka_io::config::TopicCheck;
use reqwest::Url;
use service_kit::{Secret, secret};

#[derive(Debug, Clone, Args)]
pub struct KafkaFlags {
    /// Kafka brokers
    #[arg(long, env = "SEALTRAIL_KAFKA", default_value = "127.0.0.1:9092")]
    pub kafka: String,
}

impl KafkaFlags {
    pub fn config(&self, topic_check: TopicCheck) -> KafkaConfig {
        KafkaConfig { brokers: self.kafka.clone(), topic_check, ..KafkaConfig::default() }
    }
}

#[derive(Debug, Clone, Args)]
pub struct ClickHouseFlags {
    /// ClickHouse over HTTP, with database, user and password in the query string
    #[arg(long, env = "SEALTRAIL_CLICKHOUSE_URL", hide_env_values = true, value_name = "URL")]
    pub clickhouse: String,
}

impl ClickHouseFlags {
    pub fn connect(&self) -> anyhow::Result<ClickHouse> {
        // the URL holds a password: name the variable, not the value
        let mut url = Url::parse(&self.clickhouse).context("SEALTRAIL_CLICKHOUSE_URL is not a URL")?;
        let mut config = ClickHouseConfig::default();
        let mut password = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "database" => config.database = value.into_owned(),
                "user" => config.user = value.into_owned(),
                "password" => password = Some(value.into_owned()),
                other => anyhow::bail!(
                    "SEALTRAIL_CLICKHOUSE_URL: unknown parameter {other}; database, user and password are read"
                ),
            }
        }
        url.set_query(None);
        config.url = url.as_str().trim_end_matches('/').to_owned();
        Ok(ClickHouse::new(&config, password.as_deref()))
    }
}

#[derive(Debug, Clone, Args)]
pub struct PepperFlags {
    /// File with the secret under which API keys are hashed; gateway and query-api read the same
    #[arg(long, env = "SEALTRAIL_PEPPER_FILE", value_name = "FILE")]
    pub pepper_file: PathBuf,
}

impl PepperFlags {
    pub fn read(&self) -> anyhow::Result<Pepper> {
        let secret = secret::require("pepper", None, Some(&self.pepper_file))?;
        Ok(Pepper::new(secret.expose())?)
    }
}

#[derive(Debug, Clone, Args)]
pub struct GatewayFlags {
    #[arg(long, env = "SEALTRAIL_GATEWAY_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub gateway: Url,
    /// API key of a producer or an admin
    #[arg(long, env = "SEALTRAIL_API_KEY", hide_env_values = true, value_parser = read_secret)]
    pub api_key: Secret,
}

fn read_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}
