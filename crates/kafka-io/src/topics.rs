//! The topics: how they are made, and what a broker says about them.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::types::RDKafkaErrorCode;

use crate::KafkaError;
use crate::config::KafkaConfig;
use crate::errors::is_missing_topic;
use crate::reach::{ask, asker};
pub use crate::topic_check::{TopicFault, check_events};

pub(crate) const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The worst outage plus the dedupe window.
pub const DEFAULT_RETENTION_MS: i64 = 30 * DAY_MS;
/// A record may be 1 MiB of value; the rest is for key, headers and framing.
pub const MAX_MESSAGE_BYTES: i64 = 1024 * 1024 + 64 * 1024;

/// A topic as it should be.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    pub name: &'static str,
    pub partitions: i32,
    pub settings: Vec<(&'static str, String)>,
}

impl TopicSpec {
    pub fn events(name: &'static str, partitions: i32) -> Self {
        Self {
            name,
            partitions,
            settings: vec![
                ("cleanup.policy", "delete".to_owned()),
                ("message.timestamp.type", "LogAppendTime".to_owned()),
                ("retention.ms", DEFAULT_RETENTION_MS.to_string()),
                ("retention.bytes", "-1".to_owned()),
                ("max.message.bytes", MAX_MESSAGE_BYTES.to_string()),
                ("unclean.leader.election.enable", "false".to_owned()),
            ],
        }
    }

    pub fn dead_letters(name: &'static str) -> Self {
        let mut spec = Self::events(name, 1);
        // a dead letter is a record of the trail plus its provenance in headers
        spec.settings.retain(|(key, _)| *key != "max.message.bytes");
        spec.settings.push(("max.message.bytes", (2 * MAX_MESSAGE_BYTES).to_string()));
        spec
    }

    /// Signed checkpoints, for whoever wants to hold the logs to what they once said: kept for ever.
    pub fn checkpoints(name: &'static str) -> Self {
        let settings = vec![
            ("cleanup.policy", "delete".to_owned()),
            ("retention.ms", "-1".to_owned()),
            ("retention.bytes", "-1".to_owned()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        Self { name, partitions: 1, settings }
    }

    pub fn control(name: &'static str) -> Self {
        let settings = vec![
            ("cleanup.policy", "compact".to_owned()),
            ("unclean.leader.election.enable", "false".to_owned()),
        ];
        Self { name, partitions: 1, settings }
    }
}

/// How many copies a new topic has, and how many must be there for a write.
#[derive(Debug, Clone, Copy)]
pub struct Replication {
    pub replicas: i32,
    pub min_insync: i32,
}

/// Makes the topics that are missing. Answers which were made.
pub async fn create_missing(
    config: &KafkaConfig,
    specs: &[TopicSpec],
    replication: Replication,
) -> Result<Vec<&'static str>, KafkaError> {
    let admin = admin(config)?;
    let min_insync = replication.min_insync.to_string();
    let topics: Vec<_> = specs
        .iter()
        .map(|spec| {
            let mut topic =
                NewTopic::new(spec.name, spec.partitions, TopicReplication::Fixed(replication.replicas))
                    .set("min.insync.replicas", &min_insync);
            for (key, value) in &spec.settings {
                topic = topic.set(key, value);
            }
            topic
        })
        .collect();
    let results = admin
        .create_topics(&topics, &admin_options())
        .await
        .map_err(|e| KafkaError::new("create topics", e))?;
    let mut made = Vec::new();
    for (spec, result) in specs.iter().zip(results) {
        match result {
            Ok(_) => made.push(spec.name),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((_, code)) => return Err(KafkaError::new(format!("create topic {}", spec.name), code)),
        }
    }
    Ok(made)
}

/// How a topic is spread over the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicShape {
    pub partitions: usize,
    /// Of the partition that has the fewest.
    pub replicas: usize,
}

/// How many partitions the topic has; `None` if there is no such topic.
pub async fn partition_count(config: &KafkaConfig, topic: &str) -> Result<Option<usize>, KafkaError> {
    Ok(shape(config, topic).await?.map(|shape| shape.partitions))
}

/// `None` if there is no such topic.
pub async fn shape(config: &KafkaConfig, topic: &str) -> Result<Option<TopicShape>, KafkaError> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let consumer = asker(&config, "sealtrail-topics")?;
        let action = || format!("ask {} for topic {topic}", config.brokers);
        let metadata = ask(&consumer, action, |consumer, wait| consumer.fetch_metadata(Some(&topic), wait))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic);
        let partitions = match found.map(|topic| (topic.error().map(RDKafkaErrorCode::from), topic)) {
            None => &[][..],
            Some((Some(code), _)) if is_missing_topic(code) => &[][..],
            // not ours to see, or without a leader just now: it is there
            Some((Some(code), _)) => return Err(KafkaError::new(action(), code)),
            Some((None, topic)) => topic.partitions(),
        };
        let fewest = partitions.iter().map(|partition| partition.replicas().len()).min();
        Ok(fewest.map(|replicas| TopicShape { partitions: partitions.len(), replicas }))
    });
    asked.await.map_err(|e| KafkaError::new("ask for topics", e))?
}

/// The first and the next offset of each partition.
pub async fn watermarks(
    config: &KafkaConfig,
    topic: &str,
    partitions: usize,
) -> Result<Vec<(i64, i64)>, KafkaError> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let consumer = asker(&config, "sealtrail-topics")?;
        (0..partitions)
            .map(|p| {
                let action = || format!("ask for the offsets of {topic}/{p}");
                ask(&consumer, action, |consumer, wait| consumer.fetch_watermarks(&topic, p as i32, wait))
            })
            .collect()
    });
    asked.await.map_err(|e| KafkaError::new("ask for offsets", e))?
}

pub(crate) async fn settings_of(
    config: &KafkaConfig,
    topic: &str,
) -> Result<HashMap<String, String>, KafkaError> {
    let action = || format!("ask for the settings of topic {topic}");
    let admin = admin(config)?;
    let mut answers = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic)], &admin_options())
        .await
        .map_err(|e| KafkaError::new(action(), e))?;
    let resource = answers
        .pop()
        .ok_or_else(|| KafkaError::new(action(), "no answer"))?
        .map_err(|e| KafkaError::new(action(), e))?;
    Ok(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
}

fn admin(config: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    config.client("sealtrail-admin")?.create().map_err(|e| KafkaError::of_client("create a kafka client", &e))
}

fn timeout() -> Duration {
    Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout())).operation_timeout(Some(timeout()))
}
