//! The polling thread: one consumer after the other, each used until its assignment ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use audit_event::{AssignmentGeneration, Offset, PartitionId, RecordTime};
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Headers, Message};
use tokio_util::sync::CancellationToken;

use super::fence::{Fence, FlowChange};
use super::rebalances::Rebalances;
use super::{GroupConfig, GroupError, GroupHandler, Incident, Record};
use crate::KafkaError;
use crate::config::KafkaConfig;
use crate::errors::Operation;

/// How long a poll waits when nothing is there; also how late a commit is sent then.
const IDLE_POLL: Duration = Duration::from_millis(2);
/// The pause while a worker's queue is full.
const STUCK_TICK: Duration = Duration::from_millis(1);
/// The wait before the next consumer after one broke.
const RESTART_WAIT: Duration = Duration::from_millis(500);
/// A commit waits for so many sessions until the group is shared out: in the first a member that died meanwhile is
/// noticed.
const REBALANCE_SESSIONS: u32 = 2;
/// librdkafka's pause before it sends a request again, which it makes up to a fifth shorter.
const RESEND_BACKOFF: Duration = Duration::from_secs(2);
/// A commit that took longer may have been sent twice.
pub(super) const LONGEST_SINGLE_SEND: Duration = Duration::from_millis(1_500);
/// How long a consumer that is thrown away has to say that it leaves.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

enum SessionEnd {
    Stopped,
    Broken(String),
}

/// Consumes until `stop`, then drains. Blocks: give it a thread of its own.
pub fn run(
    kafka: &KafkaConfig,
    group: &GroupConfig,
    topic: &str,
    handler: Arc<dyn GroupHandler>,
    stop: &CancellationToken,
) -> Result<(), GroupError> {
    let mut last_generation = AssignmentGeneration(0);
    while !stop.is_cancelled() {
        let commit_patience = REBALANCE_SESSIONS * Duration::from_millis(group.session_timeout_ms.into());
        let fence = Fence::new(handler.clone(), last_generation, commit_patience);
        let consumer = make_consumer(kafka, group, Rebalances::new(kafka, topic, group, fence))?;
        consumer.subscribe(&[topic]).map_err(|e| KafkaError::new(format!("subscribe to {topic}"), e))?;
        let end = session(&consumer, topic, group, stop)?;
        last_generation = consumer.context().fence.last_generation();
        if let SessionEnd::Broken(reason) = end {
            tracing::warn!(reason, "the consumer is thrown away; a new one joins");
            consumer.context().fence.handler().incident(Incident::ConsumerReplaced);
            leave(&consumer);
            drop(consumer);
            std::thread::sleep(RESTART_WAIT);
        }
    }
    Ok(())
}

/// Says that this member leaves, which a static one does not do by itself. The group is then shared out anew: the next
/// consumer would be given what this one had, and what this one was giving up nobody would get. A member that Kafka has
/// thrown out has nothing to leave.
fn leave(consumer: &BaseConsumer<Rebalances>) {
    if consumer.assignment_lost() || consumer.context().was_lost() {
        return;
    }
    consumer.unsubscribe();
    let until = Instant::now() + LEAVE_TIMEOUT;
    let has_partitions = || consumer.assignment().is_ok_and(|assigned| assigned.count() > 0);
    while has_partitions() && Instant::now() < until {
        // calls back that they are revoked; what was still to be polled is for nobody
        let _thrown_away = consumer.poll(IDLE_POLL);
    }
}

