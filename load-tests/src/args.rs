//! What the command line takes.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::bench::args::BenchCommand;
use crate::siege::args::SiegeCommand;

const LONG_ABOUT: &str = "\
Loads a running Sealtrail with numbered events and proves what became of each.

generate, verify and kill speak to a running stack and start none. `make up-detached` starts one and writes its addresses
down:

  sealtrail-load --env-file .local/demo.env generate --events 100000 --ledger ledger.json
  sealtrail-load --env-file .local/demo.env verify --ledger ledger.json
  sealtrail-load --env-file .local/demo.env --run-dir .local/run kill --target clickhouse --events 1000000

bench and siege start a stack of their own, unless --env-file names one:

  sealtrail-load bench gateway --quick
  sealtrail-load siege connections

The API key is read from SEALTRAIL_API_KEY, in that file or in the environment, never from a flag.

Every event carries `attributes.run` and `attributes.n`, so that SQL finds it:

  SELECT count() FROM events WHERE attributes['run'] = 'load-…'";

const EXIT_CODES: &str = "\
Exit status: 0 all holds, 1 something does not hold (or was not taken), 2 nobody can tell: an engine did not answer, or
the arguments are wrong.";

/// Load a running Sealtrail with numbered events and prove what became of each
#[derive(Debug, Parser)]
#[command(name = "sealtrail-load", version, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    pub stack: StackFlags,
    #[command(subcommand)]
    pub command: Command,
}

/// Where the stack is. A flag goes before the file of `--env-file`, and that before the environment.
#[derive(Debug, Default, Args)]
pub struct StackFlags {
    /// A file of lines KEY=VALUE with the variables named below, such as .local/demo.env
    #[arg(long, global = true, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Base URL of the ingest gateway [env: SEALTRAIL_GATEWAY_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub gateway_url: Option<String>,
    /// ClickHouse over HTTP: database, user and password in the query string [env: SEALTRAIL_CLICKHOUSE_URL]
    #[arg(long, global = true, value_name = "URL")]
    pub clickhouse_url: Option<String>,
    /// Where the stack keeps its <service>.pid files [env: SEALTRAIL_RUN_DIR]
    #[arg(long, global = true, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send numbered events and keep account of every answer
    Generate(GenerateArgs),
    /// Check with SQL that the trail holds what a ledger says, and that its batches tile and add up
    Verify(VerifyArgs),
    /// Kill a service with SIGKILL at random moments of a load, then verify
    ///
    /// Sends events and meanwhile kills the process that <run-dir>/<service>.pid names. The stack's supervisor must start
    /// the service again and rewrite that file. Nothing else should write to the trail until the checks are through.
    Kill(KillArgs),
    /// Measure one way of doing something against another, side by side
    #[command(subcommand)]
    Bench(BenchCommand),
    /// Crowd the services, and see that those who behave are served all the same
    #[command(subcommand)]
    Siege(SiegeCommand),
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    #[command(flatten)]
    pub load: LoadArgs,
    /// How many events to send
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub events: u64,
    /// Write what became of each number as JSON, for `verify`
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    /// Decides event ids and contents; drawn when absent. A trail takes a seed once, see --first-at
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// Time of the first event, RFC 3339. Seed and time of an earlier run together repeat its events byte for byte; the
    /// same seed with another time would send other bodies under the same ids
    #[arg(long, value_name = "TIME")]
    pub first_at: Option<DateTime<Utc>>,
    /// Events in one request
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub batch: u64,
    /// Requests under way at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub connections: u64,
    /// Share of the acknowledged events to send once more, 0 to 1; each must end in `duplicates`
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    pub duplicates: f64,
    /// At most so many events a second; as fast as it goes when absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub rate: Option<u64>,
    /// End the load when a request found no definite answer for so long, retries included
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub give_up_after_s: u64,
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// What `generate` wrote
    #[arg(long, value_name = "FILE")]
    pub ledger: PathBuf,
    /// How long the trail may stand still, short of the acknowledged events, before the checks begin anyway
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait_s: u64,
}

#[derive(Debug, Args)]
pub struct KillArgs {
    /// Which service to kill
    #[arg(long)]
    pub target: Target,
    /// How often
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub kills: u32,
    /// How many events to send
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub events: u64,
    #[command(flatten)]
    pub load: LoadArgs,
    /// How long a killed service may take until its pid file names another living process
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub restart_wait_s: u64,
    /// As in `verify`
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait_s: u64,
    /// Write what became of each number as JSON, to verify it again later
    #[arg(long, value_name = "FILE")]
    pub ledger: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    Processor,
    Clickhouse,
    Gateway,
    Kafka,
}

impl Target {
    /// The name of its pid file, without `.pid`.
    pub fn service(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Clickhouse => "clickhouse",
            Self::Gateway => "gateway",
            Self::Kafka => "kafka",
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1, such as 0.05".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let cli = Cli::try_parse_from(["sealtrail-load", "kill", "--target", "processor", "--run-dir", "r"]);
        let Command::Kill(kill) = cli.expect("parses").command else { panic!("another command") };
        assert_eq!((kill.kills, kill.events, kill.load.batch), (5, 1_000_000, 500));
    }

    #[test]
    fn a_share_is_between_0_and_1() {
        assert!(share("0.25").is_ok());
        assert!(share("1.5").is_err() && share("NaN").is_err());
    }
}
