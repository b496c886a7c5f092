//! The `sealtrail` command.

mod actor;
mod analysts;
mod backup;
mod cloudtrail;
mod connect;
mod deliver;
mod dlq;
mod doctor;
mod help;
mod import;
mod init;
mod kafka_file;
mod keys;
mod log_keys;
mod manual;
mod moment;
mod outgoing;
mod output;
mod own_event;
mod policies;
mod receipt_keys;
mod registry;
mod send;
mod sign;
mod signing_keys;
mod tenants;
mod terminal;
mod trust;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::output::{Format, Outcome};

/// Sealtrail's command line: sets the trail up, looks after it, and brings events into it.
///
/// Addresses and credentials come from flags or from the environment; `make up` writes both to .local/demo.env.
#[derive(Debug, Parser)]
#[command(name = "sealtrail", version, after_help = help::ROOT)]
struct Cli {
    /// How results are printed
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    output: Format,
    /// Certificate authorities to trust for https, in PEM; without it those of the system
    #[arg(long, global = true, env = "SEALTRAIL_CA_FILE", value_name = "FILE")]
    ca_file: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the ClickHouse tables up to this version
    #[command(after_help = help::MIGRATE)]
    Migrate(connect::ClickHouseFlags),
    /// Make the topics and begin the trail; does nothing where that was done
    #[command(after_help = help::INIT)]
    Init(init::InitFlags),
    /// Create and list tenants, and say which of their events are kept
    #[command(subcommand)]
    Tenants(tenants::TenantCommand),
    /// Say which events of a tenant the gateway lets through
    #[command(subcommand)]
    Policies(policies::PolicyCommand),
    /// Create and list API keys
    #[command(subcommand)]
    Keys(keys::KeyCommand),
    /// Make the keys by which producers sign their events
    #[command(subcommand)]
    SigningKeys(signing_keys::SigningKeyCommand),
    /// Sign an event as its producer
    #[command(after_help = help::SIGN)]
    Sign(sign::SignFlags),
    /// Make the keys that sign the gateway's receipts
    #[command(subcommand)]
    ReceiptKeys(receipt_keys::ReceiptKeyCommand),
    /// Make the secret of the sealed logs, and the policy file by which others check them
    #[command(subcommand)]
    LogKeys(log_keys::LogKeyCommand),
    /// Make users of ClickHouse who read one tenant's events by SQL
    #[command(subcommand)]
    Analysts(analysts::AnalystCommand),
    /// Bring events of other systems into the trail
    #[command(subcommand)]
    Import(import::ImportCommand),
    /// Send events from JSON files: one event, an array, or one event a line
    #[command(after_help = help::SEND)]
    Send(send::SendFlags),
    /// List dead letters, show one, and send them through the pipeline again
    #[command(subcommand)]
    Dlq(Box<dlq::DlqCommand>),
    /// Look at every part and name what is away, or set so that a promise breaks
    #[command(after_help = help::DOCTOR)]
    Doctor(Box<doctor::DoctorFlags>),
    /// Write all closed batches, the control records and the schemas to a directory, while events flow
    #[command(after_help = help::BACKUP)]
    Backup(backup::BackupFlags),
    /// Put a backup into an empty database and let the processors go on where it ends
    #[command(after_help = help::RESTORE)]
    Restore(backup::RestoreFlags),
    /// Print completions for a shell
    #[command(after_help = help::COMPLETIONS)]
    Completions(manual::CompletionFlags),
    /// Write man pages, one for each command
    #[command(after_help = help::MAN)]
    Man(manual::ManFlags),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { output, ca_file, command } = Cli::parse();
    trust::set(ca_file);
    match run(command, output).await {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(error) => {
            eprintln!("sealtrail: {error:#}");
            ExitCode::from(Outcome::FAILED)
        }
    }
}

async fn run(command: Command, format: Format) -> anyhow::Result<Outcome> {
    match command {
        Command::Migrate(flags) => init::migrate(&flags, format).await?,
        Command::Init(flags) => init::run(&flags, format).await?,
        Command::Tenants(command) => tenants::run(command, format).await?,
        Command::Policies(command) => return policies::run(command, format).await,
        Command::Keys(command) => keys::run(command, format).await?,
        Command::SigningKeys(command) => return signing_keys::run(command, format).await,
        Command::Sign(flags) => sign::run(&flags)?,
        Command::ReceiptKeys(command) => receipt_keys::run(command, format)?,
        Command::LogKeys(command) => log_keys::run(command, format).await?,
        Command::Analysts(command) => analysts::run(command, format).await?,
        Command::Import(command) => return import::run(command, format).await,
        Command::Send(flags) => return send::run(flags, format).await,
        Command::Dlq(command) => return dlq::run(*command, format).await,
        Command::Doctor(flags) => return doctor::run(&flags, format).await,
        Command::Backup(flags) => backup::backup(&flags, format).await?,
        Command::Restore(flags) => backup::restore(&flags, format).await?,
        Command::Completions(flags) => manual::completions(&flags, Cli::command())?,
        Command::Man(flags) => manual::man(&flags, Cli::command())?,
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use clap::Command as ClapCommand;

    use super::*;

    /// What the environment would bring is not asked for.
    fn without_environment(command: ClapCommand) -> ClapCommand {
        let names: Vec<_> = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
        let command = command.mut_args(|arg| match arg.get_env() {
            Some(_) => arg.required(false),
            None => arg,
        });
        names.into_iter().fold(command, |command, name| command.mut_subcommand(name, without_environment))
    }

    fn leaves(command: &ClapCommand) -> Vec<ClapCommand> {
        let below: Vec<_> = command.get_subcommands().flat_map(leaves).collect();
        if below.is_empty() { vec![command.clone()] } else { below }
    }

    #[test]
    fn every_command_says_what_it_does_and_shows_an_example() {
        Cli::command().debug_assert();
        for command in leaves(&Cli::command()) {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} has a sentence");
            let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(examples.starts_with("Examples:\n  sealtrail "), "{name}: {examples}");
            for argument in command.get_arguments().filter(|argument| !argument.is_global_set()) {
                assert!(argument.get_help().is_some(), "{name} {} has a sentence", argument.get_id());
            }
        }
    }

    #[test]
    fn every_variable_is_in_the_first_help() {
        for command in leaves(&Cli::command()) {
            for name in command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()) {
                assert!(help::ROOT.contains(&format!("\n  {name} ")), "{name}");
            }
        }
    }

    #[test]
    fn examples_can_be_pasted() {
        let commands = leaves(&Cli::command());
        let texts = commands.iter().filter_map(ClapCommand::get_after_help).map(ToString::to_string);
        let texts: Vec<_> = texts.chain([help::ROOT.to_owned()]).collect();
        let examples = texts.iter().flat_map(|text| text.lines()).filter(|l| l.starts_with("  sealtrail "));
        for example in examples {
            let words = example.split_whitespace().take_while(|word| *word != ">");
            let parsed = without_environment(Cli::command()).try_get_matches_from(words);
            assert!(parsed.is_ok(), "{example}: {}", parsed.expect_err("an error"));
        }
    }

    #[test]
    fn exit_codes_are_what_help_says() {
        for (code, words) in [
            (Outcome::Done.code(), "all done"),
            (Outcome::InPart.code(), "done in part"),
            (Outcome::FAILED, "failed"),
        ] {
            assert!(help::ROOT.contains(&format!("\n  {code}  {words}")), "{code} {words}");
        }
        let usage = Cli::try_parse_from(["sealtrail", "send"]).expect_err("a file is missing");
        assert_eq!(usage.exit_code(), i32::from(Outcome::FAILED));
    }
}
