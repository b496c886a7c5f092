//! Asks brokers where logs end and who has which partition, on a thread and a client of its own: the polling thread must
//! not wait, and the connection that it fetches over may be the one that hangs.

use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::time::Duration;

use audit_event::{NextOffset, PartitionId};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError as ClientError;

use super::owners;
use crate::config::KafkaConfig;
use crate::reach::{Asker, asker};

/// Questions that wait while one is under way; a further one is not asked.
const WAITING_QUESTIONS: usize = 2;
/// Events of the client that are looked at after a question: more than a client makes in one.
const MAX_EVENTS: usize = 100;
/// The longest wait for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Question {
    LogEnds(Vec<PartitionId>),
    Owners,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    LogEnd(PartitionId, NextOffset),
    /// Partitions that nobody has.
    Unowned(Vec<PartitionId>),
}

/// The thread ends when this is dropped.
pub(super) struct Inquiry {
    questions: SyncSender<Question>,
    answers: Receiver<Answer>,
}

impl Inquiry {
    pub fn start(kafka: &KafkaConfig, group_id: &str, topic: &str) -> Self {
        let (questions, asked) = sync_channel(WAITING_QUESTIONS);
        let (answers_in, answers) = std::sync::mpsc::channel();
        let (kafka, about) =
            (kafka.clone(), About { group_id: group_id.to_owned(), topic: topic.to_owned() });
        std::thread::spawn(move || answer(&kafka, &about, &asked, &answers_in));
        Self { questions, answers }
    }

    /// Never waits; what is not asked now is asked later.
    pub fn ask(&self, question: Question) {
        let _enough_wait = self.questions.try_send(question);
    }

    pub fn answers(&self) -> impl Iterator<Item = Answer> {
        self.answers.try_iter()
    }
}

struct About {
    group_id: String,
    topic: String,
}

/// No answer is no news: a broker that is away is no stall of ours.
fn answer(kafka: &KafkaConfig, about: &About, asked: &Receiver<Question>, answers: &Sender<Answer>) {
    let mut client = None;
    for question in asked {
        let consumer = match client.take().map_or_else(|| asker(kafka, "sealtrail-watchdog"), Ok) {
            Ok(consumer) => consumer,
            Err(error) => {
                tracing::warn!(%error, "the watchdog cannot ask the brokers");
                continue;
            }
        };
        about.answer(&consumer, question, &mut |answer| {
            let _nobody_asks_any_more = answers.send(answer);
        });
        // librdkafka keeps its troubles until somebody polls
        for _ in 0..MAX_EVENTS {
            let _a_trouble_or_nothing = consumer.poll(Duration::ZERO);
        }
        client = Some(consumer);
    }
}

impl About {
    fn answer(&self, consumer: &Asker, question: Question, tell: &mut dyn FnMut(Answer)) {
        match question {
            Question::LogEnds(partitions) => {
                for partition in partitions {
                    if let Ok((_, end)) = consumer.fetch_watermarks(&self.topic, partition.0, ANSWER_TIMEOUT)
                    {
                        tell(Answer::LogEnd(partition, NextOffset(end)));
                    }
                }
            }
            Question::Owners => match self.unowned(consumer) {
                Ok(unowned) => tell(Answer::Unowned(unowned)),
                Err(error) => tracing::debug!(%error, "the group's owners are not known"),
            },
        }
    }

    fn unowned(&self, consumer: &Asker) -> Result<Vec<PartitionId>, ClientError> {
        let metadata = consumer.fetch_metadata(Some(&self.topic), ANSWER_TIMEOUT)?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        let groups = consumer.fetch_group_list(Some(&self.group_id), ANSWER_TIMEOUT)?;
        let group = groups.groups().iter().find(|group| group.name() == self.group_id);
        Ok(group.map_or_else(Vec::new, |group| owners::unowned(group, &self.topic, count)))
    }
}
