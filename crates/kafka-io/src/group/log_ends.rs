//! Asks brokers where logs end, on a thread and a client of its own: the polling thread must not wait, and the
//! connection that it fetches over may be the one that hangs.

use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::Duration;

use audit_event::{NextOffset, PartitionId};
use rdkafka::consumer::Consumer;

use crate::config::KafkaConfig;
use crate::reach::asker;

/// Questions that wait while one is under way; a further one is not asked.
const WAITING_QUESTIONS: usize = 1;
/// Events of the client that are looked at after a question: more than a client makes in one.
const MAX_EVENTS: usize = 100;
/// The longest wait for the answer about one partition.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The thread ends when this is dropped.
pub(super) struct LogEnds {
    questions: SyncSender<Vec<PartitionId>>,
    answers: Receiver<(PartitionId, NextOffset)>,
}

impl LogEnds {
    pub fn start(kafka: &KafkaConfig, topic: &str) -> Self {
        let (questions, asked) = sync_channel(WAITING_QUESTIONS);
        let (answers_in, answers) = std::sync::mpsc::channel();
        let (kafka, topic) = (kafka.clone(), topic.to_owned());
        std::thread::spawn(move || answer(&kafka, &topic, &asked, &answers_in));
        Self { questions, answers }
    }

    /// Never waits; what is not asked now is asked later.
    pub fn ask(&self, partitions: Vec<PartitionId>) {
        let _one_is_under_way = self.questions.try_send(partitions);
    }

    pub fn answers(&self) -> impl Iterator<Item = (PartitionId, NextOffset)> {
        self.answers.try_iter()
    }
}

fn answer(
    kafka: &KafkaConfig,
    topic: &str,
    asked: &Receiver<Vec<PartitionId>>,
    answers: &Sender<(PartitionId, NextOffset)>,
) {
    let mut client = None;
    for partitions in asked {
        let consumer = match client.take().map_or_else(|| asker(kafka, "sealtrail-watchdog"), Ok) {
            Ok(consumer) => consumer,
            Err(error) => {
                tracing::warn!(%error, "the watchdog cannot ask where the logs end");
                continue;
            }
        };
        for partition in partitions {
            // no answer is no news: a broker that is away is no stall of ours
            if let Ok((_, end)) = consumer.fetch_watermarks(topic, partition.0, ANSWER_TIMEOUT) {
                let _nobody_asks_any_more = answers.send((partition, NextOffset(end)));
            }
        }
        // librdkafka keeps its troubles until somebody polls
        for _ in 0..MAX_EVENTS {
            let _a_trouble_or_nothing = consumer.poll(Duration::ZERO);
        }
        client = Some(consumer);
    }
}
