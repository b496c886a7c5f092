//! The writing of a portion: wait until the topic is in the tables, look once more, record what is going to be written,
//! write it, and say what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};
use audit_event::control::TrailRecord;
use audit_event::{AuditEvent, SchemaId, TenantId};
use chrono::{DateTime, Utc};
use clickhouse_io::ClickHouse;
use indicatif::ProgressBar;
use kafka_io::KafkaConfig;
use kafka_io::producer::ProduceError;
use tokio::time::Instant;

use super::barrier::wait_until_stored;
use super::copy::copy_of;
use super::record::{Replay, Share};
use super::report::{Recorded, Report};
use super::selection::Planned;
use crate::outgoing::{IN_FLIGHT, Outgoing, Sender};

/// How long a look into the tables is believed. What came after it must lie within the dedupe window of what is written
/// on its strength, so it is far below that window's 24 hours and ten million records.
const LOOK_HOLDS: Duration = Duration::from_secs(60);

pub struct Writer<'a> {
    pub engine: &'a ClickHouse,
    pub kafka: KafkaConfig,
    pub trail: TrailRecord,
    pub schema_id: SchemaId,
    pub sender: Sender,
    pub replay: Replay,
    pub letters_per_s: u32,
    pub wait: Duration,
    pub bar: ProgressBar,
}

/// What became of a tenant's letters.
#[derive(Debug, Default)]
struct Tally {
    share: Share,
    written: u64,
    failed: u64,
}

/// When the tables were looked at, by two clocks: one stands still while a machine sleeps, the other may be set.
struct Look {
    at: Instant,
    date: DateTime<Utc>,
}

impl Look {
    fn now() -> Self {
        Self { at: Instant::now(), date: Utc::now() }
    }

    fn holds(&self) -> bool {
        let by_date = Utc::now().signed_duration_since(self.date).to_std();
        self.at.elapsed() < LOOK_HOLDS && by_date.is_ok_and(|age| age < LOOK_HOLDS)
    }
}

impl Writer<'_> {
    /// An error before the first letter of the portion; what goes wrong later stands in the report.
    pub async fn write(&self, portion: Vec<Planned>, report: &mut Report) -> anyhow::Result<()> {
        let rest = self.not_stored(portion, report).await?;
        let look = Look::now();
        let mut tallies: BTreeMap<TenantId, Tally> = BTreeMap::new();
        for planned in &rest {
            let tally = tallies.entry(planned.identity.tenant_id.clone()).or_default();
            tally.share.add(planned.letter.position, &planned.letter.reason);
        }
        let events: Vec<_> = tallies.iter().map(|(tenant, t)| self.replay.begun(tenant, &t.share)).collect();
        self.record(&events, report).await.context("the replay is not recorded, so no letter was written")?;
        if let Err(error) = self.write_letters(rest, look, &mut tallies, report).await {
            report.stopped = Some(format!("{error:#}"));
        }
        self.record_failures(&tallies, report).await;
        Ok(())
    }

    /// Leaves out what is in the trail by now.
    async fn not_stored(&self, portion: Vec<Planned>, report: &mut Report) -> anyhow::Result<Vec<Planned>> {
        wait_until_stored(&self.kafka, self.engine, &self.trail, self.wait).await?;
        let identities: Vec<_> = portion.iter().map(|planned| planned.identity.clone()).collect();
        let known = self.engine.known_identities(&identities).await?;
        let before = portion.len();
        let mut rest = portion;
        rest.retain(|planned| !known.contains(&planned.identity));
        report.overtaken += (before - rest.len()) as u64;
        self.bar.inc((before - rest.len()) as u64);
        Ok(rest)
    }

    async fn write_letters(
        &self,
        mut rest: Vec<Planned>,
        mut look: Look,
        tallies: &mut BTreeMap<TenantId, Tally>,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let chunk_len = (self.letters_per_s as usize / 10).clamp(1, IN_FLIGHT);
        let began = Instant::now();
        let mut sent: u32 = 0;
        while !rest.is_empty() {
            if !look.holds() {
                rest = self.not_stored(rest, report).await?;
                look = Look::now();
            }
            let behind = rest.split_off(rest.len().min(chunk_len));
            sent += u32::try_from(rest.len())?;
            self.write_chunk(std::mem::replace(&mut rest, behind), tallies, report).await;
            if !report.unconfirmed.is_empty() {
                bail!("the broker does not confirm what is written; see `sealtrail doctor`");
            }
            if !rest.is_empty() {
                tokio::time::sleep_until(began + Duration::from_secs(1) * sent / self.letters_per_s).await;
            }
        }
        Ok(())
    }

    async fn write_chunk(
        &self,
        chunk: Vec<Planned>,
        tallies: &mut BTreeMap<TenantId, Tally>,
        report: &mut Report,
    ) {
        let (mut places, mut records) = (Vec::new(), Vec::new());
        for Planned { letter, identity } in chunk {
            places.push((letter.position, identity.tenant_id));
            records.push(copy_of(letter, self.replay.trail, self.replay.id));
        }
        for ((position, tenant), answer) in places.into_iter().zip(self.sender.send(&records).await) {
            let tally = tallies.entry(tenant).or_default();
            match answer {
                Ok(()) => {
                    tally.written += 1;
                    report.replayed += 1;
                }
                Err(error) => {
                    tally.failed += 1;
                    let is_too_large = error == ProduceError::TooLarge;
                    let list = if is_too_large { &mut report.too_large } else { &mut report.unconfirmed };
                    list.push(position);
                }
            }
        }
        self.bar.inc(records.len() as u64);
    }

    async fn record(&self, events: &[AuditEvent], report: &mut Report) -> anyhow::Result<()> {
        for events in events.chunks(IN_FLIGHT) {
            let records: Result<Vec<_>, _> =
                events.iter().map(|event| Outgoing::event(event, self.schema_id, self.replay.id)).collect();
            for (event, answer) in events.iter().zip(self.sender.send(&records?).await) {
                answer?;
                let (tenant_id, event_id) = (event.tenant_id.clone(), event.event_id);
                report.recorded.push(Recorded { tenant_id, event_id });
            }
        }
        Ok(())
    }

    /// The first event stands alone where this one cannot be written, as after a kill.
    async fn record_failures(&self, tallies: &BTreeMap<TenantId, Tally>, report: &mut Report) {
        let why = report.stopped.clone().unwrap_or_else(|| "some are larger than the topic takes".to_owned());
        let is_short = |tally: &Tally| tally.failed > 0 || report.stopped.is_some();
        let short = tallies.iter().filter(|(_, tally)| is_short(tally));
        let events: Vec<_> = short
            .map(|(tenant, tally)| self.replay.failed(tenant, &tally.share, tally.written, &why))
            .collect();
        if let Err(error) = self.record(&events, report).await {
            eprintln!("that the replay stopped could not be recorded: {error:#}");
        }
    }
}
