//! The consumer group: partitions come, records flow, commits go back, and nothing is done under an assignment that
//! has ended.
//!
//! One thread polls. Rebalance callbacks and commits run on that thread alone, so that a commit can't slip between a
//! revocation and the next owner: Kafka checks a commit's generation, not who owns the partition, and librdkafka
//! stamps the generation late. A commit that is refused while the group is being shared out is sent again as long as its
//! assignment lives; one whose answer is not known ends every assignment, and a consumer that lost its assignment is
//! thrown away, never used again.

mod fence;
mod inquiry;
mod lane;
mod owners;
mod rebalances;
mod session;
mod vitals;
mod watchdog;

use std::time::Duration;

use audit_event::{AssignmentGeneration, NextOffset, Offset, PartitionId, RecordTime};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use fence::{CommitAnswer, Draining, Fence, FlowChange, Standing};
pub use lane::WAITING_BYTES;
pub use session::run;
pub use vitals::{InFlight, Vitals};

/// The bounds and times of a group consumer.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GroupConfig {
    /// The consumer group. Never rename it in a trail's life: the commits are kept under it.
    pub group_id: String,
    /// Kafka's static membership (KIP-345): a restarted process with the same name takes its partitions back at once.
    /// Each process needs its own; empty for a member without a name.
    pub instance_id: String,
    /// Kafka's session; heartbeats come five times in it.
    #[schemars(range(min = 1_000, max = 1_800_000))]
    pub session_timeout_ms: u32,
    /// The longest time between two polls before Kafka gives the partitions away.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub max_poll_interval_ms: u32,
    /// How long a partition may take to finish its batch when it is taken away or at stop.
    #[schemars(range(min = 1, max = 600_000))]
    pub drain_timeout_ms: u64,
    /// A partition whose worker can't keep up holds the poll this long; then it is paused on its own.
    #[schemars(range(min = 1, max = 60_000))]
    pub pause_after_ms: u64,
    /// What is fetched ahead, of all partitions of the process together.
    #[schemars(range(min = 1, max = 2_097_151))]
    pub prefetch_kib: u32,
    /// A partition stands still for so long, though there are records for it and its worker would take them: then the
    /// consumer is thrown away and a new one joins. The same if a worker with something to do shows no sign of life for
    /// as long and the longest call that it may be waiting for, or if nobody in the group has a partition for as long and
    /// the time to drain it.
    #[schemars(range(min = 5_000, max = 3_600_000))]
    pub stall_timeout_ms: u64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            group_id: "sealtrail-processor".to_owned(),
            instance_id: String::new(),
            session_timeout_ms: 15_000,
            max_poll_interval_ms: 300_000,
            drain_timeout_ms: 20_000,
            pause_after_ms: 500,
            prefetch_kib: 16 * 1024,
            stall_timeout_ms: 60_000,
        }
    }
}

/// A record as it was in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// What the record weighs in a bound, in bytes.
    pub fn weight(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(k, v)| k.len() + v.len()).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers + 64
    }
}

/// What the group coordinator holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub offset: NextOffset,
    pub metadata: String,
}

/// A partition that has come to this process, with all that its worker needs.
pub struct Assignment {
    pub partition: PartitionId,
    pub generation: AssignmentGeneration,
    pub committed: Option<Committed>,
    pub log_start: Offset,
    pub high_watermark: NextOffset,
    /// Records from the committed offset on (or from the trail's genesis), in order.
    pub records: mpsc::Receiver<Vec<Record>>,
    pub commits: Commits,
    /// Finish what is announced, close it, return.
    pub drain: CancellationToken,
    /// The partition is not ours any more: stop at once.
    pub abandon: CancellationToken,
    /// What the worker shows of itself.
    pub vitals: Vitals,
    /// Dropped when the worker is done.
    pub lease: Lease,
}

/// Held by a worker as long as it works on its assignment.
pub struct Lease {
    _released_on_drop: CancellationTokenGuard,
}

type CancellationTokenGuard = tokio_util::sync::DropGuard;

/// Commits of one assignment. Each is answered once Kafka has answered.
#[derive(Clone)]
pub struct Commits {
    partition: PartitionId,
    generation: AssignmentGeneration,
    requests: std::sync::mpsc::Sender<CommitRequest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommitError {
    #[error("the assignment has ended; the commit was not sent")]
    Fenced,
    /// Every assignment of the process ends: what Kafka holds is found out by reading it again.
    #[error("the commit failed or was not answered: {0}")]
    Unknown(String),
}

struct CommitRequest {
    partition: PartitionId,
    generation: AssignmentGeneration,
    committed: Committed,
    answer: oneshot::Sender<Result<(), CommitError>>,
}

impl Commits {
    pub async fn commit(&self, offset: NextOffset, metadata: String) -> Result<(), CommitError> {
        let (answer, answered) = oneshot::channel();
        let request = CommitRequest {
            partition: self.partition,
            generation: self.generation,
            committed: Committed { offset, metadata },
            answer,
        };
        self.requests.send(request).map_err(|_| CommitError::Fenced)?;
        answered.await.unwrap_or(Err(CommitError::Fenced))
    }
}

/// What the consumer asks of the service.
pub trait GroupHandler: Send + Sync + 'static {
    /// Where a partition without a commit begins; `None` refuses to read it.
    fn genesis_of(&self, partition: PartitionId) -> Option<Offset>;
    /// A partition has come. Must return at once; the work goes on elsewhere.
    fn assigned(&self, assignment: Assignment);
    /// The assignments changed, or the group was left.
    fn owned(&self, partitions: &[PartitionId]);
    /// Records between the committed offset and the end of the log.
    fn lag(&self, partition: PartitionId, records: i64);
    /// How the client is; told every few seconds.
    fn client(&self, status: ClientStatus);
    /// The longest that a worker may wait for one answer without a sign of life.
    fn longest_call(&self) -> Duration;
    /// Something that a person who watches the group wants counted. Must return at once.
    fn incident(&self, incident: Incident);
}

/// How the consumer's client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientStatus {
    /// Whether any broker can be spoken to, and if not why.
    pub reached: Result<(), String>,
    /// What was fetched and not polled yet.
    pub prefetched_bytes: u64,
}

/// What happens in a group beside the flow of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// The partition's worker is behind; nothing more is fetched for it until it has caught up.
    Paused(PartitionId),
    Resumed(PartitionId),
    /// A commit failed or was not answered.
    CommitFailed,
    /// A commit was refused because the group is being shared out; it is sent again.
    CommitPutOff,
    /// The consumer was thrown away; a new one joins.
    ConsumerReplaced,
    /// The partition, or its worker, stood still, or nobody had it; the consumer is thrown away for it.
    Stalled(PartitionId),
}

#[derive(Debug, Error)]
pub enum GroupError {
    #[error(transparent)]
    Kafka(#[from] crate::KafkaError),
    #[error(
        "the log of {topic} does not hold the committed offset any more: {cause}; records were removed before they were stored"
    )]
    OffsetOutOfRange { topic: String, cause: String },
    #[error("{action}: {cause}; {mend}")]
    Refused { action: String, cause: String, mend: &'static str },
}
