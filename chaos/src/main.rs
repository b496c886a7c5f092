//! The `sealtrail-chaos` command.
#![allow(clippy::print_stdout, reason = "printing the table is what this program does")]

use std::process::ExitCode;

use anyhow::ensure;
use chaos::args::{Cli, RunPart};
use chaos::run::{Director, Plan};
use chaos::scenario::{Part, Scenario};
use chaos::{scenarios, table};
use clap::Parser;
use rand::Rng;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let run = async {
        tokio::select! {
            done = run(&cli) => done,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
        }
    };
    match run.await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("sealtrail-chaos: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Answers whether all was as expected.
async fn run(cli: &Cli) -> anyhow::Result<bool> {
    let all = scenarios::all();
    let chosen: Vec<_> = all.iter().filter(|scenario| is_chosen(cli, scenario)).collect();
    ensure!(!chosen.is_empty(), "no scenario is chosen; `sealtrail-chaos --list` shows them");
    if cli.list {
        chosen.iter().for_each(|scenario| {
            println!("{:<6} {:<8} {}", scenario.fault, scenario.expected.word(), scenario.case);
        });
        return Ok(true);
    }
    let seed = cli.seed.unwrap_or_else(|| rand::rng().random_range(1..1_000_000_000));
    eprintln!("{} scenarios, --seed {seed}", chosen.len());
    let plan = Plan { dir: cli.dir.clone(), out: cli.out.clone(), port_shift: cli.port_shift, seed };
    let mut director = Director::new(plan)?;
    match cli.part {
        RunPart::Long => director.run_long(&all, cli.minutes).await?,
        RunPart::Full | RunPart::Ci => director.run(&chosen).await?,
    }
    print!("{}", table::render(&director.rows));
    Ok(director.rows.iter().all(|row| row.as_expected))
}

fn is_chosen(cli: &Cli, scenario: &Scenario) -> bool {
    let by_fault =
        cli.fault.is_empty() || cli.fault.iter().any(|fault| fault.eq_ignore_ascii_case(scenario.fault));
    let by_case = cli.case.as_ref().is_none_or(|text| scenario.case.contains(text.as_str()));
    let by_part = match cli.part {
        RunPart::Ci => scenario.part == Part::Ci,
        RunPart::Full => matches!(scenario.part, Part::Ci | Part::Full) || !cli.fault.is_empty(),
        RunPart::Long => scenario.part != Part::OnDemand,
    };
    by_fault && by_case && by_part
}
