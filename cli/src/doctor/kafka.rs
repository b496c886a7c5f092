//! Kafka: is it there, and are the three topics what the promise needs?

use audit_event::control::TrailRecord;
use kafka_io::config::TopicCheck;
use kafka_io::control::read_once;
use kafka_io::topic_check::{self, TopicFacts, TopicFault, TopicRole};
use kafka_io::topics::TopicSpec;
use kafka_io::{KafkaConfig, commits};
use schemas::{CONTROL_TOPIC, DEAD_LETTERS_TOPIC, EVENTS_TOPIC};

use super::finding::Finding;
use super::{Seen, why};

pub const KAFKA: &str = "kafka";
const EVENTS: &str = "topic.events";
const DEAD_LETTERS: &str = "topic.dead_letters";
const CONTROL: &str = "topic.control";

#[derive(Debug, Clone)]
pub struct KafkaFacts {
    pub brokers: String,
    /// `None` where there is no such topic.
    pub events: Seen<Option<TopicFacts>>,
    pub dead_letters: Seen<Option<TopicFacts>>,
    pub control_topic: Seen<Option<TopicFacts>>,
    /// The trail that the control topic names.
    pub control: Seen<Option<TrailRecord>>,
    pub members: Seen<Vec<String>>,
}

/// An error says that Kafka could not be reached at all.
pub async fn gather(config: &KafkaConfig, group: &str) -> Seen<KafkaFacts> {
    kafka_io::topics::shape(config, EVENTS_TOPIC).await.map_err(why)?;
    let describe = async |topic| topic_check::describe(config, topic).await.map_err(why);
    let (events, dead_letters, control_topic, members) = tokio::join!(
        describe(EVENTS_TOPIC),
        describe(DEAD_LETTERS_TOPIC),
        describe(CONTROL_TOPIC),
        commits::members(config, group),
    );
    let control = match &control_topic {
        // a topic that is not there would be waited for
        Ok(None) => Ok(None),
        _ => read_once(config, CONTROL_TOPIC).await.map(|state| state.trail.clone()).map_err(why),
    };
    Ok(KafkaFacts {
        brokers: config.brokers.clone(),
        events,
        dead_letters,
        control_topic,
        control,
        members: members.map_err(why),
    })
}

pub fn judge(kafka: &Seen<KafkaFacts>, check: TopicCheck) -> Vec<Finding> {
    let facts = match kafka {
        Ok(facts) => facts,
        Err(error) => {
            let advice = "start the brokers, or check SEALTRAIL_KAFKA (and SEALTRAIL_KAFKA_CONFIG)";
            let away = |name| Finding::unknown(name, "kafka is not reachable");
            let mut findings = vec![Finding::broken(KAFKA, error, advice)];
            findings.extend([EVENTS, DEAD_LETTERS, CONTROL].map(away));
            return findings;
        }
    };
    let partitions = facts.control.as_ref().ok().and_then(|trail| Some(trail.as_ref()?.genesis.len()));
    let mut findings = vec![Finding::ok(KAFKA, format!("{} answers", facts.brokers))];
    findings.extend(judge_topic(
        EVENTS,
        EVENTS_TOPIC,
        TopicRole::Events { partitions },
        &facts.events,
        check,
    ));
    findings.extend(judge_topic(
        DEAD_LETTERS,
        DEAD_LETTERS_TOPIC,
        TopicRole::DeadLetters,
        &facts.dead_letters,
        check,
    ));
    findings.extend(judge_topic(CONTROL, CONTROL_TOPIC, TopicRole::Control, &facts.control_topic, check));
    findings
}

fn judge_topic(
    name: &'static str,
    topic: &str,
    role: TopicRole,
    facts: &Seen<Option<TopicFacts>>,
    check: TopicCheck,
) -> Vec<Finding> {
    let facts = match facts {
        Err(error) => return vec![Finding::unknown(name, error)],
        Ok(None) => return vec![Finding::broken_by(name, &TopicFault::Missing { topic: topic.to_owned() })],
        Ok(Some(facts)) => facts,
    };
    let faults = topic_check::faults(topic, role, facts, check);
    let mut findings: Vec<_> = faults.iter().map(|fault| judge_fault(name, role, fault)).collect();
    findings.extend(doubts(name, topic, role, facts, check));
    if findings.is_empty() {
        let shape = facts.shape;
        findings.push(Finding::ok(
            name,
            format!(
                "{topic}: {} partitions, {} replicas, settings as needed",
                shape.partitions, shape.replicas
            ),
        ));
    }
    findings
}

fn judge_fault(name: &'static str, role: TopicRole, fault: &TopicFault) -> Finding {
    let mut finding = Finding::broken_by(name, fault);
    if let TopicFault::Setting { topic, setting, .. } = fault {
        let spec = match role {
            TopicRole::Events { .. } => TopicSpec::events(EVENTS_TOPIC, 1),
            TopicRole::DeadLetters => TopicSpec::dead_letters(DEAD_LETTERS_TOPIC),
            TopicRole::Control => TopicSpec::control(CONTROL_TOPIC),
        };
        let value = spec.settings.iter().find(|(key, _)| key == setting).map_or("2", |(_, value)| value);
        finding.advice = Some(format!(
            "kafka-configs.sh --alter --entity-type topics --entity-name {topic} --add-config {setting}={value}"
        ));
    }
    finding
}

