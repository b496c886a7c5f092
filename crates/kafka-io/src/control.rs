//! The control topic: followed by every service into memory, written by the command line.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use audit_event::control::ControlState;
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{Offset, TopicPartitionList};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::KafkaConfig;
use crate::reach::{Asker, Doorman, ask};
use crate::{KafkaError, topics};

/// Records that are applied before the state is shown again, if more keep coming.
const MAX_UNPUBLISHED: u32 = 1_000;
/// How long one poll waits; also how late a stop is noticed.
const POLL_MS: u64 = 100;
/// The wait before a follower that failed tries again.
const RETRY_MS: u64 = 500;

/// The control state as it is now, kept up to date in the background.
#[derive(Clone)]
pub struct ControlFollower {
    state: Arc<ArcSwap<ControlState>>,
    caught_up: watch::Receiver<bool>,
}

impl ControlFollower {
    /// Starts to follow, on a thread of its own, until `stop`. Settings that no client can be made of are an error
    /// at once; a broker that does not answer is waited for.
    pub fn start(
        config: &KafkaConfig,
        topic: &'static str,
        stop: CancellationToken,
    ) -> Result<Self, KafkaError> {
        make_consumer(config)?;
        let state = Arc::new(ArcSwap::from_pointee(ControlState::default()));
        let (sender, caught_up) = watch::channel(false);
        let follower = Self { state: state.clone(), caught_up };
        let config = config.clone();
        std::thread::spawn(move || {
            while !stop.is_cancelled() {
                if let Err(error) = follow(&config, topic, &state, &sender, &stop) {
                    tracing::warn!(%error, "control topic: trying again");
                    std::thread::sleep(Duration::from_millis(RETRY_MS));
                }
            }
        });
        Ok(follower)
    }

    pub fn state(&self) -> Arc<ControlState> {
        self.state.load_full()
    }

    /// Whether all that was in the topic at start is in the state; before that a key that is not there may exist.
    pub fn is_caught_up(&self) -> bool {
        *self.caught_up.borrow()
    }

    /// Waits until all that was in the topic at start is in the state.
    pub async fn caught_up(&mut self) {
        if self.caught_up.wait_for(|done| *done).await.is_err() {
            // the follower's thread has ended, with a stop or a fault: nothing will ever be caught up
            std::future::pending::<()>().await;
        }
    }
}

fn make_consumer(config: &KafkaConfig) -> Result<Asker, KafkaError> {
    config
        .client("sealtrail-control")?
        // librdkafka wants a group for assign(); nothing is ever committed under it
        .set("group.id", "sealtrail-control-follower")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.wait.max.ms", "100")
        .create_with_context(Doorman::default())
        .map_err(|e| KafkaError::of_client("create a kafka client", &e))
}

/// Reads the topic from its begin; returns only on an error or a stop.
fn follow(
    config: &KafkaConfig,
    topic: &str,
    state: &ArcSwap<ControlState>,
    caught_up: &watch::Sender<bool>,
    stop: &CancellationToken,
) -> Result<(), KafkaError> {
    let consumer = make_consumer(config)?;
    // asked before the assignment: who asks throws away what there is to poll
    let action = || format!("ask for the end of {topic}");
    let (low, high) = ask(&consumer, action, |consumer, wait| consumer.fetch_watermarks(topic, 0, wait))?;
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, Offset::Beginning)
        .and_then(|()| consumer.assign(&assignment))
        .map_err(|e| KafkaError::new(format!("assign {topic}"), e))?;
    // a fresh state, so that what was compacted away while we were gone goes
    let mut fresh = ControlState::default();
    let mut is_caught_up = low >= high;
    if is_caught_up {
        publish(&fresh, state, caught_up);
    }
    // records that are applied and not published: a copy of the state for each one of a flood would be much
    let mut unpublished = 0;
    while !stop.is_cancelled() {
        if is_caught_up && unpublished >= MAX_UNPUBLISHED {
            publish(&fresh, state, caught_up);
            unpublished = 0;
        }
        let wait = if unpublished > 0 { Duration::ZERO } else { Duration::from_millis(POLL_MS) };
        let Some(polled) = consumer.poll(wait) else {
            // compaction and markers can leave the last offsets without a record
            let has_come_to_the_end = !is_caught_up && position_of(&consumer, topic) >= high;
            is_caught_up |= has_come_to_the_end;
            if has_come_to_the_end || (is_caught_up && unpublished > 0) {
                publish(&fresh, state, caught_up);
            }
            unpublished = 0;
            continue;
        };
        let record = polled.map_err(|e| KafkaError::new(format!("read {topic}"), e))?;
        let key = record.key().map(String::from_utf8_lossy).unwrap_or_default();
        if let Err(error) = fresh.apply(&key, record.payload()) {
            tracing::error!(%error, key = %key, offset = record.offset(), "control record not applied");
        }
        is_caught_up |= record.offset() + 1 >= high;
        unpublished += 1;
    }
    Ok(())
}

