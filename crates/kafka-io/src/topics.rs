//! The topics: how they are made, and what is refused at start.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use thiserror::Error;

use crate::KafkaError;
use crate::config::{KafkaConfig, TopicCheck};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
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

#[derive(Debug, Error)]
pub enum TopicFault {
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("topic {topic} is missing; make it with `sealtrail init`")]
    Missing { topic: String },
    #[error(
        "topic {topic} has {setting} = {found}, the promise needs {needed}; change it with your Kafka tools"
    )]
    Setting { topic: String, setting: String, found: String, needed: String },
    #[error(
        "topic {topic} has {found} partitions, its trail was begun with {needed}; the number never changes in a trail's life"
    )]
    Partitions { topic: String, found: usize, needed: usize },
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

/// How many partitions the topic has; `None` if there is no such topic.
pub async fn partition_count(config: &KafkaConfig, topic: &str) -> Result<Option<usize>, KafkaError> {
    let (config, topic) = (config.clone(), topic.to_owned());
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = config
            .client("sealtrail-topics")
            .create()
            .map_err(|e| KafkaError::new("create a kafka client", e))?;
        let metadata = consumer
            .fetch_metadata(Some(&topic), timeout())
            .map_err(|e| KafkaError::new(format!("ask {} for topic {topic}", config.brokers), e))?;
        let found = metadata.topics().iter().find(|t| t.name() == topic && t.error().is_none());
        Ok(found.map(|t| t.partitions().len()).filter(|n| *n > 0))
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
        let consumer: BaseConsumer = config
            .client("sealtrail-topics")
            .create()
            .map_err(|e| KafkaError::new("create a kafka client", e))?;
        (0..partitions)
            .map(|p| {
                consumer
                    .fetch_watermarks(&topic, p as i32, timeout())
                    .map_err(|e| KafkaError::new(format!("ask for the offsets of {topic}/{p}"), e))
            })
            .collect()
    });
    asked.await.map_err(|e| KafkaError::new("ask for offsets", e))?
}

/// Refuses where a setting of the events topic breaks the promise.
pub async fn check_events(config: &KafkaConfig, topic: &str, partitions: usize) -> Result<(), TopicFault> {
    let found = partition_count(config, topic)
        .await?
        .ok_or_else(|| TopicFault::Missing { topic: topic.to_owned() })?;
    if found != partitions {
        return Err(TopicFault::Partitions { topic: topic.to_owned(), found, needed: partitions });
    }
    if config.topic_check == TopicCheck::Off {
        return Ok(());
    }
    let settings = describe(config, topic).await?;
    let fault = |setting: &str, needed: &str| TopicFault::Setting {
        topic: topic.to_owned(),
        setting: setting.to_owned(),
        found: settings.get(setting).cloned().unwrap_or_default(),
        needed: needed.to_owned(),
    };
    for (setting, needed) in [
        ("message.timestamp.type", "LogAppendTime"),
        ("cleanup.policy", "delete"),
        ("unclean.leader.election.enable", "false"),
    ] {
        if settings.get(setting).map(String::as_str) != Some(needed) {
            return Err(fault(setting, needed));
        }
    }
    let number = |setting: &str| settings.get(setting).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let retention_ms = number("retention.ms");
    if retention_ms != -1 && retention_ms < 2 * DAY_MS {
        return Err(fault("retention.ms", "at least two days, better thirty"));
    }
    if number("max.message.bytes") < MAX_MESSAGE_BYTES {
        return Err(fault("max.message.bytes", &format!("at least {MAX_MESSAGE_BYTES}")));
    }
    if config.topic_check == TopicCheck::Strict && number("min.insync.replicas") < 2 {
        return Err(fault("min.insync.replicas", "2, with replication factor 3"));
    }
    Ok(())
}

async fn describe(config: &KafkaConfig, topic: &str) -> Result<HashMap<String, String>, KafkaError> {
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
    config.client("sealtrail-admin").create().map_err(|e| KafkaError::new("create a kafka client", e))
}

fn timeout() -> Duration {
    Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS)
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(timeout())).operation_timeout(Some(timeout()))
}