/// What keeps the promise and may still surprise its operator.
fn doubts(
    name: &'static str,
    topic: &str,
    role: TopicRole,
    facts: &TopicFacts,
    check: TopicCheck,
) -> Vec<Finding> {
    let number = |setting: &str| facts.settings.get(setting).and_then(|text| text.parse::<i64>().ok());
    let mut doubts = Vec::new();
    let limited = number("retention.bytes").filter(|bytes| *bytes >= 0 && role != TopicRole::Control);
    if let Some(bytes) = limited {
        doubts.push(Finding::warn(
            name,
            format!(
                "topic {topic} has retention.bytes = {bytes}: a busy day can remove records before their time"
            ),
            format!("set retention.bytes=-1 for {topic}, and watch the brokers' disks"),
        ));
    }
    let (replicas, min_insync) = (facts.shape.replicas, number("min.insync.replicas").unwrap_or(1));
    if check == TopicCheck::Strict && replicas >= 2 && min_insync >= replicas as i64 {
        doubts.push(Finding::warn(
            name,
            format!("topic {topic} has {replicas} replicas and min.insync.replicas = {min_insync}: one broker less stops every write"),
            "use 3 replicas with min.insync.replicas = 2",
        ));
    }
    doubts
}

#[cfg(test)]
pub mod tests {
    use std::collections::HashMap;

    use kafka_io::topics::TopicShape;

    use super::*;
    use crate::doctor::finding::State;

    fn topic(spec: TopicSpec, partitions: usize) -> Seen<Option<TopicFacts>> {
        let mut settings: HashMap<_, _> =
            spec.settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        settings.insert("min.insync.replicas".into(), "2".into());
        Ok(Some(TopicFacts { shape: TopicShape { partitions, replicas: 3 }, settings }))
    }

    /// A cluster as it should be.
    pub fn sound(trail: TrailRecord) -> KafkaFacts {
        KafkaFacts {
            brokers: "b:9092".into(),
            events: topic(TopicSpec::events(EVENTS_TOPIC, 1), trail.genesis.len()),
            dead_letters: topic(TopicSpec::dead_letters(DEAD_LETTERS_TOPIC), 1),
            control_topic: topic(TopicSpec::control(CONTROL_TOPIC), 1),
            control: Ok(Some(trail)),
            members: Ok(vec!["sealtrail-processor at 10.0.0.1".into()]),
        }
    }

    pub fn trail() -> TrailRecord {
        crate::backup::tests::trail(4)
    }

    fn set(facts: &mut Seen<Option<TopicFacts>>, setting: &str, value: &str) {
        let facts = facts.as_mut().expect("seen").as_mut().expect("there");
        facts.settings.insert(setting.to_owned(), value.to_owned());
    }

    #[test]
    fn a_sound_cluster_has_no_findings() {
        let findings = judge(&Ok(sound(trail())), TopicCheck::Strict);
        assert_eq!(findings.len(), 4);
        assert!(findings.iter().all(|finding| finding.state == State::Ok), "{findings:#?}");
    }

    #[test]
    fn an_unreachable_broker_is_one_fault_and_not_a_cascade() {
        let findings = judge(&Err("ask b:9092 for topic x: timed out".into()), TopicCheck::Strict);
        let states: Vec<_> = findings.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Broken, State::Unknown, State::Unknown, State::Unknown]);
    }

    #[test]
    fn every_wrong_setting_is_named_with_the_command_that_mends_it() {
        let mut facts = sound(trail());
        set(&mut facts.events, "retention.ms", "3600000");
        set(&mut facts.events, "message.timestamp.type", "CreateTime");
        set(&mut facts.control_topic, "cleanup.policy", "delete");
        set(&mut facts.dead_letters, "retention.bytes", "1000");
        facts.events.as_mut().expect("seen").as_mut().expect("there").shape.partitions = 8;
        let findings = judge(&Ok(facts), TopicCheck::Strict);
        let bad: Vec<_> = findings.iter().filter(|finding| finding.state != State::Ok).collect();
        assert_eq!(bad.len(), 5, "{bad:#?}");
        assert!(bad[0].seen.contains("8 partitions, its trail was begun with 4"), "{bad:#?}");
        let advice = bad[2].advice.as_deref().expect("advice");
        assert!(
            advice.ends_with("--entity-name audit.events.v1 --add-config retention.ms=2592000000"),
            "{advice}"
        );
        assert_eq!((bad[3].name, bad[3].state), (DEAD_LETTERS, State::Warn));
        assert_eq!((bad[4].name, bad[4].state), (CONTROL, State::Broken));
    }

    #[test]
    fn replicas_count_unless_one_broker_is_all_there_is() {
        let mut facts = sound(trail());
        facts.events.as_mut().expect("seen").as_mut().expect("there").shape.replicas = 1;
        set(&mut facts.events, "min.insync.replicas", "1");
        let broken = |check| {
            let findings = judge(&Ok(facts.clone()), check);
            findings.iter().filter(|finding| finding.state == State::Broken).count()
        };
        assert_eq!(broken(TopicCheck::Strict), 2);
        assert_eq!(broken(TopicCheck::SingleBroker), 0);
    }

    #[test]
    fn a_missing_topic_is_named() {
        let mut facts = sound(trail());
        facts.dead_letters = Ok(None);
        let findings = judge(&Ok(facts), TopicCheck::Strict);
        assert_eq!(findings[2].advice.as_deref(), Some("make it with `sealtrail init`"));
    }
}
