//! What a replay, or its dry run, says in the end.

use std::collections::BTreeMap;

use audit_event::{EventId, TenantId};
use clickhouse_io::position::RecordPosition;
use serde::Serialize;
use uuid::Uuid;

use super::prospect::Prospect;
use crate::output::{self, Outcome, Show};
use crate::terminal::{printable, shortened};

/// Characters of an example in a table.
const EXAMPLE_CHARS: usize = 100;
/// Positions that are named one by one.
const NAMED: usize = 20;

/// Letters that were refused for the same reason and would become the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    pub reason: String,
    pub becomes: &'static str,
    pub replay: bool,
    pub letters: u64,
    pub example: RecordPosition,
    /// What is said of the example.
    pub detail: String,
}

/// An event about the replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recorded {
    pub tenant_id: TenantId,
    pub event_id: EventId,
}

#[derive(Debug, Default, Serialize)]
pub struct Report {
    pub executed: bool,
    pub replay_id: Option<Uuid>,
    /// Letters that were looked at,
    pub letters: u64,
    /// those of them that are to be written,
    pub to_replay: u64,
    /// and those that were.
    pub replayed: u64,
    /// Letters that were stored by somebody else between the look and the writing.
    pub overtaken: u64,
    /// Letters whose fate the broker did not tell; running the command again is safe.
    pub unconfirmed: Vec<RecordPosition>,
    /// Letters that the broker does not take.
    pub too_large: Vec<RecordPosition>,
    /// Why the rest was not tried.
    pub stopped: Option<String>,
    /// Whether --limit ended it.
    pub more: bool,
    pub groups: Vec<Group>,
    pub recorded: Vec<Recorded>,
    /// What does what the dry run told.
    pub command: Option<String>,
}

/// Counts letters, by what they were and would be.
#[derive(Debug, Default)]
pub struct Groups {
    groups: BTreeMap<(String, &'static str, bool), Group>,
}

impl Groups {
    pub fn add(&mut self, reason: &str, prospect: &Prospect, replay: bool, position: RecordPosition) {
        let key = (reason.to_owned(), prospect.name(), replay);
        let group = self.groups.entry(key).or_insert_with(|| Group {
            reason: reason.to_owned(),
            becomes: prospect.name(),
            replay,
            letters: 0,
            example: position,
            detail: prospect.sentence(),
        });
        group.letters += 1;
    }

    /// What is replayed first, then by number.
    pub fn into_sorted(self) -> Vec<Group> {
        let mut groups: Vec<_> = self.groups.into_values().collect();
        groups.sort_by_key(|group| (!group.replay, std::cmp::Reverse(group.letters)));
        groups
    }
}

impl Report {
    pub fn outcome(&self) -> Outcome {
        let whole = self.unconfirmed.is_empty() && self.too_large.is_empty() && self.stopped.is_none();
        Outcome::done_if(whole)
    }

    fn head(&self) -> String {
        let Self { letters, to_replay, replayed, .. } = self;
        if self.executed {
            let overtaken = match self.overtaken {
                0 => String::new(),
                n => format!("; {n} were stored meanwhile"),
            };
            return format!("{letters} letters looked at, {replayed} of {to_replay} written{overtaken}");
        }
        format!("dry run: {letters} letters looked at, {to_replay} would be written; nothing was changed")
    }
}

impl Show for Report {
    fn text(&self) -> String {
        let mut parts = vec![self.head()];
        if !self.groups.is_empty() {
            let row = |group: &Group| {
                let example = format!("{} {}", group.example, group.detail);
                [
                    group.letters.to_string(),
                    group.reason.clone(),
                    if group.replay { "write" } else { "skip" }.to_owned(),
                    shortened(&printable(&example), EXAMPLE_CHARS),
                ]
            };
            parts.push(output::table(
                ["letters", "reason", "action", "for example"],
                self.groups.iter().map(row),
            ));
        }
        parts.extend(named("not confirmed; run it again", &self.unconfirmed));
        parts.extend(named("larger than the topic takes", &self.too_large));
        parts.extend(self.stopped.as_ref().map(|why| format!("stopped: {}", printable(why))));
        if self.more {
            parts.push("--limit was reached; run it again for the rest".to_owned());
        }
        parts.extend(
            self.recorded
                .iter()
                .map(|event| format!("recorded as event {} of tenant {}", event.event_id, event.tenant_id)),
        );
        parts.extend(self.command.as_ref().map(|command| format!("to do it: {}", printable(command))));
        parts.join("\n")
    }
}

fn named(what: &str, positions: &[RecordPosition]) -> Option<String> {
    let (first, rest) = positions.split_at(positions.len().min(NAMED));
    let first: Vec<_> = first.iter().map(ToString::to_string).collect();
    let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
    (!positions.is_empty()).then(|| format!("{what}: {}{more}", first.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> RecordPosition {
        text.parse().expect("a position")
    }

    #[test]
    fn a_dry_run_says_what_would_be_and_how_to_do_it() {
        let mut groups = Groups::default();
        let stored = Prospect::Stored { at: Some(at("1:7")) };
        groups.add("undecodable", &stored, false, at("0:3"));
        groups.add("unknown_schema", &Prospect::Event, true, at("0:4"));
        groups.add("unknown_schema", &Prospect::Event, true, at("0:5"));
        let report = Report {
            letters: 3,
            to_replay: 2,
            groups: groups.into_sorted(),
            command: Some("sealtrail dlq replay --execute".into()),
            ..Report::default()
        };
        let text = report.text();
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].ends_with("2 would be written; nothing was changed"), "{text}");
        assert_eq!(lines[2], "2        unknown_schema  write   0:4 would become an event");
        assert!(lines[3].starts_with("1        undecodable     skip    0:3 would be a duplicate"), "{text}");
        assert_eq!(lines[4], "to do it: sealtrail dlq replay --execute");
        assert_eq!(report.outcome(), Outcome::Done);
    }

    #[test]
    fn what_is_not_confirmed_is_named_and_is_not_all_done() {
        let report = Report { executed: true, unconfirmed: vec![at("0:4"); NAMED + 2], ..Report::default() };
        assert_eq!(report.outcome(), Outcome::InPart);
        assert!(report.text().contains("0:4 and 2 more"), "{}", report.text());
    }
}