fn make_consumer(
    kafka: &KafkaConfig,
    group: &GroupConfig,
    rebalances: Rebalances,
) -> Result<BaseConsumer<Rebalances>, KafkaError> {
    let mut client = kafka.client("sealtrail-processor")?;
    client
        .set("group.id", &group.group_id)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // where to begin is decided, never guessed
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        // a damaged batch is an error then, and not records with other bytes
        .set("check.crcs", "true")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", group.session_timeout_ms.to_string())
        .set("heartbeat.interval.ms", (group.session_timeout_ms / 5).to_string())
        .set("max.poll.interval.ms", group.max_poll_interval_ms.to_string())
        .set("queued.max.messages.kbytes", group.prefetch_kib.to_string())
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.error.backoff.ms", "100")
        // a commit that was not answered is sent again by the client itself, not sooner than this
        .set("retry.backoff.ms", RESEND_BACKOFF.as_millis().to_string())
        .set("retry.backoff.max.ms", RESEND_BACKOFF.as_millis().to_string())
        // so soon a partition that was added is noticed, and refused
        .set("topic.metadata.refresh.interval.ms", "30000")
        .set("statistics.interval.ms", "2000");
    if !group.instance_id.is_empty() {
        client.set("group.instance.id", &group.instance_id);
    }
    client.create_with_context(rebalances).map_err(|e| KafkaError::of_client("create a kafka consumer", &e))
}

fn session(
    consumer: &BaseConsumer<Rebalances>,
    topic: &str,
    group: &GroupConfig,
    stop: &CancellationToken,
) -> Result<SessionEnd, GroupError> {
    let rebalances = consumer.context().clone();
    let fence = &rebalances.fence;
    loop {
        rebalances.watch();
        if let Some(error) = rebalances.take_stop() {
            fence.abandon(&fence.partitions());
            return Err(error);
        }
        // it stays set, so that nothing begins on this consumer while it is closed
        if let Some(reason) = fence.broken() {
            fence.abandon(&fence.partitions());
            return Ok(SessionEnd::Broken(reason));
        }
        if stop.is_cancelled() {
            rebalances.drain(consumer, &fence.partitions());
            // what is assigned while the consumer is closed is not begun
            fence.break_off("stopped");
            return Ok(SessionEnd::Stopped);
        }
        rebalances.serve_commits(consumer);
        if fence.is_held_up(group.pause_after_ms, &mut |change| apply(consumer, topic, change)) {
            rebalances.watchdog().poll_was_held();
            std::thread::sleep(STUCK_TICK);
            continue;
        }
        match consumer.poll(Duration::ZERO) {
            Some(polled) => take(consumer, topic, polled),
            None => {
                fence.hand_over();
                if let Some(polled) = consumer.poll(IDLE_POLL) {
                    take(consumer, topic, polled);
                }
            }
        }
    }
}

/// Answers whether it was done.
fn apply(consumer: &BaseConsumer<Rebalances>, topic: &str, change: FlowChange) -> bool {
    let list_of = |partition: PartitionId| {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(topic, partition.0);
        list
    };
    let done = match change {
        FlowChange::Pause(partition) => consumer.pause(&list_of(partition)),
        FlowChange::Resume(partition) => consumer.resume(&list_of(partition)),
    };
    match &done {
        Ok(()) => tracing::info!(?change, "a worker is behind, or has caught up"),
        Err(error) => tracing::warn!(%error, ?change, "pause or resume failed"),
    }
    done.is_ok()
}

fn take(consumer: &BaseConsumer<Rebalances>, topic: &str, polled: Result<BorrowedMessage<'_>, ClientError>) {
    let rebalances = consumer.context();
    let message = match polled {
        Ok(message) => message,
        Err(error) => {
            let action = format!("read {topic}");
            rebalances.take_error(consumer, Operation::Fetch, &action, &error);
            return;
        }
    };
    match to_record(&message) {
        Some(record) => rebalances.fence.push(PartitionId(message.partition()), record),
        None => rebalances.fence.break_off(format!("offset {} has no timestamp", message.offset())),
    }
}

fn to_record(message: &BorrowedMessage<'_>) -> Option<Record> {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
    });
    Some(Record {
        offset: Offset(message.offset()),
        received_at: RecordTime(message.timestamp().to_millis()?),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
    })
}
