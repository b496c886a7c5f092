//! `sealtrail-verify`: checks a trail without trusting those who keep it.

use std::process::ExitCode;

use clap::Parser;
use verify::{Format, VerifyCommand};

/// Checks logs, receipts and checkpoints with the public keys of a policy file, offline. Exits 0 if what it looked at is
/// genuine, 1 if it is not, 2 if it cannot tell.
#[derive(Debug, Parser)]
#[command(name = "sealtrail-verify", version)]
struct Cli {
    /// How the finding is printed
    #[arg(long, global = true, value_enum, default_value_t)]
    output: Format,
    #[command(subcommand)]
    command: VerifyCommand,
}

fn main() -> ExitCode {
    let Cli { output, command } = Cli::parse();
    let finding = verify::run(&command);
    #[allow(clippy::print_stdout, reason = "it is what the command is for")]
    {
        println!("{}", finding.show(output));
    }
    ExitCode::from(finding.exit_code())
}
