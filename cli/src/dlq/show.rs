//! `dlq show`: one letter, its bytes, and what would become of it now.

use std::fmt::Write;

use anyhow::Context;
use audit_event::{AuditEvent, SchemaId, TrailId};
use clickhouse_io::dead_letters::{DeadCopy, Letter, LetterFilter, PageBounds};
use clickhouse_io::position::RecordPosition;
use kafka_io::headers;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::flags::ShowFlags;
use super::prospect::{Advice, Assessor, Prospect};
use super::schemas::{Known, WriterSchemas};
use super::{hex, trail_of};
use crate::output::{Format, Show};
use crate::terminal::{printable, printable_bytes, printable_json, shortened};

/// Bytes of a key or of a header's value that are shown.
const MAX_SHOWN_CHARS: usize = 1_024;
const ONE: PageBounds = PageBounds { letters: 1, bytes: usize::MAX };

#[derive(Debug, Serialize)]
struct Shown {
    trail_id: TrailId,
    position: RecordPosition,
    received_at: Option<String>,
    reason: String,
    stage: String,
    detail: String,
    tenant_id: String,
    schema_id: Option<SchemaId>,
    /// What the registry says of the schema id.
    schema: Option<&'static str>,
    correlation_id: String,
    traceparent: String,
    record_key: Option<String>,
    headers: Vec<HeaderView>,
    value_bytes: Option<usize>,
    value_sha256: Option<String>,
    /// The first bytes, see --bytes.
    value_hex: String,
    now: Now,
    event: Option<AuditEvent>,
    /// Where it became a dead letter again.
    died_again_at: Vec<RecordPosition>,
    #[serde(skip)]
    dump: String,
}

#[derive(Debug, Serialize)]
struct HeaderView {
    name: String,
    value: String,
}

/// What a replay would make of it.
#[derive(Debug, Serialize)]
struct Now {
    becomes: &'static str,
    detail: String,
    replay: bool,
    /// The event that it conflicts with, repeats, or is a copy of.
    other: Option<RecordPosition>,
}

pub async fn run(flags: &ShowFlags, format: Format) -> anyhow::Result<()> {
    let engine = flags.clickhouse.connect_patiently()?;
    let trail = trail_of(&engine, flags.trail.id()).await?;
    let position = flags.position;
    let filter = LetterFilter { positions: vec![position], ..LetterFilter::of(trail) };
    let letters = engine.letters(&filter, None, ONE).await?;
    let letter = letters.first().with_context(|| {
        format!("there is no dead letter at {position}; `sealtrail dlq list` shows which there are")
    })?;
    let schemas = WriterSchemas::new(flags.registry.connect()?);
    let mut assessor = Assessor { engine: &engine, trail, schemas };
    let assessment = assessor.assess(&letters).await?.pop().context("one letter has one assessment")?;
    let schema = match letter.schema_id {
        None => None,
        Some(id) => Some(match assessor.schemas.get(id).await? {
            Known::Schema(_) => "known",
            Known::Unusable(_) => "unusable",
            Known::Unknown => "unknown",
        }),
    };
    let copies = engine.dead_copies(headers::REPLAY_OF, &[position.in_trail(trail)]).await?;
    let now = Now {
        becomes: assessment.prospect.name(),
        detail: assessment.prospect.sentence(),
        replay: assessment.advice() == Advice::Replay,
        other: other(&assessment.prospect),
    };
    format.print(&shown(letter, trail, schema, now, assessment.event, &copies, usize::try_from(flags.bytes)?))
}

fn other(prospect: &Prospect) -> Option<RecordPosition> {
    match prospect {
        Prospect::Stored { at } | Prospect::Conflict { with: at } => *at,
        Prospect::Repeat { of } | Prospect::Copy { of } => Some(*of),
        Prospect::DiedBefore { at, .. } => Some(*at),
        Prospect::Event | Prospect::DeadLetter(_) => None,
    }
}

