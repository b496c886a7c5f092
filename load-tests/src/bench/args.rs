//! What `bench` takes.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::side::Side;

const QUICK_ROUNDS: usize = 3;
const QUICK_SECONDS: u64 = 4;

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// What the gateway's promise costs: figures G1 to G3, each two ways measured side by side
    ///
    /// G1: one event a request, durable, against the same server that parses and drops. G2: 100 events a body through the
    /// gateway, against rdkafka alone with the same records ready made. G3: durable against buffered delivery
    /// (`?delivery=async`), 100 events a body. Each figure is the median of its rounds' ratios.
    ///
    /// Without --env-file it starts a stack of its own (Kafka, registry, gateway; no processor, no ClickHouse) and stops
    /// it. With one, nothing else may write to that trail meanwhile, and its gateway and broker must run here.
    Gateway(GatewayArgs),
}

#[derive(Debug, Clone, Args)]
pub struct GatewayArgs {
    /// 3 rounds of 4 s a side instead of 5 of 10 s: to see that it works, not to quote
    #[arg(long)]
    pub quick: bool,
    /// How often each pair is measured, the sides in turn [default: 5; 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub rounds: Option<u64>,
    /// How long each side is measured in a round [default: 10; 4 with --quick]
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: Option<u64>,
    /// Keep-alive connections of the client, each with one request under way
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub connections: u64,
    /// Only these figures, such as G1,G3; the others are written as incomplete
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Where the figures are written as JSON
    #[arg(long, value_name = "FILE", default_value = "target/bench-gateway.json")]
    pub out: PathBuf,
    #[command(flatten)]
    pub own: OwnStackArgs,
}

/// The stack that is started where no --env-file is given.
#[derive(Debug, Clone, Args)]
pub struct OwnStackArgs {
    /// Where the own stack keeps its data and logs; emptied first
    #[arg(long, value_name = "DIR", default_value = "target/bench/stack")]
    pub dir: PathBuf,
    /// Added to every port of the own stack
    #[arg(long, value_name = "N", default_value_t = 6_000, value_parser = clap::value_parser!(u16).range(0..=23_000))]
    pub port_shift: u16,
}

impl GatewayArgs {
    pub fn rounds(&self) -> usize {
        let given = self.rounds.and_then(|rounds| usize::try_from(rounds).ok());
        given.unwrap_or(if self.quick { QUICK_ROUNDS } else { 5 })
    }

    pub fn side(&self) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(if self.quick { QUICK_SECONDS } else { 10 }))
    }

    /// How long a side runs before anything is measured.
    pub fn warm_up(&self, side: Side) -> Duration {
        let for_the_broker = Duration::from_secs(if self.scale() == "full" { 30 } else { 5 });
        if side.is_kept() { for_the_broker } else { self.side() / 2 }
    }

    /// How much the figures may be relied on.
    pub fn scale(&self) -> &'static str {
        if self.rounds() >= 5 && self.side() >= Duration::from_secs(10) { "full" } else { "quick" }
    }

    pub fn wants(&self, key: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only.eq_ignore_ascii_case(key))
    }
}
