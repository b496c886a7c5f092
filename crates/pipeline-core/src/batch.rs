//! Cutting the stream of one partition into batches: contiguous offset ranges `[from, to)`.

use audit_event::{NextOffset, Offset, RecordTime};
use thiserror::Error;

/// When a batch closes: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    pub max_batch_rows: usize,
    pub max_batch_bytes: usize,
    pub flush_interval_ms: u64,
}

/// Milliseconds by a clock that never goes back; where it begins is the caller's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicMs(pub u64);

impl MonotonicMs {
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "offset {offset} came where {expected} or a later one was due; the consumer repeats or reorders records"
)]
pub struct OutOfOrder {
    pub offset: Offset,
    pub expected: NextOffset,
}

/// A contiguous range and what was found in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub from: Offset,
    pub to: NextOffset,
    pub records: u64,
    pub least_received_at: RecordTime,
    pub greatest_received_at: RecordTime,
}

impl Range {
    /// Offsets without a record, such as transaction markers.
    pub fn gaps(&self) -> u64 {
        (self.to.0 - self.from.0) as u64 - self.records
    }
}

/// Where a batch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    ByLimits,
    /// A replay ends where its announcement says.
    At(NextOffset),
}

/// A batch that still takes records.
#[derive(Debug, Clone)]
pub struct OpenBatch {
    from: Offset,
    to: NextOffset,
    end: End,
    records: usize,
    bytes: usize,
    opened_at: Option<MonotonicMs>,
    least: RecordTime,
    greatest: RecordTime,
}

impl OpenBatch {
    /// A batch that begins at `from` and closes by the limits.
    pub fn begin(from: Offset) -> Self {
        Self::new(from, End::ByLimits)
    }

    /// The batch that was announced as `[from, to)`.
    pub fn replay(from: Offset, to: NextOffset) -> Self {
        Self::new(from, End::At(to))
    }

    fn new(from: Offset, end: End) -> Self {
        Self {
            from,
            to: NextOffset(from.0),
            end,
            records: 0,
            bytes: 0,
            opened_at: None,
            least: RecordTime(i64::MAX),
            greatest: RecordTime(i64::MIN),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Whether the record belongs to this batch; where not, the batch is due.
    pub fn takes(&self, offset: Offset) -> bool {
        match self.end {
            End::ByLimits => true,
            End::At(to) => offset.0 < to.0,
        }
    }

    pub fn push(
        &mut self,
        offset: Offset,
        bytes: usize,
        received_at: RecordTime,
        now: MonotonicMs,
    ) -> Result<(), OutOfOrder> {
        if offset.0 < self.to.0 {
            return Err(OutOfOrder { offset, expected: self.to });
        }
        self.to = offset.next();
        self.records += 1;
        self.bytes += bytes;
        self.opened_at.get_or_insert(now);
        self.least = self.least.min(received_at);
        self.greatest = self.greatest.max(received_at);
        Ok(())
    }

    pub fn is_due(&self, limits: &BatchLimits, now: MonotonicMs) -> bool {
        match self.end {
            End::At(to) => self.to >= to,
            End::ByLimits => {
                self.records >= limits.max_batch_rows
                    || self.bytes >= limits.max_batch_bytes
                    || self.due_in_ms(limits, now) == Some(0)
            }
        }
    }

    /// How long the batch may wait for more; `None` while it is empty or its end is fixed.
    pub fn due_in_ms(&self, limits: &BatchLimits, now: MonotonicMs) -> Option<u64> {
        match (self.end, self.opened_at) {
            (End::ByLimits, Some(opened_at)) => {
                Some(limits.flush_interval_ms.saturating_sub(now.since(opened_at)))
            }
            _ => None,
        }
    }

    /// The range; a replay's is the announced one, whatever was found in it.
    pub fn range(&self) -> Range {
        let to = match self.end {
            End::At(to) => to,
            End::ByLimits => self.to,
        };
        Range {
            from: self.from,
            to,
            records: self.records as u64,
            least_received_at: self.least,
            greatest_received_at: self.greatest,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BatchLimits =
        BatchLimits { max_batch_rows: 3, max_batch_bytes: 100, flush_interval_ms: 300 };

    fn push(batch: &mut OpenBatch, offset: i64, bytes: usize, now: u64) {
        batch.push(Offset(offset), bytes, RecordTime(offset * 10), MonotonicMs(now)).expect("in order");
    }

    #[test]
    fn closes_by_rows_bytes_or_time() {
        let mut by_rows = OpenBatch::begin(Offset(5));
        assert!(!by_rows.is_due(&LIMITS, MonotonicMs(9_999)), "an empty batch waits for ever");
        for offset in [5, 7, 8] {
            push(&mut by_rows, offset, 1, 0);
        }
        assert!(by_rows.is_due(&LIMITS, MonotonicMs(0)));
        let range = by_rows.range();
        assert_eq!((range.from, range.to, range.records, range.gaps()), (Offset(5), NextOffset(9), 3, 1));
        assert_eq!((range.least_received_at, range.greatest_received_at), (RecordTime(50), RecordTime(80)));

        let mut by_bytes = OpenBatch::begin(Offset(0));
        push(&mut by_bytes, 0, 100, 0);
        assert!(by_bytes.is_due(&LIMITS, MonotonicMs(0)));

        let mut by_time = OpenBatch::begin(Offset(0));
        push(&mut by_time, 0, 1, 1_000);
        assert_eq!(by_time.due_in_ms(&LIMITS, MonotonicMs(1_100)), Some(200));
        assert!(!by_time.is_due(&LIMITS, MonotonicMs(1_299)));
        assert!(by_time.is_due(&LIMITS, MonotonicMs(1_300)));
    }

    #[test]
    fn a_replay_ends_where_it_was_announced_and_nowhere_else() {
        let mut replay = OpenBatch::replay(Offset(0), NextOffset(5));
        for offset in 0..4 {
            push(&mut replay, offset, 100, 0);
            assert!(!replay.is_due(&LIMITS, MonotonicMs(10_000)));
        }
        assert!(replay.takes(Offset(4)) && !replay.takes(Offset(5)));
        push(&mut replay, 4, 1, 0);
        assert!(replay.is_due(&LIMITS, MonotonicMs(0)));
        assert_eq!(replay.range().to, NextOffset(5));
    }

    #[test]
    fn a_repeated_offset_is_an_error() {
        let mut batch = OpenBatch::begin(Offset(3));
        push(&mut batch, 3, 1, 0);
        assert!(batch.push(Offset(3), 1, RecordTime(0), MonotonicMs(0)).is_err());
        assert!(OpenBatch::begin(Offset(3)).push(Offset(2), 1, RecordTime(0), MonotonicMs(0)).is_err());
    }
}
