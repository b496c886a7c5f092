//! Which settings of a topic break the promise. The judgement is apart from the asking, so that services refuse at the
//! first fault and `sealtrail doctor` names them all.

use std::collections::HashMap;

use thiserror::Error;

use crate::KafkaError;
use crate::config::{KafkaConfig, TopicCheck};
use crate::topics::{self, DAY_MS, MAX_MESSAGE_BYTES, TopicShape};

/// A record must be found again for the worst outage plus the dedupe window.
const MIN_RETENTION_MS: i64 = 2 * DAY_MS;
/// An acknowledged record is on this many brokers.
const MIN_REPLICAS: usize = 2;

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
    #[error(
        "topic {topic} has {found} replicas, the promise needs {MIN_REPLICAS} or more, better 3; reassign its partitions with your Kafka tools"
    )]
    Replicas { topic: String, found: usize },
}

/// What a topic is for, and so what it must be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRole {
    /// With the number of partitions that the trail was begun with, where that is known.
    Events {
        partitions: Option<usize>,
    },
    DeadLetters,
    Control,
}

/// A topic as its broker describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicFacts {
    pub shape: TopicShape,
    pub settings: HashMap<String, String>,
}

/// `None` if there is no such topic.
pub async fn describe(config: &KafkaConfig, topic: &str) -> Result<Option<TopicFacts>, KafkaError> {
    let Some(shape) = topics::shape(config, topic).await? else { return Ok(None) };
    Ok(Some(TopicFacts { shape, settings: topics::settings_of(config, topic).await? }))
}

/// Refuses where something about the events topic breaks the promise.
pub async fn check_events(config: &KafkaConfig, topic: &str, partitions: usize) -> Result<(), TopicFault> {
    let missing = || TopicFault::Missing { topic: topic.to_owned() };
    let role = TopicRole::Events { partitions: Some(partitions) };
    let facts = if config.topic_check == TopicCheck::Off {
        // such a broker cannot say what its settings are
        let shape = topics::shape(config, topic).await?.ok_or_else(missing)?;
        TopicFacts { shape, settings: HashMap::new() }
    } else {
        describe(config, topic).await?.ok_or_else(missing)?
    };
    faults(topic, role, &facts, config.topic_check).into_iter().next().map_or(Ok(()), Err)
}

/// All that breaks the promise.
pub fn faults(topic: &str, role: TopicRole, facts: &TopicFacts, check: TopicCheck) -> Vec<TopicFault> {
    let mut faults = Vec::new();
    if let TopicRole::Events { partitions: Some(needed) } = role
        && facts.shape.partitions != needed
    {
        let found = facts.shape.partitions;
        faults.push(TopicFault::Partitions { topic: topic.to_owned(), found, needed });
    }
    if check == TopicCheck::Off {
        return faults;
    }
    let settings = Settings { topic, found: &facts.settings };
    faults.extend(settings.of_role(role));
    if check == TopicCheck::Strict {
        let found = facts.shape.replicas;
        if found < MIN_REPLICAS {
            faults.push(TopicFault::Replicas { topic: topic.to_owned(), found });
        }
        faults.extend(settings.at_least("min.insync.replicas", 2, "2, with replication factor 3"));
    }
    faults
}

struct Settings<'a> {
    topic: &'a str,
    found: &'a HashMap<String, String>,
}

impl Settings<'_> {
    fn of_role(&self, role: TopicRole) -> Vec<TopicFault> {
        let unclean = self.exactly("unclean.leader.election.enable", "false");
        let max_bytes = match role {
            TopicRole::Control => {
                return [self.exactly("cleanup.policy", "compact"), unclean].into_iter().flatten().collect();
            }
            TopicRole::Events { .. } => MAX_MESSAGE_BYTES,
            TopicRole::DeadLetters => 2 * MAX_MESSAGE_BYTES,
        };
        let faults = [
            self.exactly("message.timestamp.type", "LogAppendTime"),
            self.exactly("cleanup.policy", "delete"),
            unclean,
            self.retention(),
            self.at_least("max.message.bytes", max_bytes, &format!("at least {max_bytes}")),
        ];
        faults.into_iter().flatten().collect()
    }

    fn number(&self, setting: &str) -> i64 {
        self.found.get(setting).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    fn exactly(&self, setting: &str, needed: &str) -> Option<TopicFault> {
        (self.found.get(setting).map(String::as_str) != Some(needed)).then(|| self.fault(setting, needed))
    }

    fn at_least(&self, setting: &str, least: i64, needed: &str) -> Option<TopicFault> {
        (self.number(setting) < least).then(|| self.fault(setting, needed))
    }

    /// -1 is for ever.
    fn retention(&self) -> Option<TopicFault> {
        let retention_ms = self.number("retention.ms");
        (retention_ms != -1 && retention_ms < MIN_RETENTION_MS)
            .then(|| self.fault("retention.ms", "at least two days, better thirty"))
    }

    fn fault(&self, setting: &str, needed: &str) -> TopicFault {
        TopicFault::Setting {
            topic: self.topic.to_owned(),
            setting: setting.to_owned(),
            found: self.found.get(setting).cloned().unwrap_or_default(),
            needed: needed.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topics::TopicSpec;

    const EVENTS: TopicRole = TopicRole::Events { partitions: Some(4) };

    fn facts(spec: TopicSpec, replicas: usize, min_insync: &str) -> TopicFacts {
        let mut settings: HashMap<_, _> = spec.settings.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        settings.insert("min.insync.replicas".to_owned(), min_insync.to_owned());
        TopicFacts { shape: TopicShape { partitions: 4, replicas }, settings }
    }

    #[test]
    fn topics_as_init_makes_them_are_sound() {
        for (role, spec) in [
            (EVENTS, TopicSpec::events("t", 4)),
            (TopicRole::DeadLetters, TopicSpec::dead_letters("t")),
            (TopicRole::Control, TopicSpec::control("t")),
        ] {
            let sound = facts(spec.clone(), 3, "2");
            assert_eq!(faults("t", role, &sound, TopicCheck::Strict).len(), 0, "{role:?}");
            let laptop = facts(spec, 1, "1");
            assert_eq!(faults("t", role, &laptop, TopicCheck::SingleBroker).len(), 0, "{role:?}");
            assert_eq!(faults("t", role, &laptop, TopicCheck::Strict).len(), 2, "{role:?}");
        }
    }

    #[test]
    fn every_breach_is_named_and_not_the_first_only() {
        let mut breached = facts(TopicSpec::events("t", 4), 3, "2");
        breached.shape.partitions = 8;
        for (setting, value) in [
            ("message.timestamp.type", "CreateTime"),
            ("cleanup.policy", "compact"),
            ("unclean.leader.election.enable", "true"),
            ("retention.ms", "3600000"),
            ("max.message.bytes", "1000"),
        ] {
            breached.settings.insert(setting.to_owned(), value.to_owned());
        }
        let named: Vec<_> =
            faults("t", EVENTS, &breached, TopicCheck::Strict).iter().map(ToString::to_string).collect();
        assert_eq!(named.len(), 6, "{named:#?}");
        assert!(
            named[4].contains("retention.ms = 3600000, the promise needs at least two days"),
            "{named:#?}"
        );
        breached.settings.insert("retention.ms".to_owned(), "-1".to_owned());
        assert_eq!(faults("t", EVENTS, &breached, TopicCheck::Strict).len(), 5, "-1 is for ever");
        assert_eq!(faults("t", EVENTS, &breached, TopicCheck::Off).len(), 1, "only the partitions");
    }
}
