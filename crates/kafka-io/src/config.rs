//! How to reach Kafka.

use std::collections::BTreeMap;

use client_security::Secret;
use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::KafkaError;
use crate::security::SecurityConfig;

/// How strictly the topics' settings are compared with the design's at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TopicCheck {
    /// Refuse on any setting that breaks the promise.
    Strict,
    /// As strict, but one replica is enough: a laptop has one broker.
    SingleBroker,
    /// For brokers that cannot be asked, such as the mock; no promise is kept.
    Off,
}

/// Settings that all clients share.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Bootstrap servers, joined by commas.
    #[schemars(extend("format" = "host:port,…"))]
    pub brokers: String,
    /// How strictly the topics' settings are compared with what the promise needs, at start.
    pub topic_check: TopicCheck,
    pub security: SecurityConfig,
    /// Further settings as librdkafka names them, such as `client.rack`. What consumers and producers need for their
    /// promise is set after them and stays. Their values are shown nowhere.
    pub properties: BTreeMap<String, Secret>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            topic_check: TopicCheck::Strict,
            security: SecurityConfig::default(),
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    /// The longest wait for one answer of a broker, in milliseconds.
    pub const REQUEST_TIMEOUT_MS: u64 = 10_000;

    /// A client's settings, before its own are added.
    pub(crate) fn client(&self, client_id: &str) -> Result<ClientConfig, KafkaError> {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", client_id)
            .set("socket.timeout.ms", Self::REQUEST_TIMEOUT_MS.to_string())
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.ms", "100")
            .set("reconnect.backoff.max.ms", "2000")
            // the log is the service's; librdkafka's own lines about reconnects would drown it
            .set("log.connection.close", "false");
        self.security.apply(&mut client).map_err(|e| KafkaError::new("set up the kafka client", e))?;
        for (key, value) in &self.properties {
            client.set(key, value.expose());
        }
        Ok(client)
    }
}
