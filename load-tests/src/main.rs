//! The `sealtrail-load` command: numbered events through the gateway, then the proof that each is in the trail once,
//! also when a service was killed meanwhile.
#![allow(clippy::print_stdout, reason = "printing is what this program does")]

mod answer;
mod args;
mod books;
mod checks;
mod clickhouse;
mod env;
mod event;
mod generate;
mod kill;
mod ledger;
mod numbers;
mod pid_file;
mod progress;
mod ranges;
mod report;
mod send;
mod settle;
mod shapes;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::report::Verdict;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Generate(args) => generate::command(&cli.stack, args).await,
        Command::Verify(args) => verify::command(&cli.stack, args).await,
        Command::Kill(args) => kill::command(&cli.stack, args).await,
    };
    match done {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Verdict::CannotTell.into()
        }
    }
}
