//! What a worker shows of itself to the polling thread: that it lives, and how much it holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Shared by a worker, its lane and whoever shows the numbers.
#[derive(Debug, Clone, Default)]
pub struct Vitals(Arc<Signs>);

#[derive(Debug, Default)]
struct Signs {
    signs: AtomicU64,
    is_resting: AtomicBool,
    records: AtomicU64,
    bytes: AtomicU64,
}

/// What was polled and is not in a closed batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct InFlight {
    pub records: u64,
    pub bytes: u64,
}

impl Vitals {
    /// The worker is at work and got on: a step, a try, a record.
    pub fn sign(&self) {
        self.0.signs.fetch_add(1, Ordering::Relaxed);
        self.0.is_resting.store(false, Ordering::Relaxed);
    }

    /// The worker waits for records and has nothing else to do.
    pub fn rest(&self) {
        self.0.is_resting.store(true, Ordering::Relaxed);
    }

    pub(super) fn signs(&self) -> u64 {
        self.0.signs.load(Ordering::Relaxed)
    }

    pub(super) fn is_resting(&self) -> bool {
        self.0.is_resting.load(Ordering::Relaxed)
    }

    pub(super) fn took(&self, bytes: usize) {
        self.0.records.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// These are in a closed batch, or thrown away.
    pub fn let_go(&self, records: usize, bytes: usize) {
        self.0.records.fetch_sub(records as u64, Ordering::Relaxed);
        self.0.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub fn in_flight(&self) -> InFlight {
        InFlight {
            records: self.0.records.load(Ordering::Relaxed),
            bytes: self.0.bytes.load(Ordering::Relaxed),
        }
    }
}