fn shown(
    letter: &Letter,
    trail_id: TrailId,
    schema: Option<&'static str>,
    now: Now,
    event: Option<AuditEvent>,
    copies: &[DeadCopy],
    max_bytes: usize,
) -> Shown {
    let value = letter.value.as_deref();
    let digest: Option<[u8; 32]> = value.map(|value| Sha256::digest(value).into());
    let first = value.map_or(&[][..], |value| &value[..value.len().min(max_bytes)]);
    let text = |bytes: &[u8]| shortened(&printable_bytes(bytes), MAX_SHOWN_CHARS);
    let header = |(name, value): &(String, Vec<u8>)| HeaderView {
        name: shortened(&printable(name), MAX_SHOWN_CHARS),
        value: text(value),
    };
    let of_this = copies
        .iter()
        .filter(|copy| copy.value_sha256 == digest.unwrap_or_else(|| Sha256::digest(b"").into()));
    Shown {
        trail_id,
        position: letter.position,
        received_at: letter.received_at.to_rfc3339(),
        reason: letter.reason.clone(),
        stage: letter.stage.clone(),
        detail: letter.detail.clone(),
        tenant_id: shortened(&letter.tenant_id, MAX_SHOWN_CHARS),
        schema_id: letter.schema_id,
        schema,
        correlation_id: letter.correlation_id.clone(),
        traceparent: letter.traceparent.clone(),
        record_key: letter.key.as_deref().map(text),
        headers: letter.headers.iter().map(header).collect(),
        value_bytes: value.map(<[u8]>::len),
        value_sha256: digest.map(|digest| hex::digits(&digest, "")),
        value_hex: hex::digits(first, ""),
        now,
        event,
        died_again_at: of_this.map(|copy| copy.position).filter(|at| *at != letter.position).collect(),
        dump: value.map_or(String::new(), |value| hex::dump(value, max_bytes)),
    }
}

impl Show for Shown {
    fn text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: &str| {
            if !value.is_empty() {
                let _never_fails = writeln!(text, "{name:<16}{}", printable(value));
            }
        };
        line("position", &self.position.to_string());
        line("trail", &self.trail_id.to_string());
        line("received", self.received_at.as_deref().unwrap_or_default());
        line("reason", &format!("{}, at stage {}", self.reason, self.stage));
        line("detail", &self.detail);
        line("now", &format!("replayed, it {}", self.now.detail));
        let died: Vec<_> = self.died_again_at.iter().map(ToString::to_string).collect();
        line("died again at", &died.join(" "));
        line("tenant", &self.tenant_id);
        let schema =
            self.schema_id.map(|id| format!("{id}, {} to the registry", self.schema.unwrap_or("unknown")));
        line("schema", schema.as_deref().unwrap_or_default());
        line("correlation id", &self.correlation_id);
        line("trace", &self.traceparent);
        // escaped already
        let key = self.record_key.as_deref().unwrap_or("none");
        let _never_fails = writeln!(text, "{:<16}{key}", "key");
        for header in &self.headers {
            let _never_fails = writeln!(text, "{:<16}{}: {}", "header", header.name, header.value);
        }
        let size = self.value_bytes.map_or("none".to_owned(), |bytes| format!("{bytes} bytes"));
        let digest =
            self.value_sha256.as_deref().map_or(String::new(), |digest| format!(", SHA-256 {digest}"));
        let _never_fails = writeln!(text, "{:<16}{size}{digest}\n{}", "value", self.dump);
        if let Some(event) = &self.event {
            let json = serde_json::to_string_pretty(event).unwrap_or_default();
            let _never_fails = writeln!(text, "as an event:\n{}", printable_json(&json));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use pipeline_core::verdict::{DeadLetterReason, Rejection};

    use super::*;
    use crate::dlq::prospect::tests::letter;

    #[test]
    fn whatever_a_stranger_wrote_the_terminal_is_safe() {
        const NASTY: &[u8] = b"\x1b]0;mine\x07\x9b2J\r\xe2\x80\xae";
        let mut letter = letter(1, DeadLetterReason::Undecodable);
        letter.key = Some(NASTY.to_vec());
        letter.value = Some(NASTY.to_vec());
        letter.headers = vec![(String::from_utf8_lossy(NASTY).into_owned(), NASTY.to_vec())];
        letter.detail = String::from_utf8_lossy(NASTY).into_owned();
        letter.tenant_id = letter.detail.clone();
        let why = Rejection::new(DeadLetterReason::Undecodable, letter.detail.clone());
        let prospect = Prospect::DeadLetter(why);
        let now = Now {
            becomes: prospect.name(),
            detail: prospect.sentence(),
            replay: false,
            other: other(&prospect),
        };
        let shown = shown(&letter, TrailId(uuid::Uuid::nil()), None, now, None, &[], 64);
        let text = shown.text();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert!(!text.contains('\u{202e}'), "{text:?}");
        let json = printable_json(&serde_json::to_string_pretty(&shown).expect("serialises"));
        assert!(json.chars().all(|c| c == '\n' || !c.is_control()), "{json:?}");
    }
}
