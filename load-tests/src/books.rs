//! The account of a load under way, kept by all connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::answer::Fate;
use crate::event::Run;
use crate::generate::Outcome;
use crate::ledger::Ledger;
use crate::progress::Progress;
use crate::send::Book;

/// Trouble is worth a line, but an outage not a thousand of them.
const TROUBLE_EVERY: Duration = Duration::from_secs(2);

pub struct Books {
    inner: Mutex<Inner>,
    /// Beside the lock, for those who only watch.
    acknowledged: AtomicU64,
    progress: Arc<Progress>,
}

struct Inner {
    ledger: Ledger,
    retried: u64,
    repeated: u64,
    rejected_because: Option<String>,
    stopped: Option<String>,
    hopeless: Option<String>,
    last_trouble: Option<Instant>,
}

impl Books {
    pub fn new(events: u64, progress: Arc<Progress>) -> Result<Self> {
        let inner = Inner {
            ledger: Ledger::new(events)?,
            retried: 0,
            repeated: 0,
            rejected_because: None,
            stopped: None,
            hopeless: None,
            last_trouble: None,
        };
        Ok(Self { inner: Mutex::new(inner), acknowledged: AtomicU64::new(0), progress })
    }

    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    pub fn accepted_of(&self, numbers: &[u64]) -> Vec<u64> {
        let inner = self.lock();
        numbers.iter().copied().filter(|n| inner.ledger.is_accepted(*n)).collect()
    }

    /// The first reason stays: the others follow from it.
    pub fn stopped(&self, why: &str) {
        self.lock().stopped.get_or_insert_with(|| why.to_owned());
    }

    pub fn hopeless(&self, why: &str) {
        self.lock().hopeless.get_or_insert_with(|| why.to_owned());
    }

    pub fn close(&self, run: &Run, took: Duration) -> Outcome {
        let inner = self.lock();
        Outcome {
            account: inner.ledger.close(run),
            retried: inner.retried,
            repeated: inner.repeated,
            rejected_because: inner.rejected_because.clone(),
            took,
            stopped: inner.stopped.clone(),
            hopeless: inner.hopeless.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // counters and states are sound after any panic between two of their changes
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book for Books {
    fn sending(&self, numbers: &[u64], again: bool) {
        let mut inner = self.lock();
        inner.retried += if again { numbers.len() as u64 } else { 0 };
        numbers.iter().for_each(|n| inner.ledger.sending(*n));
    }

    fn answered(&self, numbers: &[u64], fates: &[Fate], why: Option<&str>) {
        let mut inner = self.lock();
        let mut open = 0;
        for (n, fate) in numbers.iter().copied().zip(fates) {
            match fate {
                Fate::Accepted(position) => inner.accepted(n, *position),
                Fate::Rejected(reason) => {
                    inner.ledger.rejected(n);
                    inner.rejected_because.get_or_insert_with(|| format!("event {n}: {reason}"));
                }
                Fate::Unknown => {
                    inner.ledger.unknown(n);
                    open += 1;
                }
                Fate::NotTaken => {
                    inner.ledger.not_taken(n);
                    open += 1;
                }
            }
        }
        self.acknowledged.store(inner.ledger.accepted_count(), Ordering::Relaxed);
        let quiet = inner.last_trouble.is_some_and(|at| at.elapsed() < TROUBLE_EVERY);
        if let Some(why) = why.filter(|_| open > 0 && !quiet) {
            inner.last_trouble = Some(Instant::now());
            drop(inner);
            self.progress.note(&format!("{open} of {} events to be sent again: {why}", numbers.len()));
        }
    }
}

impl Inner {
    fn accepted(&mut self, n: u64, position: Option<(i32, i64)>) {
        self.repeated += u64::from(self.ledger.is_accepted(n));
        self.ledger.accepted(n, position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn tries_repeats_and_reasons_are_counted() {
        let books = Books::new(4, Arc::new(Progress::new(4))).expect("books");
        books.sending(&[1, 2, 3], false);
        let rejected = Fate::Rejected("bad".to_owned());
        books.answered(&[1, 2, 3], &[Fate::Accepted(None), Fate::Unknown, rejected], Some("503"));
        books.sending(&[2], true);
        books.answered(&[2], &[Fate::Accepted(Some((1, 5)))], None);
        books.sending(&[1], false);
        books.answered(&[1], &[Fate::Accepted(None)], None);
        books.stopped("first");
        books.stopped("second");

        let outcome = books.close(&Run::new(1, DateTime::UNIX_EPOCH), Duration::ZERO);
        assert_eq!((outcome.retried, outcome.repeated, books.acknowledged()), (1, 1, 2));
        assert_eq!(outcome.rejected_because.as_deref(), Some("event 3: bad"));
        assert_eq!(outcome.stopped.as_deref(), Some("first"));
        assert_eq!(outcome.account.rejected.iter().collect::<Vec<_>>(), [3]);
    }
}
