//! What is written down between the parts: the Avro schema, the event-type catalogue, the ClickHouse tables, and the
//! codec between them. No I/O.

pub mod access;
pub mod avro;
pub mod catalogue;
pub mod columns;
pub mod migrations;
pub mod schema_bounds;
mod skipping;
pub mod table;
pub mod wire;

/// The topic that carries the trail, and its value subject in the registry.
pub const EVENTS_TOPIC: &str = "audit.events.v1";
pub const EVENTS_SUBJECT: &str = "audit.events.v1-value";
pub const DEAD_LETTERS_TOPIC: &str = "audit.dead-letters.v1";
pub const CONTROL_TOPIC: &str = "audit.control.v1";
pub const CHECKPOINTS_TOPIC: &str = "audit.checkpoints.v1";

/// The largest record value that the trail takes, in bytes.
pub const MAX_RECORD_BYTES: usize = 1024 * 1024;
