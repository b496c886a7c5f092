//! What the command line takes.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

const LONG_ABOUT: &str = "\
Brings faults about on three real Kafka brokers, the real ClickHouse and real processes, under load, and proves that
no event is lost or doubled and that the services recover, or stop with their reason and go on afterwards.

It starts a stack of its own, on ports shifted by --port-shift, and ends it. Logs go to <dir>/<fault>-<case>.log, those of
the stack to <dir>/stack/log; those of a scenario that was not as expected are kept in <dir>/<fault>-<case>.stack-logs.";

const EXIT_CODES: &str = "\
Exit status: 0 all as expected, 1 something is not, 2 nobody can tell: no stack, or the arguments are wrong.";

/// Faults on real engines and real processes, and what became of every event
#[derive(Debug, Parser)]
#[command(name = "sealtrail-chaos", version, long_about = LONG_ABOUT, after_help = EXIT_CODES)]
pub struct Cli {
    /// List the scenarios, and run none
    #[arg(long)]
    pub list: bool,
    /// Only these faults, such as F11 or F11,F16; not with `--part long`, which draws from all
    #[arg(long, value_delimiter = ',', value_name = "FAULT")]
    pub fault: Vec<String>,
    /// Only cases whose description holds this text
    #[arg(long, value_name = "TEXT")]
    pub case: Option<String>,
    /// Which part to run
    #[arg(long, value_enum, default_value_t = RunPart::Full)]
    pub part: RunPart,
    /// Repeats the random choices of an earlier run; drawn when absent
    #[arg(long, value_name = "S")]
    pub seed: Option<u64>,
    /// How long `--part long` goes on
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_440))]
    pub minutes: u64,
    /// Logs, and the stack's data
    #[arg(long, value_name = "DIR", default_value = "target/chaos")]
    pub dir: PathBuf,
    /// Where the table is written as JSON
    #[arg(long, value_name = "FILE", default_value = "target/chaos.json")]
    pub out: PathBuf,
    /// Added to every port of the stack
    #[arg(long, value_name = "N", default_value_t = 9_000, value_parser = clap::value_parser!(u16).range(0..=23_000))]
    pub port_shift: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RunPart {
    /// Every scenario, 100 random kills in a row among them
    Full,
    /// What fits into five minutes
    Ci,
    /// Random seeds of everything for an hour (F41)
    Long,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
