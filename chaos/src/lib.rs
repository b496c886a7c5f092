//! Faults on real Kafka, real ClickHouse and real processes, and what became of every event meanwhile.
//!
//! Begin with [`scenario`]; [`scene`] is what a scenario may do; [`scenarios`] lists them; [`run`] leads them.
#![allow(clippy::print_stderr, reason = "a run says how far it is")]

pub mod archive;
pub mod args;
pub mod door;
pub mod engine;
pub mod fleet;
pub mod kafka;
pub mod load;
pub mod log;
pub mod oracle;
pub mod played;
pub mod ports;
pub mod process;
pub mod raw;
pub mod run;
pub mod scenario;
pub mod scenarios;
pub mod scene;
pub mod stack;
pub mod stage;
pub mod table;
pub mod tools;
pub mod wait;
