//! Tests against real Kafka, real ClickHouse and real processes. `make test` builds what they need.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bad_input;
mod cloudtrail;
mod crashes;
mod dedupe;
mod direct_door;
mod foreign_clients;
mod local_stack;
mod path_of_an_event;
mod query_api;
