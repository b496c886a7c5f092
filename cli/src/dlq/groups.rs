//! `dlq list --summary`: how many letters of which kind.

use audit_event::{RecordTime, TrailId};
use clickhouse_io::dead_letters::{LetterGroup, MAX_GROUPS};
use kafka_io::headers;
use serde::Serialize;

use super::flags::ListFlags;
use super::trail_of;
use crate::output::{self, Format, Show};
use crate::terminal::{printable, shortened};

const TENANT_CHARS: usize = 32;

#[derive(Debug, Serialize)]
struct Summary {
    trail_id: TrailId,
    letters: u64,
    groups: Vec<GroupView>,
}

#[derive(Debug, Serialize)]
struct GroupView {
    reason: String,
    tenant_id: String,
    letters: u64,
    resolved: u64,
    replays: u64,
    first_received_at: Option<String>,
    last_received_at: Option<String>,
}

impl From<LetterGroup> for GroupView {
    fn from(group: LetterGroup) -> Self {
        Self {
            reason: group.reason,
            tenant_id: group.tenant,
            letters: group.letters,
            resolved: group.resolved,
            replays: group.replays,
            first_received_at: RecordTime(group.first_received_ms).to_rfc3339(),
            last_received_at: RecordTime(group.last_received_ms).to_rfc3339(),
        }
    }
}

impl Show for Summary {
    fn text(&self) -> String {
        let row = |group: &GroupView| {
            [
                group.letters.to_string(),
                group.resolved.to_string(),
                group.replays.to_string(),
                group.reason.clone(),
                shortened(&printable(&group.tenant_id), TENANT_CHARS),
                group.first_received_at.clone().unwrap_or_default(),
                group.last_received_at.clone().unwrap_or_default(),
            ]
        };
        let names = ["letters", "resolved", "replays", "reason", "tenant", "first", "last"];
        let table = output::table(names, self.groups.iter().map(row));
        format!("{table}\n{} letters", self.letters)
    }
}

pub async fn run(flags: &ListFlags, format: Format) -> anyhow::Result<()> {
    let engine = flags.clickhouse.connect_patiently()?;
    let trail_id = trail_of(&engine, flags.filter.trail()).await?;
    let groups = engine.letter_groups(&flags.filter.of_trail(trail_id)?, headers::REPLAY_OF).await?;
    if groups.len() == MAX_GROUPS {
        eprintln!("only the {MAX_GROUPS} largest groups are shown; narrow them down, as with --reason");
    }
    let letters = groups.iter().map(|group| group.letters).sum();
    format.print(&Summary { trail_id, letters, groups: groups.into_iter().map(GroupView::from).collect() })
}
