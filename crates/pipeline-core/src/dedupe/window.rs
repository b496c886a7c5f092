//! The remembered records of one partition.

use audit_event::control::DedupeRules;
use audit_event::{Offset, RecordTime};
use thiserror::Error;

use super::index::Index;
use super::keys::{BodyHash, Fingerprint, RecordKey};
use super::known::Identity;
use super::links::Link;
use super::ring::Ring;
use super::told::{CandidateIndex, Facts, Wanted};

/// The longest window, in offsets: 32 bits must count them with room to spare.
pub const MAX_WINDOW_OFFSETS: i64 = 1 << 31;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the trail's dedupe window is {window_offsets} offsets long; this build takes 0 to {MAX_WINDOW_OFFSETS}, mend the trail's record in the control topic"
)]
pub struct WindowTooLong {
    pub window_offsets: i64,
}

/// A decodable record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub key: RecordKey,
    pub body: BodyHash,
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

/// The sizes of a window's parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// A segment has `2^segment_bits` offsets, at most 2^16.
    pub(super) segment_bits: u32,
    /// How far back the bodies of judged records stay in memory.
    pub(super) known_body_offsets: i64,
}

const MAX_SEGMENT_BITS: u32 = 14;
const MIN_SEGMENT_BITS: u32 = 6;
/// A client that sends again what it sent within so many records costs no look-up: 8 MiB a partition.
const KNOWN_BODY_OFFSETS: i64 = 1 << 20;

impl Sizes {
    fn for_window(window_offsets: i64) -> Self {
        // a short window would stand in the corner of one large segment
        let bits = window_offsets.max(1).ilog2();
        Self {
            segment_bits: bits.clamp(MIN_SEGMENT_BITS, MAX_SEGMENT_BITS),
            known_body_offsets: KNOWN_BODY_OFFSETS,
        }
    }
}

/// Remembers the records of at most `window_offsets` offsets by their fingerprints; what it does not know of them it
/// has to be told. [`super::Judging`] asks and judges.
#[derive(Debug)]
pub struct Window {
    rules: DedupeRules,
    reach_ms: u64,
    sizes: Sizes,
    pub(super) ring: Ring,
    pub(super) index: Index,
    pub(super) records: usize,
    /// No record before this one is remembered.
    pub(super) least: Offset,
    /// Where the last batch began.
    batch_begin: Offset,
    collisions: u64,
}

/// What an earlier record is to a candidate.
enum Relation {
    /// Another id under the same fingerprint.
    Collision,
    TooFarInTime,
    SameBody,
    OtherBody,
    UnknownEvent(Offset),
    UnknownTime(Offset),
}

impl Window {
    pub fn new(rules: DedupeRules) -> Result<Self, WindowTooLong> {
        Self::with_sizes(rules, Sizes::for_window(rules.window_offsets))
    }

    pub(super) fn with_sizes(rules: DedupeRules, sizes: Sizes) -> Result<Self, WindowTooLong> {
        let window_offsets = rules.window_offsets;
        if !(0..=MAX_WINDOW_OFFSETS).contains(&window_offsets) {
            return Err(WindowTooLong { window_offsets });
        }
        Ok(Self {
            rules,
            reach_ms: rules.window_ms.unsigned_abs(),
            sizes,
            ring: Ring::new(sizes.segment_bits),
            index: Index::for_window(window_offsets),
            records: 0,
            least: Offset(i64::MIN),
            batch_begin: Offset(i64::MIN),
            collisions: 0,
        })
    }

    pub(super) fn window_offsets(&self) -> i64 {
        self.rules.window_offsets
    }

    /// The window of a partition that goes on somewhere behind `least`.
    pub(super) fn forget_all_before(&mut self, least: Offset) {
        self.least = least;
        self.ring.begin_at(least);
    }