fn position_of(consumer: &Asker, topic: &str) -> i64 {
    consumer
        .position()
        .ok()
        .and_then(|list| list.find_partition(topic, 0).and_then(|p| p.offset().to_raw()))
        .unwrap_or(-1)
}

fn publish(fresh: &ControlState, state: &ArcSwap<ControlState>, caught_up: &watch::Sender<bool>) {
    state.store(Arc::new(fresh.clone()));
    caught_up.send_replace(true);
}

/// Reads the topic once, up to its present end.
pub async fn read_once(config: &KafkaConfig, topic: &'static str) -> Result<Arc<ControlState>, KafkaError> {
    // asked first: a follower goes on trying, and would tell a refusal as a timeout
    if topics::partition_count(config, topic).await?.is_none() {
        return Err(KafkaError::new(format!("read {topic}"), "there is no such topic; run `sealtrail init`"));
    }
    let stop = CancellationToken::new();
    let _stops_the_thread = stop.clone().drop_guard();
    let mut follower = ControlFollower::start(config, topic, stop)?;
    let wait = Duration::from_millis(2 * KafkaConfig::REQUEST_TIMEOUT_MS);
    tokio::time::timeout(wait, follower.caught_up())
        .await
        .map_err(|_| KafkaError::new(format!("read {topic}"), "no answer in time; is the broker up?"))?;
    Ok(follower.state())
}

/// Writes control records, each acknowledged by all replicas.
pub struct ControlWriter {
    producer: FutureProducer,
    topic: &'static str,
}

impl ControlWriter {
    pub fn new(config: &KafkaConfig, topic: &'static str) -> Result<Self, KafkaError> {
        let producer = config
            .client("sealtrail-control-writer")?
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", KafkaConfig::REQUEST_TIMEOUT_MS.to_string())
            .create()
            .map_err(|e| KafkaError::of_client("create a kafka client", &e))?;
        Ok(Self { producer, topic })
    }

    pub async fn put(&self, key: &str, value: &impl Serialize) -> Result<(), KafkaError> {
        let action = || format!("write {key} to {}", self.topic);
        let value = serde_json::to_vec(value).map_err(|e| KafkaError::new(action(), e))?;
        self.write(key, Some(&value)).await
    }

    /// Writes a tombstone.
    pub async fn remove(&self, key: &str) -> Result<(), KafkaError> {
        self.write(key, None).await
    }

    async fn write(&self, key: &str, value: Option<&[u8]>) -> Result<(), KafkaError> {
        let action = || format!("write {key} to {}", self.topic);
        let mut record: FutureRecord<'_, str, [u8]> = FutureRecord::to(self.topic).key(key);
        record.payload = value;
        let wait = Duration::from_millis(KafkaConfig::REQUEST_TIMEOUT_MS);
        self.producer.send(record, wait).await.map_err(|(e, _)| KafkaError::new(action(), e))?;
        Ok(())
    }
}
