//! Everything that speaks to ClickHouse. The only crate that names its client.

pub mod client;
pub mod copy;
pub mod event_row;
pub mod examine;
mod http;
pub mod insert;
pub mod migrate;
pub mod read_back;
pub mod restore;
pub mod sql;
pub mod tables;

pub use client::{ClickHouse, ClickHouseConfig, EngineError, ErrorKind, SettingsError};
pub use sql::Sql;
