//! The `sealtrail-load` command: numbered events through the gateway, then the proof that each is in the trail once,
//! also when a service was killed meanwhile.

use std::process::ExitCode;

use clap::Parser;

use load_tests::args::{Cli, Command};
use load_tests::bench::args::BenchCommand;
use load_tests::report::Verdict;
use load_tests::siege::args::SiegeCommand;
use load_tests::{bench, generate, kill, siege, verify};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Generate(args) => generate::command(&cli.stack, args).await,
        Command::Verify(args) => verify::command(&cli.stack, args).await,
        Command::Kill(args) => kill::command(&cli.stack, args).await,
        Command::Bench(BenchCommand::Gateway(args)) => bench::gateway::command(&cli.stack, args).await,
        Command::Siege(SiegeCommand::Connections(args)) => {
            siege::connections::command(&cli.stack, args).await
        }
        Command::Siege(SiegeCommand::Clients(args)) => siege::clients::command(&cli.stack, args).await,
    };
    match done {
        Ok(verdict) => verdict.into(),
        Err(error) => {
            eprintln!("error: {error:#}");
            Verdict::CannotTell.into()
        }
    }
}
