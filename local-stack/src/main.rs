//! `sealtrail-local-stack`: the whole of Sealtrail on one machine, on real engines. Not for production.
#![allow(clippy::print_stdout, reason = "printing addresses is what this program does")]

mod clickhouse;
mod demo;
mod fetch;
mod kafka;
mod layout;
mod mock;
mod ports;
mod ready;
mod registry;
mod services;
mod stack;
mod supervise;

use std::net::SocketAddr;
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
    /// Fetch the engines into the user's cache, and no more
    Fetch,
    /// Run the ClickHouse engine (used by `up`)
    #[command(hide = true)]
    Clickhouse(clickhouse::EngineFlags),
    /// Run the schema registry (used by `up`)
    #[command(hide = true)]
    Registry {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        kafka: String,
    },
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
        Command::Fetch => fetch::all().await,
        Command::Clickhouse(flags) => clickhouse::run_engine(&flags),
        Command::Registry { listen, kafka } => serve_registry(listen, kafka).await,
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

async fn serve_registry(listen: SocketAddr, kafka: String) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let stop = CancellationToken::new();
    let (mut terminate, token) =
        (tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?, stop.clone());
    tokio::spawn(async move {
        terminate.recv().await;
        token.cancel();
    });
    registry::serve(registry::RegistryOptions { listen, kafka }, stop).await
}
