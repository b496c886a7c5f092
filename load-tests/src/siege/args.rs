//! What `siege` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::bench::args::OwnStackArgs;

#[derive(Debug, Subcommand)]
pub enum SiegeCommand {
    /// 10,000 idle and 500 slow connections, and what a healthy client notices of them
    ///
    /// Calm and siege take turns; the healthy client sends one durable event every 20 ms on each of its connections all the
    /// while. The idle ones send nothing, half of the slow ones send their headers and the other half a body a byte a
    /// second; what the gateway closes is opened again. They come from many addresses of 127.0.0.0/8.
    ///
    /// The gateway needs http.max_connections above all of them together, http.max_connections_per_peer above the share
    /// of one address, and so many open files. The own stack is started with that. A stack of --env-file has to have it:
    /// SEALTRAIL_GATEWAY__HTTP__MAX_CONNECTIONS=20000 and `ulimit -n 20000` before its start.
    Connections(ConnectionsArgs),
    /// 2,000 clients that read and write for minutes, then the proof that nothing is lost or doubled
    ///
    /// Each client waits, sends one request, reads its answer and waits again. Any error, and a 95th percentile over
    /// 100 ms, of reads or of writes, is a failure.
    Clients(ClientsArgs),
}

#[derive(Debug, Clone, Args)]
pub struct ConnectionsArgs {
    /// Connections that send nothing
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub idle: u32,
    /// Connections that send a byte a second
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub slow: u32,
    /// Source addresses that they are spread over
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    pub addresses: u32,
    /// Connections of the healthy client
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub healthy: u32,
    /// How often calm and siege take turns
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub rounds: u32,
    /// How long each is measured
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    #[command(flatten)]
    pub own: OwnStackArgs,
}

#[derive(Debug, Clone, Args)]
pub struct ClientsArgs {
    /// How many clients
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub clients: u32,
    /// For how long
    #[arg(long, value_name = "S", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: u64,
    /// Requests of one client a second; its waits are drawn around that
    #[arg(long, value_name = "N", default_value_t = 0.5, value_parser = rate)]
    pub rate: f64,
    /// One client of so many reads, the others write
    #[arg(long, value_name = "N", default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    pub reader_every: u32,
    /// Decides event ids and contents; drawn when absent
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// How long the trail may stand still afterwards, short of the acknowledged events
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait_s: u64,
    /// Write what became of each event as JSON, for `verify`
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
    #[command(flatten)]
    pub own: OwnStackArgs,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.01..=100.0).contains(&rate) => Ok(rate),
        _ => Err("must be a number from 0.01 to 100".to_owned()),
    }
}
