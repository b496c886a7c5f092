//! `dlq replay`: dry unless told otherwise.

use std::time::Duration;

use ::schemas::{CONTROL_TOPIC, EVENTS_SUBJECT, avro};
use anyhow::{Context, ensure};
use audit_event::{SchemaId, TrailId};
use clickhouse_io::ClickHouse;
use indicatif::{ProgressBar, ProgressStyle};
use kafka_io::config::TopicCheck;
use kafka_io::control::read_once;
use uuid::Uuid;

use super::flags::ReplayFlags;
use super::prospect::Assessor;
use super::record::Replay;
use super::report::Report;
use super::schemas::WriterSchemas;
use super::selection::{Selection, Terms};
use super::trail_of;
use super::write::Writer;
use crate::actor::Actor;
use crate::outgoing::Sender;
use crate::output::{Format, Outcome};

pub async fn run(flags: &ReplayFlags, format: Format) -> anyhow::Result<Outcome> {
    // events are looked up by their ids over all days
    let engine = flags.clickhouse.connect_patiently()?;
    let trail = trail_of(&engine, flags.filter.trail()).await?;
    let filter = flags.filter.of_trail(trail)?;
    let assessor =
        Assessor { engine: &engine, trail, schemas: WriterSchemas::new(flags.registry.connect()?) };
    let terms = Terms { limit: flags.limit, force: flags.force };
    let writer = if flags.execute { Some(writer(flags, &engine, trail).await?) } else { None };
    let mut selection = Selection::new(assessor, filter, terms);
    let mut report = Report {
        executed: flags.execute,
        replay_id: writer.as_ref().map(|writer| writer.replay.id),
        ..Report::default()
    };
    replay(&mut selection, writer.as_ref(), &mut report).await?;
    report.letters = selection.letters;
    report.to_replay = selection.planned;
    report.more = selection.more;
    report.groups = selection.groups.into_sorted();
    report.command = (!flags.execute && report.to_replay > 0).then(|| flags.command());
    format.print(&report)?;
    Ok(report.outcome())
}

/// What was written must be told, so an error behind the first letter goes into the report.
async fn replay(
    selection: &mut Selection<'_>,
    writer: Option<&Writer<'_>>,
    report: &mut Report,
) -> anyhow::Result<()> {
    loop {
        let portion = match selection.next_portion().await {
            Err(error) if !report.recorded.is_empty() => {
                report.stopped = Some(format!("{error:#}"));
                break;
            }
            portion => portion?,
        };
        if portion.is_empty() {
            break;
        }
        let Some(writer) = writer else { continue };
        writer.bar.inc_length(portion.len() as u64);
        match writer.write(portion, report).await {
            Err(error) if !report.recorded.is_empty() => report.stopped = Some(format!("{error:#}")),
            written => written?,
        }
        if report.stopped.is_some() {
            break;
        }
    }
    if let Some(writer) = writer {
        writer.bar.finish_and_clear();
    }
    Ok(())
}

/// Whatever cannot be had is missed before the first letter is read.
async fn writer<'a>(
    flags: &ReplayFlags,
    engine: &'a ClickHouse,
    letters_of: TrailId,
) -> anyhow::Result<Writer<'a>> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let control = read_once(&kafka, CONTROL_TOPIC).await?;
    let trail = control.trail.clone().context("no trail has been begun; run `sealtrail init`")?;
    let stored = trail_of(engine, None).await?;
    ensure!(
        trail.trail_id == stored,
        "kafka has trail {}, and the last that clickhouse knows is {stored}; give addresses that belong together",
        trail.trail_id
    );
    let registered = flags.registry.connect()?.find(EVENTS_SUBJECT, avro::SCHEMA_TEXT).await?;
    let schema_id = registered.context(
        "the registry does not have this version's schema, by which the replay is recorded; start a gateway of this version first",
    )?;
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} letters, {per_sec}, {elapsed}")?;
    Ok(Writer {
        engine,
        sender: Sender::new(&kafka, &trail.topic)?,
        kafka,
        trail,
        schema_id: SchemaId(schema_id),
        replay: Replay {
            id: Uuid::now_v7(),
            trail: letters_of,
            actor: Actor::of_this_process(flags.actor.as_deref()),
            filter: flags.filter.as_arguments(),
            forced: flags.force,
        },
        letters_per_s: flags.rate.get(),
        wait: Duration::from_secs(flags.wait_s),
        bar: ProgressBar::new(0).with_style(style),
    })
}
