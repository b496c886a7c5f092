//! How to reach Kafka.

use std::collections::BTreeMap;

use rdkafka::ClientConfig;
use serde::{Deserialize, Serialize};

/// How strictly the topics' settings are compared with the design's at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    pub brokers: String,
    pub topic_check: TopicCheck,
    /// Further settings as librdkafka names them, such as `security.protocol`.
    pub properties: BTreeMap<String, String>,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            topic_check: TopicCheck::Strict,
            properties: BTreeMap::new(),
        }
    }
}

impl KafkaConfig {
    /// The longest wait for one answer of a broker, in milliseconds.
    pub const REQUEST_TIMEOUT_MS: u64 = 10_000;

    /// A client's settings, before its own are added.
    pub(crate) fn client(&self, client_id: &str) -> ClientConfig {
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
        for (key, value) in &self.properties {
            client.set(key, value);
        }
        client
    }
}
