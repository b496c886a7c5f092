//! How `dlq` is called.

use std::num::NonZeroU32;

use audit_event::{NextOffset, Offset, PartitionId, RecordTime, TrailId};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use clickhouse_io::dead_letters::{LetterFilter, POSITIONS_AT_ONCE};
use clickhouse_io::position::RecordPosition;
use pipeline_core::verdict::DeadLetterReason;
use uuid::Uuid;

use super::state::LetterState;
use super::{help, quote};
use crate::connect::{ClickHouseFlags, KafkaFlags, RegistryFlags};
use crate::moment::parse_moment;

/// Letters in one list.
const MAX_LISTED: u64 = 10_000;
/// Letters that one replay writes: as many identities are remembered meanwhile.
const MAX_REPLAYED: u64 = 100_000;
/// Bytes of a value that `show` prints: a record is smaller.
const MAX_DUMPED_BYTES: u64 = 2 * 1024 * 1024;
/// The longest wait for the processors before a replay.
const MAX_WAIT_S: u64 = 3_600;

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    /// List dead letters, or count them
    #[command(after_help = help::LIST)]
    List(ListFlags),
    /// Show everything about one dead letter, and what would become of it now
    #[command(after_help = help::SHOW)]
    Show(ShowFlags),
    /// Send dead letters through the pipeline again; without --execute it only says what would happen
    #[command(after_help = help::REPLAY)]
    Replay(ReplayFlags),
}

#[derive(Debug, Args)]
pub struct FilterFlags {
    /// Only letters with this reason; can be given again
    #[arg(long, value_name = "REASON", value_parser = reason_parser())]
    reason: Vec<DeadLetterReason>,
    /// Only letters whose key claims this tenant; '' for keys that claim none; can be given again
    #[arg(long, value_name = "TENANT")]
    tenant: Vec<String>,
    /// Only letters of this partition
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// Only letters at or behind this offset
    #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = clap::value_parser!(i64).range(0..))]
    from_offset: Option<i64>,
    /// Only letters before this offset
    #[arg(long, value_name = "OFFSET", requires = "partition", value_parser = clap::value_parser!(i64).range(0..))]
    to_offset: Option<i64>,
    /// Only the letter at this position, PARTITION:OFFSET; can be given again
    #[arg(long, value_name = "POSITION", conflicts_with = "partition")]
    position: Vec<RecordPosition>,
    /// Only letters received since then: an RFC 3339 time, or how long ago, such as 90m, 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<RecordTime>,
    /// Only letters received before then, given as with --since
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<RecordTime>,
    #[command(flatten)]
    trail: TrailFlag,
}

#[derive(Debug, Args)]
pub struct TrailFlag {
    /// Letters of this trail; without it those of the present one
    #[arg(long = "trail", value_name = "ID")]
    id: Option<Uuid>,
}

#[derive(Debug, Args)]
pub struct ListFlags {
    #[command(flatten)]
    pub filter: FilterFlags,
    /// Only letters in this state
    #[arg(long)]
    pub state: Option<LetterState>,
    /// How many letters are listed at most
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=MAX_LISTED))]
    pub limit: u64,
    /// The first received first
    #[arg(long)]
    pub oldest_first: bool,
    /// Count the letters by reason and tenant instead of listing them
    #[arg(long, conflicts_with_all = ["state", "limit", "oldest_first"])]
    pub summary: bool,
    #[command(flatten)]
    pub clickhouse: ClickHouseFlags,
}

#[derive(Debug, Args)]
pub struct ShowFlags {
    /// PARTITION:OFFSET, as `dlq list` prints it
    pub position: RecordPosition,
    #[command(flatten)]
    pub trail: TrailFlag,
    /// How many bytes of the value are shown at most
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u64).range(0..=MAX_DUMPED_BYTES))]
    pub bytes: u64,
    #[command(flatten)]
    pub clickhouse: ClickHouseFlags,
    #[command(flatten)]
    pub registry: RegistryFlags,
}

#[derive(Debug, Args)]
pub struct ReplayFlags {
    #[command(flatten)]
    pub filter: FilterFlags,
    /// How many letters are written at most
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=MAX_REPLAYED))]
    pub limit: u64,
    /// Write the letters to the topic; without it nothing is changed
    #[arg(long)]
    pub execute: bool,
    /// Also those that would be dead letters again as far as this command can tell
    #[arg(long)]
    pub force: bool,
    /// How many letters are written a second at most
    #[arg(long, value_name = "N", default_value = "1000")]
    pub rate: NonZeroU32,
    /// How long the processors may take to store what is in the topic, in seconds; nothing is written before
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=MAX_WAIT_S))]
    pub wait_s: u64,
    /// Who replays, for the record; without it the user of the operating system, who is recorded either way
    #[arg(long, value_name = "NAME", value_parser = actor_name)]
    pub actor: Option<String>,
    #[command(flatten)]
    pub kafka: KafkaFlags,
    #[command(flatten)]
    pub clickhouse: ClickHouseFlags,
    #[command(flatten)]
    pub registry: RegistryFlags,
}

