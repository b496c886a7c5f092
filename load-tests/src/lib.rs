//! Numbered events through the gateway, the ledger of their answers, and the proof of what became of each. The command
//! `sealtrail-load` and the chaos runs use it.
#![allow(clippy::print_stdout, reason = "printing is what the command does")]

pub mod answer;
pub mod args;
pub mod bench;
pub mod books;
pub mod checks;
pub mod clickhouse;
pub mod env;
pub mod event;
pub mod generate;
pub mod http1;
pub mod kill;
pub mod ledger;
pub mod numbers;
pub mod own_stack;
pub mod pid_file;
pub mod progress;
pub mod ranges;
pub mod report;
pub mod send;
pub mod settle;
pub mod shapes;
pub mod siege;
pub mod verify;
