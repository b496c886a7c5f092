//! Where things are: flags that also read the variables that `make up` writes.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use audit_event::credential::Pepper;
use clap::Args;
use clickhouse_io::{ClickHouse, ClickHouseConfig};
use kafka_io::KafkaConfig;
use kafka_io::config::TopicCheck;
use reqwest::Url;
use service_kit::{Secret, secret};

use crate::registry::Registry;
use crate::{kafka_file, trust};

/// A query over all rows of a trail of years.
const WHOLE_TABLE_LIMIT: Duration = Duration::from_secs(3_600);

#[derive(Debug, Clone, Args)]
pub struct KafkaFlags {
    /// Kafka brokers, joined by commas; without it those of --kafka-config, or 127.0.0.1:9092
    #[arg(long, env = "SEALTRAIL_KAFKA", value_name = "BROKERS")]
    pub kafka: Option<String>,
    /// TOML file with the table `kafka` of a service's settings, for brokers with TLS or passwords
    #[arg(long, env = "SEALTRAIL_KAFKA_CONFIG", value_name = "FILE")]
    pub kafka_config: Option<String>,
}

impl KafkaFlags {
    pub fn config(&self, topic_check: TopicCheck) -> anyhow::Result<KafkaConfig> {
        // an empty variable is none, as an environment can hardly take one back
        let file = self.kafka_config.as_ref().filter(|path| !path.is_empty());
        let config = file.map(|path| kafka_file::read(path.as_ref())).transpose()?.unwrap_or_default();
        let brokers = self.kafka.clone().filter(|brokers| !brokers.is_empty());
        Ok(KafkaConfig { brokers: brokers.unwrap_or(config.brokers.clone()), topic_check, ..config })
    }
}

#[derive(Debug, Clone, Args)]
pub struct ClickHouseFlags {
    /// ClickHouse over HTTP or HTTPS, with database, user and password in the query string
    #[arg(long, env = "SEALTRAIL_CLICKHOUSE_URL", hide_env_values = true, value_name = "URL")]
    pub clickhouse: String,
}

impl ClickHouseFlags {
    pub fn connect(&self) -> anyhow::Result<ClickHouse> {
        self.connect_within(Duration::from_millis(ClickHouseConfig::default().query_timeout_ms))
    }

    /// For what looks at every row there is.
    pub fn connect_patiently(&self) -> anyhow::Result<ClickHouse> {
        self.connect_within(WHOLE_TABLE_LIMIT)
    }

    fn connect_within(&self, limit: Duration) -> anyhow::Result<ClickHouse> {
        // the URL holds a password: name the variable, not the value
        let mut url = Url::parse(&self.clickhouse).context("SEALTRAIL_CLICKHOUSE_URL is not a URL")?;
        let ca_file = trust::ca_file().map(ToOwned::to_owned);
        let query_timeout_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        let mut config = ClickHouseConfig { ca_file, query_timeout_ms, ..ClickHouseConfig::default() };
        for (key, value) in url.query_pairs() {
            match &*key {
                "database" => config.database = value.into_owned(),
                "user" => config.user = value.into_owned(),
                "password" => config.password = Some(Secret::new(value)),
                other => anyhow::bail!(
                    "SEALTRAIL_CLICKHOUSE_URL: unknown parameter {other}; database, user and password are read"
                ),
            }
        }
        url.set_query(None);
        config.url = url.as_str().trim_end_matches('/').to_owned();
        Ok(ClickHouse::new(&config)?)
    }
}

#[derive(Debug, Clone, Args)]
pub struct RegistryFlags {
    /// Schema registry; a login stands before its host, as in https://user:password@host
    #[arg(
        long,
        env = "SEALTRAIL_REGISTRY_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8085",
        value_name = "URL"
    )]
    pub registry: String,
}

impl RegistryFlags {
    pub fn connect(&self) -> anyhow::Result<Registry> {
        // it may hold a password: name the variable, not the value
        Registry::new(Url::parse(&self.registry).context("SEALTRAIL_REGISTRY_URL is not a URL")?)
    }
}

#[derive(Debug, Clone, Args)]
pub struct GroupFlags {
    /// The processors' consumer group, as in their setting group.group_id
    #[arg(long, default_value = "sealtrail-processor", value_name = "ID")]
    pub group: String,
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

/// How many brokers the topics are meant for.
#[derive(Debug, Clone, Copy, Args)]
pub struct SingleBrokerFlag {
    /// One replica is enough, as on a laptop with one broker: a lost disk loses the trail
    #[arg(long, env = "SEALTRAIL_SINGLE_BROKER", value_parser = clap::builder::FalseyValueParser::new())]
    pub single_broker: bool,
}

impl SingleBrokerFlag {
    pub fn topic_check(self) -> TopicCheck {
        if self.single_broker { TopicCheck::SingleBroker } else { TopicCheck::Strict }
    }
}

#[derive(Debug, Clone, Args)]
pub struct GatewayUrlFlag {
    /// Ingest gateway
    #[arg(long, env = "SEALTRAIL_GATEWAY_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub gateway: Url,
}

#[derive(Debug, Clone, Args)]
pub struct GatewayFlags {
    #[command(flatten)]
    pub address: GatewayUrlFlag,
    /// API key of a producer or an admin
    #[arg(long, env = "SEALTRAIL_API_KEY", hide_env_values = true, value_parser = read_secret)]
    pub api_key: Secret,
}

fn read_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}
