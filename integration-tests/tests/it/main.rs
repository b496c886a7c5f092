//! Tests against real Kafka, real ClickHouse and real processes. `make test` builds what they need.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod alerts;
mod analysts;
mod analysts_command;
mod backup;
mod bad_input;
mod bodies;
mod changed_columns;
mod cloudevents;
mod cloudtrail;
mod containers;
mod correlation;
mod crashes;
mod credentials;
mod dashboards;
mod dedupe;
mod dedupe_speed;
mod direct_door;
mod dlq;
mod docs;
mod doctor;
mod enrich;
mod errors;
mod foreign_clients;
mod kcat;
mod local_stack;
mod path_of_an_event;
mod query_api;
mod reference;
mod registries;
mod secured;
mod tokens;
