//! Everything that speaks to Kafka and to the schema registry. The only crate that names rdkafka.

pub mod config;
pub mod control;
pub mod group;
pub mod producer;
pub mod registry;
pub mod topics;

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
}

/// The headers that the gateway puts on a record: what differs when a producer retries, so that it stays out of the
/// datum.
pub mod headers {
    /// How the record came in; absent at the direct door.
    pub const DOOR: &str = "sealtrail-door";
    pub const DOOR_HTTP: &str = "http";
    /// The caller's address as the gateway saw it.
    pub const PEER: &str = "sealtrail-peer";
}
