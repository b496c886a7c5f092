//! The `sealtrail` command.
#![allow(clippy::print_stdout, reason = "printing is what this program does")]

mod cloudtrail;
mod connect;
mod credentials;
mod deliver;
mod import;
mod init;
mod send;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sealtrail: the audit trail that can be believed.
///
/// Addresses and credentials come from flags or from the environment; `make up` writes both to .local/demo.env:
///
///   set -a; . .local/demo.env; set +a
///   sealtrail import cloudtrail FILE…
#[derive(Debug, Parser)]
#[command(name = "sealtrail", version, verbatim_doc_comment)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the ClickHouse tables up to this version
    Migrate(connect::ClickHouseFlags),
    /// Make the topics and begin the trail; does nothing where that was done
    Init(init::InitFlags),
    /// Tenants
    #[command(subcommand)]
    Tenants(credentials::TenantCommand),
    /// API keys
    #[command(subcommand)]
    Keys(credentials::KeyCommand),
    /// Bring events of other systems into the trail
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Send events from JSON files: one event, an array, or one event a line
    Send(send::SendFlags),
}

/// Some events were not taken, or some input could not be read; the rest is in the trail.
const INCOMPLETE: u8 = 1;
/// Nothing was done, or nobody knows how much.
const FAILED: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Migrate(flags) => init::migrate(&flags).await.map(|()| true),
        Command::Init(flags) => init::run(&flags).await.map(|()| true),
        Command::Tenants(command) => credentials::tenants(command).await.map(|()| true),
        Command::Keys(command) => credentials::keys(command).await.map(|()| true),
        Command::Import(command) => import::run(command).await,
        Command::Send(flags) => send::run(flags).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(INCOMPLETE),
        Err(error) => {
            eprintln!("sealtrail: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
