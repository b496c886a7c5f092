//! Dedupe as a local predicate: a record is a duplicate if and only if an earlier decodable record with the same
//! `(tenant_id, event_id)` lies within the last N offsets of its partition and within W of its record time. It is a
//! conflict if none of those has the same producer-given body. A dead letter never counts as a first.

use std::collections::{HashMap, VecDeque};
use std::hash::Hasher;

use audit_event::control::DedupeRules;
use audit_event::{AuditEvent, EventId, Offset, RecordTime, TenantId};
use siphasher::sip::SipHasher13;

/// A keyed hash of the body that the producer gave; the key is random per process, so that nobody can aim at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyHash(u64);

/// Makes [`BodyHash`]es.
#[derive(Clone, Copy)]
pub struct BodyHasher {
    key: (u64, u64),
}

impl BodyHasher {
    pub fn new(key: (u64, u64)) -> Self {
        Self { key }
    }

    pub fn hash(&self, event: &AuditEvent) -> BodyHash {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        event.hash_body(&mut hasher);
        BodyHash(hasher.finish())
    }
}

/// A decodable record as the window sees it.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub tenant_id: &'a TenantId,
    pub event_id: EventId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedupeVerdict {
    First,
    /// The body is that of the event at `first`.
    Duplicate {
        first: Offset,
    },
    Conflict {
        with: Offset,
    },
}

/// Where a remembered record's body can be found.
#[derive(Debug, Clone, Copy)]
enum Body {
    Known(BodyHash),
    /// In the table `events` at this offset: the window was rebuilt and nobody has asked yet.
    Stored,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    key: Key,
    offset: Offset,
    received_at: RecordTime,
    /// The event that holds the body: the record itself, or what it repeats.
    first: Offset,
    body: Body,
    /// The previous record with the same key.
    previous: Option<Sequence>,
}

/// A tenant by its number in this window, and the event id.
type Key = (u32, u128);

/// Counts remembered records from the window's begin on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sequence(u64);

/// The remembered records of one partition, at most `window_offsets` of them.
#[derive(Debug)]
pub struct Window {
    rules: DedupeRules,
    tenants: HashMap<TenantId, u32>,
    latest: HashMap<Key, Sequence>,
    records: VecDeque<Remembered>,
    /// The sequence of the first in `records`.
    begin: u64,
}

impl Window {
    pub fn new(rules: DedupeRules) -> Self {
        Self { rules, tenants: HashMap::new(), latest: HashMap::new(), records: VecDeque::new(), begin: 0 }
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// About how much memory the window takes; the tenants' names are not counted.
    pub fn bytes(&self) -> usize {
        // a hash table keeps one byte of control beside each of its places
        const ENTRY_BYTES: usize = size_of::<(Key, Sequence)>() + 1;
        self.records.capacity() * size_of::<Remembered>() + self.latest.capacity() * ENTRY_BYTES
    }

    /// Takes in a stored row while the window is rebuilt, in the order of offsets. `first` is the row's own offset for
    /// an event, and the repeated one for a duplicate.
    pub fn restore(&mut self, record: Candidate<'_>, first: Offset) {
        self.remember(record, first, Body::Stored);
    }

    /// The events whose bodies must be learned before `record` can be judged.
    pub fn unknown_bodies(&self, record: Candidate<'_>) -> impl Iterator<Item = Offset> {
        self.earlier(record).filter(|r| matches!(r.body, Body::Stored)).map(|r| r.first)
    }

    /// Sets the body of every remembered record that repeats, or is, the event at `first`.
    pub fn learn(&mut self, record: Candidate<'_>, first: Offset, hash: BodyHash) {
        let sequences: Vec<_> = self.chain(record).map(|(sequence, _)| sequence).collect();
        for sequence in sequences {
            let index = (sequence.0 - self.begin) as usize;
            if self.records[index].first == first {
                self.records[index].body = Body::Known(hash);
            }
        }
    }

    /// Judges a record and remembers it, unless it is a conflict. Bodies must have been learned before.
    pub fn judge(&mut self, record: Candidate<'_>, hash: BodyHash) -> DedupeVerdict {
        let mut some_earlier = None;
        let mut same_body = None;
        for earlier in self.earlier(record) {
            some_earlier = Some(earlier.first);
            if matches!(earlier.body, Body::Known(known) if known == hash) {
                same_body = Some(earlier.first);
            }
        }
        match (same_body, some_earlier) {
            (Some(first), _) => {
                self.remember(record, first, Body::Known(hash));
                DedupeVerdict::Duplicate { first }
            }
            (None, Some(with)) => DedupeVerdict::Conflict { with },
            (None, None) => {
                self.remember(record, record.offset, Body::Known(hash));
                DedupeVerdict::First
            }
        }
    }

    /// The remembered records that the predicate speaks of, the latest first.
    fn earlier(&self, record: Candidate<'_>) -> impl Iterator<Item = &Remembered> {
        let rules = self.rules;
        self.chain(record).map(|(_, earlier)| earlier).filter(move |earlier| {
            record.offset.0 - earlier.offset.0 <= rules.window_offsets
                && record.received_at.0.abs_diff(earlier.received_at.0) <= rules.window_ms.unsigned_abs()
        })
    }

    /// All remembered records with the same key, the latest first.
    fn chain(&self, record: Candidate<'_>) -> impl Iterator<Item = (Sequence, &Remembered)> {
        let start = self
            .tenants
            .get(record.tenant_id)
            .and_then(|tenant| self.latest.get(&(*tenant, record.event_id.0.as_u128())))
            .and_then(|sequence| self.at(*sequence));
        std::iter::successors(start, |(_, remembered)| remembered.previous.and_then(|p| self.at(p)))
    }

    fn at(&self, sequence: Sequence) -> Option<(Sequence, &Remembered)> {
        let index = sequence.0.checked_sub(self.begin)?;
        self.records.get(index as usize).map(|remembered| (sequence, remembered))
    }

    fn remember(&mut self, record: Candidate<'_>, first: Offset, body: Body) {
        let next_tenant = self.tenants.len() as u32;
        let tenant = match self.tenants.get(record.tenant_id) {
            Some(tenant) => *tenant,
            None => *self.tenants.entry(record.tenant_id.clone()).or_insert(next_tenant),
        };
        let key = (tenant, record.event_id.0.as_u128());
        let sequence = Sequence(self.begin + self.records.len() as u64);
        let previous = self.latest.insert(key, sequence);
        let (offset, received_at) = (record.offset, record.received_at);
        self.records.push_back(Remembered { key, offset, received_at, first, body, previous });
        self.forget_before(Offset(record.offset.0.saturating_sub(self.rules.window_offsets)));
    }

    fn forget_before(&mut self, least: Offset) {
        while let Some(oldest) = self.records.front().filter(|oldest| oldest.offset < least) {
            if self.latest.get(&oldest.key) == Some(&Sequence(self.begin)) {
                self.latest.remove(&oldest.key);
            }
            self.records.pop_front();
            self.begin += 1;
        }
    }
}

#[cfg(test)]
#[path = "dedupe_tests.rs"]
mod tests;