    /// Remembered records, at most `window_offsets`.
    pub fn len(&self) -> usize {
        self.records
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// What is allocated for the window.
    pub fn bytes(&self) -> usize {
        self.ring.bytes() + self.index.bytes()
    }

    /// How often so far a record had the fingerprint of another id.
    pub fn collisions(&self) -> u64 {
        self.collisions
    }

    /// A batch begins: what was judged before the last one can be looked up by now.
    pub(super) fn begin_batch(&mut self, from: Offset) {
        let last_begin = std::mem::replace(&mut self.batch_begin, from);
        let bodies_from = Offset(from.0.saturating_sub(self.sizes.known_body_offsets)).min(last_begin);
        for segment in self.ring.segments_mut() {
            let end = segment.end();
            if end <= last_begin {
                segment.known_mut().forget_identities();
            }
            if end <= bodies_from {
                segment.known_mut().forget_bodies();
            }
        }
    }

    /// Judges a record and remembers it, unless it is a conflict. `None` if something must be told before.
    pub(super) fn judge(&mut self, candidate: &Candidate, facts: &Facts) -> Option<DedupeVerdict> {
        let mut collisions = 0;
        let mut with = None;
        let mut next = self.latest(candidate);
        while let Some((offset, link)) = next {
            let relation = self.relation(offset, link, candidate, facts);
            match relation {
                Relation::UnknownEvent(_) | Relation::UnknownTime(_) => return None,
                Relation::SameBody => {
                    self.remember(candidate, link.first);
                    self.collisions += collisions;
                    return Some(DedupeVerdict::Duplicate { first: link.first });
                }
                Relation::OtherBody => with = with.or(Some(link.first)),
                Relation::Collision => collisions += 1,
                Relation::TooFarInTime => {}
            }
            next = self.before(link, &relation, candidate);
        }
        self.collisions += collisions;
        if let Some(with) = with {
            return Some(DedupeVerdict::Conflict { with });
        }
        self.remember(candidate, candidate.offset);
        Some(DedupeVerdict::First)
    }

    /// Adds what must be told before `candidate` can be judged, at most `most` facts of it.
    pub(super) fn want(
        &self,
        (index, candidate): (CandidateIndex, &Candidate),
        facts: &Facts,
        most: usize,
        wanted: &mut Wanted,
    ) {
        let mut left = most;
        let mut next = self.latest(candidate);
        while let Some((offset, link)) = next.filter(|_| left > 0) {
            let relation = self.relation(offset, link, candidate, facts);
            let is_new = match relation {
                Relation::SameBody => return,
                Relation::UnknownEvent(first) => wanted.event(first, index),
                Relation::UnknownTime(offset) => wanted.repeats.insert(offset),
                Relation::Collision | Relation::TooFarInTime | Relation::OtherBody => false,
            };
            left -= usize::from(is_new);
            next = self.before(link, &relation, candidate);
        }
    }

    fn latest(&self, candidate: &Candidate) -> Option<(Offset, Link)> {
        self.within(self.index.latest(candidate.key.fingerprint, &self.ring), candidate)
    }

    /// The next earlier record that can change the verdict.
    fn before(&self, link: Link, relation: &Relation, candidate: &Candidate) -> Option<(Offset, Link)> {
        let before = match relation {
            // what repeats the same event has the same id and body
            Relation::Collision | Relation::OtherBody | Relation::UnknownEvent(_) => link.other,
            Relation::TooFarInTime | Relation::UnknownTime(_) | Relation::SameBody => link.previous,
        };
        self.within(before, candidate)
    }

    /// The record, unless it and therefore all before it lie outside of the candidate's window.
    fn within(&self, offset: Option<Offset>, candidate: &Candidate) -> Option<(Offset, Link)> {
        let offset = offset.filter(|offset| candidate.offset.0 - offset.0 <= self.rules.window_offsets)?;
        let segment = self.ring.segment(offset)?;
        let greatest = segment.times().greatest_so_far;
        let reaches = candidate.received_at <= greatest || self.is_near(greatest, candidate.received_at);
        reaches.then(|| (offset, segment.link(offset)))
    }

    fn is_near(&self, one: RecordTime, other: RecordTime) -> bool {
        one.0.abs_diff(other.0) <= self.reach_ms
    }

    fn relation(&self, offset: Offset, link: Link, candidate: &Candidate, facts: &Facts) -> Relation {
        let Some(segment) = self.ring.segment(offset) else { return Relation::TooFarInTime };
        let times = segment.times();
        let nearest = candidate.received_at.clamp(times.least, times.greatest);
        if !self.is_near(nearest, candidate.received_at) {
            return Relation::TooFarInTime;
        }
        let identity = segment.identity(offset);
        let told = facts.event(link.first);
        // a body's hash covers tenant and event id
        let same_body = match (segment.body(offset), told) {
            (Some(body), _) if body == candidate.body => true,
            (None, None) => return Relation::UnknownEvent(link.first),
            (_, Some(told)) if told.key != candidate.key => return Relation::Collision,
            (None, Some(told)) => told.body == candidate.body,
            (Some(_), Some(_)) => false,
            (Some(_), None) => match identity {
                None => return Relation::UnknownEvent(link.first),
                Some(identity) if identity.other_half != candidate.key.other_half => {
                    return Relation::Collision;
                }
                Some(_) => false,
            },
        };
        let is_certain = self.is_near(times.least, candidate.received_at)
            && self.is_near(times.greatest, candidate.received_at);
        let received_at = match identity {
            _ if is_certain => Some(candidate.received_at),
            Some(identity) => Some(identity.received_at),
            None if link.first == offset => told.map(|told| told.received_at),
            None => facts.repeat(offset),
        };
        match received_at {
            None if link.first == offset => Relation::UnknownEvent(offset),
            None => Relation::UnknownTime(offset),
            Some(time) if !self.is_near(time, candidate.received_at) => Relation::TooFarInTime,
            Some(_) if same_body => Relation::SameBody,
            Some(_) => Relation::OtherBody,
        }
    }

    fn remember(&mut self, candidate: &Candidate, first: Offset) {
        let Candidate { offset, received_at, key, body } = *candidate;
        // the next candidate stands behind this one
        self.forget_before(Offset(offset.0 + 1 - self.rules.window_offsets));
        self.ring.seal_before(offset);
        let Some(segment) = self.ring.open(offset) else { return };
        if offset < self.least || !segment.put(offset, key.fingerprint, received_at) {
            return;
        }
        segment.note(offset, Identity { other_half: key.other_half, received_at }, body);
        self.records += 1;
        self.link(key.fingerprint, offset, first);
    }

    /// Hangs a record that was put into the ring onto those of the same fingerprint before it.
    pub(super) fn link(&mut self, print: Fingerprint, offset: Offset, first: Offset) {
        let previous = self.index.put(print, offset, &self.ring);
        let other = previous.and_then(|previous| {
            let link = self.ring.segment(previous)?.link(previous);
            if link.first == first { link.other } else { Some(previous) }
        });
        let link = Link { first, previous, other };
        if link != Link::alone(offset)
            && let Some(segment) = self.ring.segment_mut(offset)
        {
            segment.add_link(offset, link);
        }
    }

    fn forget_before(&mut self, least: Offset) {
        while let Some((offset, print)) = self.ring.next(self.least, least) {
            self.index.forget(print, offset);
            self.records -= 1;
            self.least = offset.next().as_offset();
        }
        self.least = self.least.max(least);
        self.ring.drop_before(self.least);
    }
}
