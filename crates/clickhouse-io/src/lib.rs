//! Everything that speaks to ClickHouse. The only crate that names its client.

pub mod client;
pub mod copy;
pub mod dead_letters;
pub mod earlier;
pub mod errors;
pub mod event_row;
pub mod examine;
mod http;
pub mod insert;
pub mod known_events;
pub mod migrate;
pub mod position;
pub mod read_back;
pub mod restore;
pub mod sql;
pub mod tables;

pub use client::{ClickHouse, ClickHouseConfig, SettingsError};
pub use errors::{EngineError, ErrorKind};
pub use sql::Sql;
