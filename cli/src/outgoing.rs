//! Records on their way to the topic: each waits for the broker's answer, and is sent again where there is none. A record
//! that came twice is a duplicate to the processors, so sending again is safe.

use std::time::Duration;

use ::schemas::avro;
use audit_event::{AuditEvent, SchemaId};
use kafka_io::headers;
use kafka_io::producer::{NewRecord, ProduceError, ProducerConfig, RecordProducer};
use kafka_io::{KafkaConfig, KafkaError};
use uuid::Uuid;

/// Records that wait for their answer at once.
pub const IN_FLIGHT: usize = 500;
/// Tries of one record. Each waits for the delivery's time at most: about two minutes of an outage.
const MAX_TRIES: u32 = 5;
const DELIVERY_TIMEOUT_MS: u32 = 20_000;
const PAUSE: Duration = Duration::from_secs(1);

/// A record that is written, as the broker gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Outgoing {
    /// An event of our own. The correlation id is a column, by which SQL finds all events of one command.
    pub fn event(event: &AuditEvent, schema_id: SchemaId, correlation: Uuid) -> anyhow::Result<Self> {
        Ok(Self {
            key: Some(format!("{}|{}", event.tenant_id, event.event_id).into_bytes()),
            value: Some(avro::encode(event, schema_id)?),
            headers: vec![(headers::CORRELATION_ID.to_owned(), correlation.to_string().into_bytes())],
        })
    }
}

pub struct Sender {
    producer: RecordProducer,
    topic: String,
}

impl Sender {
    pub fn new(kafka: &KafkaConfig, topic: &str) -> Result<Self, KafkaError> {
        let settings =
            ProducerConfig { delivery_timeout_ms: DELIVERY_TIMEOUT_MS, ..ProducerConfig::default() };
        Ok(Self { producer: RecordProducer::new(kafka, &settings)?, topic: topic.to_owned() })
    }

    /// Answers each record, in order; at most [`IN_FLIGHT`] of them are taken.
    pub async fn send(&self, records: &[Outgoing]) -> Vec<Result<(), ProduceError>> {
        let mut answers = self.try_once(records).await;
        for _ in 1..MAX_TRIES {
            let open: Vec<_> = (0..answers.len()).filter(|n| is_worth_a_try(&answers[*n])).collect();
            if open.is_empty() {
                break;
            }
            eprintln!("{} records are not confirmed; trying again", open.len());
            tokio::time::sleep(PAUSE).await;
            let again: Vec<_> = open.iter().map(|n| records[*n].clone()).collect();
            for (n, answer) in open.into_iter().zip(self.try_once(&again).await) {
                answers[n] = answer;
            }
        }
        answers
    }

    async fn try_once(&self, records: &[Outgoing]) -> Vec<Result<(), ProduceError>> {
        let sent: Vec<_> = records.iter().map(|record| self.enqueue(record)).collect();
        let mut answers = Vec::with_capacity(sent.len());
        for pending in sent {
            answers.push(match pending {
                Ok(pending) => self.producer.confirm(pending).await.map(|_| ()),
                Err(error) => Err(error),
            });
        }
        answers
    }

    fn enqueue(&self, record: &Outgoing) -> Result<kafka_io::producer::Pending, ProduceError> {
        let headers: Vec<_> =
            record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        self.producer.enqueue(&NewRecord {
            topic: &self.topic,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        })
    }
}

fn is_worth_a_try(answer: &Result<(), ProduceError>) -> bool {
    matches!(answer, Err(ProduceError::Unconfirmed(_) | ProduceError::QueueFull))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_is_too_large_is_not_tried_again() {
        assert!(!is_worth_a_try(&Err(ProduceError::TooLarge)) && !is_worth_a_try(&Ok(())));
        assert!(is_worth_a_try(&Err(ProduceError::Unconfirmed("lost".into()))));
    }
}
