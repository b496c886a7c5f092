//! `dlq list`.

use audit_event::TrailId;
use clickhouse_io::ClickHouse;
use clickhouse_io::dead_letters::{LetterHead, LetterOrder};
use clickhouse_io::position::RecordPosition;
use kafka_io::headers;
use serde::Serialize;

use super::flags::ListFlags;
use super::state::{LetterState, states};
use super::trail_of;
use crate::output::{self, Format, Show};
use crate::terminal::{printable, printable_bytes, shortened};

/// Letters that are read at once.
const PAGE_LETTERS: usize = 1_000;
const DETAIL_CHARS: usize = 80;
const TENANT_CHARS: usize = 32;

#[derive(Debug, Serialize)]
struct Letters {
    trail_id: TrailId,
    letters: Vec<LetterView>,
    /// Whether there are others behind the limit.
    more: bool,
}

#[derive(Debug, Serialize)]
struct LetterView {
    position: RecordPosition,
    received_at: Option<String>,
    reason: String,
    stage: String,
    detail: String,
    state: LetterState,
    tenant_id: String,
    /// The beginning of it, with escapes.
    record_key: Option<String>,
    value_bytes: Option<u64>,
    schema_id: Option<u32>,
    correlation_id: String,
    /// What the header says; the state tells whether it is true.
    replay_of: Option<String>,
}

impl LetterView {
    fn of(head: LetterHead, state: LetterState) -> Self {
        Self {
            position: head.position,
            received_at: head.received_at.to_rfc3339(),
            reason: head.reason,
            stage: head.stage,
            detail: head.detail,
            state,
            tenant_id: head.tenant_id,
            record_key: head.key_start.map(|key| printable_bytes(&key)),
            value_bytes: head.value_bytes,
            schema_id: head.schema_id.map(|id| id.0),
            correlation_id: head.correlation_id,
            replay_of: (!head.replay_of.is_empty()).then(|| printable_bytes(&head.replay_of)),
        }
    }
}

impl Show for Letters {
    fn text(&self) -> String {
        let row = |letter: &LetterView| {
            [
                letter.position.to_string(),
                letter.received_at.clone().unwrap_or_default(),
                letter.reason.clone(),
                letter.state.as_str().to_owned(),
                shortened(&printable(&letter.tenant_id), TENANT_CHARS),
                shortened(&printable(&letter.detail), DETAIL_CHARS),
            ]
        };
        let names = ["position", "received", "reason", "state", "tenant", "detail"];
        let table = output::table(names, self.letters.iter().map(row));
        if self.more { format!("{table}\nthere are more; --limit and the filters show them") } else { table }
    }
}

pub async fn run(flags: &ListFlags, format: Format) -> anyhow::Result<()> {
    let engine = flags.clickhouse.connect_patiently()?;
    let trail_id = trail_of(&engine, flags.filter.trail()).await?;
    let limit = usize::try_from(flags.limit)?;
    // one more tells whether there are more
    let mut letters = read(flags, &engine, trail_id, limit + 1).await?;
    let more = letters.len() > limit;
    letters.truncate(limit);
    format.print(&Letters { trail_id, letters, more })
}

async fn read(
    flags: &ListFlags,
    engine: &ClickHouse,
    trail: TrailId,
    wanted: usize,
) -> anyhow::Result<Vec<LetterView>> {
    let filter = flags.filter.of_trail(trail)?;
    let order = if flags.oldest_first { LetterOrder::OldestFirst } else { LetterOrder::NewestFirst };
    // with a state most of a page may be left out
    let page = if flags.state.is_some() { PAGE_LETTERS } else { wanted.min(PAGE_LETTERS) };
    let mut letters = Vec::new();
    let mut last: Option<LetterHead> = None;
    while letters.len() < wanted {
        let heads = engine.letter_heads(&filter, order, last.as_ref(), page, headers::REPLAY_OF).await?;
        let states = states(engine, trail, &heads).await?;
        let is_last_page = heads.len() < page;
        last = heads.last().cloned();
        let seen = heads.into_iter().zip(states);
        let fits = seen.filter(|(_, state)| flags.state.is_none_or(|wanted| wanted == *state));
        letters.extend(fits.map(|(head, state)| LetterView::of(head, state)));
        if is_last_page {
            break;
        }
    }
    letters.truncate(wanted);
    Ok(letters)
}