fn reason_parser() -> impl TypedValueParser<Value = DeadLetterReason> {
    let find = |name: String| DeadLetterReason::ALL.iter().find(|reason| reason.as_str() == name).copied();
    PossibleValuesParser::new(DeadLetterReason::ALL.iter().map(|reason| reason.as_str()))
        .try_map(move |name| find(name).ok_or("no such reason"))
}

fn actor_name(text: &str) -> Result<String, &'static str> {
    const MAX_BYTES: usize = 200;
    let is_one = !text.trim().is_empty() && text.len() <= MAX_BYTES && !text.contains(char::is_control);
    if is_one { Ok(text.to_owned()) } else { Err("a name has 1 to 200 bytes and no control characters") }
}

impl TrailFlag {
    pub fn id(&self) -> Option<TrailId> {
        self.id.map(TrailId)
    }
}

impl FilterFlags {
    pub fn trail(&self) -> Option<TrailId> {
        self.trail.id()
    }

    pub fn of_trail(&self, trail: TrailId) -> anyhow::Result<LetterFilter> {
        anyhow::ensure!(
            self.position.len() <= POSITIONS_AT_ONCE,
            "{} positions are given, at most {POSITIONS_AT_ONCE} are taken; use --partition with --from-offset and --to-offset",
            self.position.len()
        );
        Ok(LetterFilter {
            reasons: self.reason.clone(),
            tenants: self.tenant.clone(),
            partition: self.partition.map(PartitionId),
            from_offset: self.from_offset.map(Offset),
            to_offset: self.to_offset.map(NextOffset),
            positions: self.position.clone(),
            since: self.since,
            until: self.until,
            ..LetterFilter::of(trail)
        })
    }

    /// The same flags again, with times that do not move, for a shell or for the record.
    pub fn as_arguments(&self) -> String {
        let time = |time: &RecordTime| time.to_rfc3339().unwrap_or_default();
        let mut given: Vec<(&str, String)> = Vec::new();
        given.extend(self.reason.iter().map(|reason| ("--reason", reason.as_str().to_owned())));
        given.extend(self.tenant.iter().map(|tenant| ("--tenant", tenant.clone())));
        given.extend(self.partition.map(|partition| ("--partition", partition.to_string())));
        given.extend(self.from_offset.map(|offset| ("--from-offset", offset.to_string())));
        given.extend(self.to_offset.map(|offset| ("--to-offset", offset.to_string())));
        given.extend(self.position.iter().map(|position| ("--position", position.to_string())));
        given.extend(self.since.as_ref().map(|since| ("--since", time(since))));
        given.extend(self.until.as_ref().map(|until| ("--until", time(until))));
        given.extend(self.trail.id.map(|trail| ("--trail", trail.to_string())));
        let words: Vec<_> = given.iter().map(|(flag, value)| format!("{flag} {}", quote(value))).collect();
        words.join(" ")
    }
}

impl ReplayFlags {
    /// The command that does what the dry run told.
    pub fn command(&self) -> String {
        let mut command = "sealtrail dlq replay".to_owned();
        let filter = self.filter.as_arguments();
        if !filter.is_empty() {
            command += &format!(" {filter}");
        }
        command += &format!(" --limit {}", self.limit);
        if self.force {
            command += " --force";
        }
        command + " --execute"
    }
}

impl ValueEnum for LetterState {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Open, Self::Resolved, Self::Copy]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        let help = match self {
            Self::Open => "nothing under its key is stored",
            Self::Resolved => "an event under its key is stored",
            Self::Copy => "it is a replay of another letter, which stands for both",
        };
        Some(clap::builder::PossibleValue::new(self.as_str()).help(help))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        replay: ReplayFlags,
    }

    const CLICKHOUSE: [&str; 2] = ["--clickhouse", "http://h"];

    fn parse(words: &[&str]) -> Result<ReplayFlags, clap::Error> {
        let words = ["replay"].iter().chain(&CLICKHOUSE).chain(words);
        Command::try_parse_from(words).map(|command| command.replay)
    }

    #[test]
    fn the_printed_command_means_the_same() {
        let given = parse(&[
            "--reason",
            "unknown_schema",
            "--reason",
            "undecodable",
            "--tenant",
            "it's; rm",
            "--tenant",
            "",
            "--partition",
            "2",
            "--from-offset",
            "5",
            "--to-offset",
            "9",
            "--since",
            "2026-11-02T10:00:00+01:00",
            "--force",
        ])
        .expect("parses");
        let command = given.command();
        assert_eq!(
            command,
            "sealtrail dlq replay --reason unknown_schema --reason undecodable --tenant 'it'\\''s; rm' --tenant '' \
             --partition 2 --from-offset 5 --to-offset 9 --since 2026-11-02T09:00:00.000Z --limit 10000 --force --execute"
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["--reason", "bad_mood"][..],
            &["--from-offset", "5"],
            &["--position", "5"],
            &["--position", "1:5", "--partition", "1"],
            &["--partition", "-1"],
            &["--limit", "0"],
            &["--limit", "100001"],
            &["--rate", "0"],
            &["--since", "yesterday"],
            &["--actor", "a\nb"],
        ] {
            assert!(parse(words).is_err(), "{words:?}");
        }
        assert!(!parse(&[]).expect("parses").execute, "dry unless told otherwise");
    }
}
