//! Everything that speaks to ClickHouse. The only crate that names its client.

pub mod client;
pub mod event_row;
pub mod insert;
pub mod migrate;
pub mod read_back;
pub mod restore;
pub mod sql;
pub mod tables;

pub use client::{ClickHouse, ClickHouseConfig, EngineError, ErrorKind};
pub use sql::Sql;
