//! One assigned partition on the polling thread: records gathered into chunks on their way to the worker.

use audit_event::{AssignmentGeneration, NextOffset};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::watchdog::{FlowSeen, WorkerSeen};
use super::{Record, Vitals};

/// A chunk goes to the worker when it holds this many records,
const CHUNK_RECORDS: usize = 500;
/// or weighs this much, or nothing more is there to be polled.
const CHUNK_BYTES: usize = 512 * 1024;
/// Chunks that wait for a worker. With the chunk's bounds this bounds the memory of a partition.
pub(super) const WAITING_CHUNKS: usize = 32;
/// The most bytes between the poll and a worker, with records as large as the topic takes: the chunks that wait, the one
/// that is filled and the one that the worker has taken.
pub const WAITING_BYTES: usize =
    (WAITING_CHUNKS + 2) * (CHUNK_BYTES + crate::topics::MAX_MESSAGE_BYTES as usize);

pub(super) struct Lane {
    pub generation: AssignmentGeneration,
    pub drain: CancellationToken,
    pub abandon: CancellationToken,
    /// Cancelled when the worker has let go of its lease.
    pub released: CancellationToken,
    pub paused: bool,
    pub vitals: Vitals,
    /// Behind the last record that was taken.
    pub position: NextOffset,
    to_worker: mpsc::Sender<Vec<Record>>,
    chunk: Vec<Record>,
    chunk_bytes: usize,
    stuck_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Free,
    /// The worker's queue is full since this many milliseconds.
    Stuck {
        for_ms: u64,
    },
}

impl Lane {
    /// Records are expected from `position` on.
    pub fn new(
        generation: AssignmentGeneration,
        position: NextOffset,
        to_worker: mpsc::Sender<Vec<Record>>,
    ) -> Self {
        Self {
            generation,
            drain: CancellationToken::new(),
            abandon: CancellationToken::new(),
            released: CancellationToken::new(),
            paused: false,
            vitals: Vitals::default(),
            position,
            to_worker,
            chunk: Vec::new(),
            chunk_bytes: 0,
            stuck_since: None,
        }
    }

    pub fn push(&mut self, record: Record) {
        let weight = record.weight();
        self.vitals.took(weight);
        self.position = NextOffset(record.offset.0 + 1);
        self.chunk_bytes += weight;
        self.chunk.push(record);
        if self.is_chunk_full() {
            self.hand_over();
        }
    }

    fn is_chunk_full(&self) -> bool {
        self.chunk.len() >= CHUNK_RECORDS || self.chunk_bytes >= CHUNK_BYTES
    }

    /// Gives the chunk to the worker if there is room.
    pub fn hand_over(&mut self) {
        if self.chunk.is_empty() {
            return;
        }
        match self.to_worker.try_send(std::mem::take(&mut self.chunk)) {
            Ok(()) => {
                self.chunk_bytes = 0;
                self.stuck_since = None;
            }
            Err(TrySendError::Full(chunk)) => {
                self.chunk = chunk;
                self.stuck_since.get_or_insert_with(Instant::now);
            }
            // the worker is done; what it did not announce is read again by the next owner
            Err(TrySendError::Closed(chunk)) => {
                self.vitals.let_go(chunk.len(), self.chunk_bytes);
                self.chunk_bytes = 0;
            }
        }
    }

    /// Tries again where the worker's queue was full.
    pub fn flow(&mut self) -> Flow {
        if self.stuck_since.is_some() {
            self.hand_over();
        }
        match self.stuck_since {
            Some(since) if self.is_chunk_full() => {
                Flow::Stuck { for_ms: u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX) }
            }
            _ => Flow::Free,
        }
    }

    pub fn flow_seen(&self) -> FlowSeen {
        if self.paused || self.stuck_since.is_some() { FlowSeen::Held } else { FlowSeen::Free }
    }

    pub fn worker_seen(&self) -> WorkerSeen {
        let waiting = self.to_worker.max_capacity() - self.to_worker.capacity();
        if self.to_worker.is_closed() {
            WorkerSeen::Ended
        } else if waiting == 0 && self.vitals.is_resting() {
            WorkerSeen::Resting
        } else {
            WorkerSeen::Busy { signs: self.vitals.signs() }
        }
    }

    /// Whether a paused partition may flow again: all that waited is with the worker.
    pub fn may_resume(&self) -> bool {
        self.paused && self.stuck_since.is_none()
    }
}
