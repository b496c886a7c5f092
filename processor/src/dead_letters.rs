//! The dead-letter topic: each record as it was, with its provenance in headers. At least once: a replay writes again,
//! and the headers tell which record it is. The table `dead_letters` is exact.

use audit_event::TrailId;
use kafka_io::group::Record;
use kafka_io::producer::{NewRecord, ProduceError};
use pipeline_core::verdict::{Rejection, Verdict};
use prometheus::IntCounter;
use schemas::DEAD_LETTERS_TOPIC;
use schemas::columns::RequestColumns;

use crate::pace::Backoff;
use crate::pipeline::JudgedBatch;
use crate::ports::{Answer, DeadLetterTopic};
use crate::sink::request_of;
use crate::stages::decode::schema_id;

/// Letters of a batch that get a line in the log each; the topic and the table hold all.
const LOGGED: usize = 10;
/// Letters that wait for their acknowledgement at once.
const IN_FLIGHT: usize = 1_000;

/// How letters that were not confirmed are sent again.
pub struct Again<'a> {
    pub retries: &'a IntCounter,
    pub backoff: Backoff<'a>,
}

/// Writes the batch's dead letters and waits until each is acknowledged. Where the topic can't be written the partition
/// waits here: nothing is lost, and nothing goes on as if it had been written.
pub async fn publish(
    dead_letter_topic: &dyn DeadLetterTopic,
    batch: &JudgedBatch,
    trail: TrailId,
    topic: &str,
    partition: i32,
    again: &mut Again<'_>,
) {
    let mut letters: Vec<_> = batch
        .records
        .iter()
        .filter_map(|(record, verdict)| match verdict {
            Verdict::DeadLetter(rejection) => Some((record, rejection)),
            _ => None,
        })
        .collect();
    log_first(&letters, partition);
    while !letters.is_empty() {
        let rest = letters.split_off(letters.len().min(IN_FLIGHT));
        let mut unconfirmed = Vec::new();
        let sent: Vec<_> = letters
            .iter()
            .map(|(record, rejection)| send(dead_letter_topic, record, rejection, trail, topic, partition))
            .collect();
        for (letter, pending) in letters.into_iter().zip(sent) {
            let confirmed = match pending {
                Ok(answer) => answer.await,
                Err(error) => Err(error),
            };
            match confirmed {
                Ok(()) => {}
                // no retry makes it smaller; the table dead_letters holds it whole
                Err(ProduceError::TooLarge) => {
                    tracing::error!(offset = %letter.0.offset, "dead letter is larger than its topic takes; it is in the table only");
                }
                Err(error) => {
                    tracing::warn!(%error, offset = %letter.0.offset, "dead letter not confirmed, sending again");
                    again.retries.inc();
                    unconfirmed.push(letter);
                }
            }
        }
        again.backoff.sign();
        if !unconfirmed.is_empty() {
            again.backoff.pause().await;
        }
        unconfirmed.extend(rest);
        letters = unconfirmed;
    }
}

fn log_first(letters: &[(&Record, &Rejection)], partition: i32) {
    for (record, rejection) in letters.iter().take(LOGGED) {
        let RequestColumns { traceparent, correlation_id } = request_of(record);
        let (offset, reason) = (record.offset, rejection.reason.as_str());
        tracing::warn!(partition, %offset, reason, correlation_id, traceparent, detail = rejection.detail, "dead letter");
    }
    if letters.len() > LOGGED {
        tracing::warn!(partition, count = letters.len(), "dead letters of one batch; not each has its line");
    }
}

fn send<'a>(
    dead_letter_topic: &'a dyn DeadLetterTopic,
    record: &Record,
    rejection: &Rejection,
    trail: TrailId,
    topic: &str,
    partition: i32,
) -> Result<Answer<'a, (), ProduceError>, ProduceError> {
    let provenance = [
        ("sealtrail-reason", rejection.reason.as_str().to_owned()),
        ("sealtrail-stage", rejection.reason.stage().as_str().to_owned()),
        ("sealtrail-detail", rejection.detail.clone()),
        ("sealtrail-trail", trail.to_string()),
        ("sealtrail-topic", topic.to_owned()),
        ("sealtrail-partition", partition.to_string()),
        ("sealtrail-offset", record.offset.to_string()),
        ("sealtrail-timestamp-ms", record.received_at.0.to_string()),
        ("sealtrail-schema-id", schema_id(record).map_or_else(String::new, |id| id.to_string())),
    ];
    let original = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    let headers: Vec<_> =
        original.chain(provenance.iter().map(|(name, value)| (*name, value.as_bytes()))).collect();
    dead_letter_topic.send(&NewRecord {
        topic: DEAD_LETTERS_TOPIC,
        key: record.key.as_deref(),
        value: record.value.as_deref(),
        headers: &headers,
    })
}
