//! `sealtrail-local-stack`: the whole of Sealtrail on one machine, on real engines. Not for production.
#![allow(clippy::print_stdout, reason = "printing addresses is what this program does")]

mod accounts;
mod analyst;
mod clickhouse;
mod cluster;
mod demo;
mod engines;
mod examine;
mod fetch;
mod hold;
mod kafka;
mod layout;
mod mock;
mod ports;
mod ready;
mod registry;
mod secured;
mod services;
mod stack;
mod supervise;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio_util::sync::CancellationToken;

/// The whole of Sealtrail on one machine: Apache Kafka, a schema registry, ClickHouse, and all services.
#[derive(Debug, Parser)]
#[command(name = "sealtrail-local-stack", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and stay in the foreground; Ctrl-C stops it in order
    Up(stack::UpFlags),
    /// Stop a stack that runs in the background
    Down(layout::DirFlags),
    /// Add a tenant's analyst to the stack's ClickHouse, which starts again if it runs
    Analyst(analyst::AnalystFlags),
    /// Stop one service of a running stack, and keep it stopped
    Stop(hold::HoldFlags),
    /// Start a service that was stopped
    Start(hold::HoldFlags),
    /// Fetch the engines into the user's cache, and no more
    Fetch,
    /// Run the ClickHouse engine (used by `up`)
    #[command(hide = true)]
    Clickhouse(clickhouse::EngineFlags),
    /// Run the schema registry (used by `up`)
    #[command(hide = true)]
    Registry(registry::RegistryFlags),
    /// Speak TLS before plain ports (used by `up --secured`)
    #[command(hide = true)]
    TlsDoor(secured::door::DoorFlags),
    /// Run librdkafka's mock broker (used by `up` where Java is missing)
    #[command(hide = true)]
    MockKafka {
        /// File to write the broker's address to
        #[arg(long)]
        address_file: PathBuf,
    },
}

fn main() -> ExitCode {
    // one thread: children are tied to the life of the thread that starts them, and this one lives to the end
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("sealtrail: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(run(Cli::parse().command));
    // a read of standard input that still waits must not hold the end
    runtime.shutdown_background();
    code
}

async fn run(command: Command) -> ExitCode {
    let done = match command {
        Command::Up(flags) => stack::up(flags).await,
        Command::Down(flags) => stack::down(&flags).await,
        Command::Analyst(flags) => analyst::run(&flags).await,
        Command::Stop(flags) => hold::stop(&flags).await,
        Command::Start(flags) => hold::start(&flags).await,
        Command::Fetch => fetch::all().await,
        Command::Clickhouse(flags) => clickhouse::run_engine(&flags),
        Command::Registry(flags) => serve_registry(flags).await,
        Command::TlsDoor(flags) => {
            log_to_stderr();
            secured::door::run(flags).await
        }
        Command::MockKafka { address_file } => mock::run(&address_file).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sealtrail: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
}

async fn serve_registry(flags: registry::RegistryFlags) -> anyhow::Result<()> {
    log_to_stderr();
    let stop = CancellationToken::new();
    let (mut terminate, token) =
        (tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?, stop.clone());
    tokio::spawn(async move {
        terminate.recv().await;
        token.cancel();
    });
    registry::serve(flags.options()?, stop).await
}
