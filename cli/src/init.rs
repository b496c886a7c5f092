//! `migrate` and `init`: what must be there before the services start.

use anyhow::{Context, bail};
use audit_event::control::{DedupeRules, TRAIL_KEY, TrailRecord, VALUE_VERSION};
use audit_event::{Offset, TrailId};
use chrono::Utc;
use clap::Args;
use clickhouse_io::{ClickHouse, Sql};
use kafka_io::control::{ControlWriter, read_once};
use kafka_io::topics::{self, Replication, TopicSpec};
use kafka_io::{KafkaConfig, KafkaError};
use schemas::{CHECKPOINTS_TOPIC, CONTROL_TOPIC, DEAD_LETTERS_TOPIC, EVENTS_SUBJECT, EVENTS_TOPIC};
use serde::Serialize;
use uuid::Uuid;

use crate::connect::{ClickHouseFlags, KafkaFlags, RegistryFlags, SingleBrokerFlag};
use crate::output::{Format, Show};

#[derive(Debug, Args)]
pub struct InitFlags {
    #[command(flatten)]
    registry: RegistryFlags,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    clickhouse: ClickHouseFlags,
    /// Partitions of a new trail; the number never changes in its life
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    #[command(flatten)]
    brokers: SingleBrokerFlag,
    /// Begin a new trail although ClickHouse knows an earlier one of this topic, because the topic was made anew
    #[arg(long)]
    new_trail: bool,
}

/// What `migrate` did.
#[derive(Debug, Serialize)]
struct Migrated {
    applied: Vec<&'static str>,
}

impl Show for Migrated {
    fn text(&self) -> String {
        match &self.applied[..] {
            [] => "the tables are up to date".to_owned(),
            applied => applied.iter().map(|name| format!("applied {name}\n")).collect(),
        }
    }
}

/// What `init` did.
#[derive(Debug, Serialize)]
struct Initialised {
    made_topics: Vec<&'static str>,
    trail_id: TrailId,
    partitions: usize,
    /// Whether the trail was begun now, or goes on.
    begun: bool,
}

impl Show for Initialised {
    fn text(&self) -> String {
        let mut text: String = self.made_topics.iter().map(|name| format!("made topic {name}\n")).collect();
        text += &match self.begun {
            true => format!("began trail {} with {} partitions", self.trail_id, self.partitions),
            false => format!("trail {} goes on", self.trail_id),
        };
        text
    }
}

pub async fn migrate(flags: &ClickHouseFlags, format: Format) -> anyhow::Result<()> {
    let applied = flags.connect()?.migrate().await?;
    format.print(&Migrated { applied })
}

pub async fn run(flags: &InitFlags, format: Format) -> anyhow::Result<()> {
    let check = flags.brokers.topic_check();
    let kafka = flags.kafka.config(check)?;
    let engine = flags.clickhouse.connect()?;
    let made_topics = make_topics(&kafka, flags).await?;
    let control = read_once(&kafka, CONTROL_TOPIC).await?;
    let (trail, begun) = match &control.trail {
        Some(trail) => (trail.clone(), false),
        None => (begin_trail(&kafka, &engine, flags.new_trail).await?, true),
    };
    remember_trail(&engine, &trail).await?;
    flags.registry.connect()?.set_compatibility(EVENTS_SUBJECT).await?;
    let partitions = trail.genesis.len();
    format.print(&Initialised { made_topics, trail_id: trail.trail_id, partitions, begun })
}

async fn make_topics(kafka: &KafkaConfig, flags: &InitFlags) -> Result<Vec<&'static str>, KafkaError> {
    let specs = [
        TopicSpec::events(EVENTS_TOPIC, flags.partitions),
        TopicSpec::dead_letters(DEAD_LETTERS_TOPIC),
        TopicSpec::control(CONTROL_TOPIC),
        TopicSpec::checkpoints(CHECKPOINTS_TOPIC),
    ];
    let mut missing = Vec::new();
    for spec in specs {
        if topics::partition_count(kafka, spec.name).await?.is_none() {
            missing.push(spec);
        }
    }
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    let replication = if flags.brokers.single_broker {
        Replication { replicas: 1, min_insync: 1 }
    } else {
        Replication { replicas: 3, min_insync: 2 }
    };
    topics::create_missing(kafka, &missing, replication).await
}

async fn begin_trail(
    kafka: &KafkaConfig,
    engine: &ClickHouse,
    new_trail: bool,
) -> anyhow::Result<TrailRecord> {
    refuse_second_trail(engine, new_trail).await?;
    let partitions =
        topics::partition_count(kafka, EVENTS_TOPIC).await?.context("the events topic is gone")?;
    let watermarks = topics::watermarks(kafka, EVENTS_TOPIC, partitions).await?;
    let trail = TrailRecord {
        v: VALUE_VERSION,
        trail_id: TrailId(Uuid::new_v4()),
        topic: EVENTS_TOPIC.to_owned(),
        genesis: watermarks.into_iter().map(|(low, _)| Offset(low)).collect(),
        begun_at: Utc::now().to_rfc3339(),
        dedupe: DedupeRules::default(),
    };
    ControlWriter::new(kafka, CONTROL_TOPIC)?.put(TRAIL_KEY, &trail).await?;
    Ok(trail)
}

/// Writes the trail into ClickHouse too, once; what a crash left out is made up for by the next `init`.
async fn remember_trail(engine: &ClickHouse, trail: &TrailRecord) -> anyhow::Result<()> {
    let remember = Sql::new(
        "INSERT INTO trails (trail_id, topic, partitions, genesis, begun_at) \
         SELECT {trail:UUID}, {topic:String}, {partitions:UInt32}, {genesis:Array(Int64)}, now64(3) \
         WHERE (SELECT count() FROM trails WHERE trail_id = {trail:UUID}) = 0",
    )
    .param("trail", trail.trail_id.to_string())
    .param("topic", trail.topic.clone())
    .param("partitions", u32::try_from(trail.genesis.len())?)
    .param("genesis", trail.genesis.iter().map(|offset| offset.0).collect::<Vec<_>>())
    .setting("async_insert", "0");
    Ok(engine.execute("remember the trail", remember).await?)
}

/// A trail that ClickHouse knows and Kafka does not: the topics were made anew, or these are other brokers.
async fn refuse_second_trail(engine: &ClickHouse, new_trail: bool) -> anyhow::Result<()> {
    let sql =
        Sql::new("SELECT count() FROM trails WHERE topic = {topic:String}").param("topic", EVENTS_TOPIC);
    let known: u64 = engine.fetch_one("read the trails", sql).await?;
    if known > 0 && !new_trail {
        bail!(
            "clickhouse knows a trail of {EVENTS_TOPIC} and kafka does not: the topics were made anew, or the address is wrong; \
             with --new-trail a new one begins beside it"
        );
    }
    Ok(())
}
