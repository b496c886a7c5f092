//! Everything that speaks to Kafka and to the schema registry. The only crate that names rdkafka.

pub mod commits;
pub mod config;
pub mod control;
pub mod errors;
pub mod group;
pub mod last_use;
pub mod producer;
mod reach;
pub mod registry;
pub mod security;
pub mod tail;
pub mod topic_check;
pub mod topics;
pub mod unread;

pub use config::KafkaConfig;

/// An error of the Kafka client, with what was tried.
#[derive(Debug, thiserror::Error)]
#[error("{action}: {cause}")]
pub struct KafkaError {
    pub action: String,
    pub cause: String,
}

impl KafkaError {
    fn new(action: impl Into<String>, cause: impl std::fmt::Display) -> Self {
        Self { action: action.into(), cause: cause.to_string() }
    }

    /// For the making of a client: what it says of a setting that it refuses would show the setting's value.
    fn of_client(action: impl Into<String>, error: &rdkafka::error::KafkaError) -> Self {
        match error {
            rdkafka::error::KafkaError::ClientConfig(_, why, key, _) => {
                Self::new(action, format!("{key} is refused, check kafka.properties: {}", why.trim()))
            }
            other => Self::new(action, other),
        }
    }
}

/// The headers that the gateway, and a replay, put on a record: what differs when it is sent again, so that it stays out
/// of the datum.
pub mod headers {
    /// How the record came in; absent at the direct door.
    pub const DOOR: &str = "sealtrail-door";
    pub const DOOR_HTTP: &str = "http";
    /// The caller's address as the gateway saw it.
    pub const PEER: &str = "sealtrail-peer";
    /// The request that brought the record; any producer may set it.
    pub const CORRELATION_ID: &str = "sealtrail-correlation-id";
    /// W3C Trace Context, as OpenTelemetry's Kafka instrumentation names it; any producer may set both.
    pub const TRACEPARENT: &str = "traceparent";
    pub const TRACESTATE: &str = "tracestate";
    /// On a copy of a dead letter: `trail:partition:offset` of the letter.
    pub const REPLAY_OF: &str = "sealtrail-replay-of";
    /// On a copy of a dead letter: which replay wrote it, a UUID.
    pub const REPLAY_ID: &str = "sealtrail-replay-id";
}
