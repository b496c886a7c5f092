//! A stretch of the window: the fingerprints of consecutive offsets, and what hangs on them.

use audit_event::{Offset, RecordTime};

use super::keys::{BodyHash, Fingerprint};
use super::known::{Identity, Known};
use super::links::{Link, Links};

/// The record times of a segment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) least: RecordTime,
    pub(super) greatest: RecordTime,
    /// Of this segment and all before it.
    pub(super) greatest_so_far: RecordTime,
}

impl Times {
    /// Greatest of nothing.
    pub(super) const NEVER: RecordTime = RecordTime(i64::MIN);
}

/// Fingerprints by position.
#[derive(Debug)]
enum Prints {
    /// 0 where no record is remembered.
    Dense(Box<[u64]>),
    /// Only those that are there, in order: less where there are many gaps.
    Sparse { positions: Box<[u16]>, prints: Box<[u64]> },
}

#[derive(Debug)]
pub(super) struct Segment {
    begin: Offset,
    offsets: usize,
    prints: Prints,
    records: usize,
    times: Times,
    links: Links,
    known: Known,
}

impl Segment {
    /// A segment of `offsets` positions, at most 65,536.
    pub(super) fn new(begin: Offset, offsets: usize, greatest_before: RecordTime) -> Self {
        let times =
            Times { least: RecordTime(i64::MAX), greatest: Times::NEVER, greatest_so_far: greatest_before };
        let prints = Prints::Dense(vec![0; offsets].into_boxed_slice());
        let (links, known) = Default::default();
        Self { begin, offsets, prints, records: 0, times, links, known }
    }

    /// The offset behind the last one.
    pub(super) fn end(&self) -> Offset {
        Offset(self.begin.0 + self.offsets as i64)
    }

    pub(super) fn times(&self) -> Times {
        self.times
    }

    fn position(&self, offset: Offset) -> usize {
        (offset.0 - self.begin.0) as usize
    }

    /// Where the record's columns stand.
    fn place(&self, offset: Offset) -> Option<usize> {
        let position = self.position(offset);
        match &self.prints {
            Prints::Dense(_) => Some(position),
            Prints::Sparse { positions, .. } => positions.binary_search(&(position as u16)).ok(),
        }
    }

    pub(super) fn print(&self, offset: Offset) -> Option<Fingerprint> {
        let place = self.place(offset)?;
        let (Prints::Dense(prints) | Prints::Sparse { prints, .. }) = &self.prints;
        Fingerprint::from_bits(prints[place])
    }

    /// The first remembered record at or behind `from`.
    pub(super) fn next(&self, from: Offset) -> Option<(Offset, Fingerprint)> {
        let least = self.position(from);
        let (position, bits) = match &self.prints {
            Prints::Dense(prints) => {
                let mut there = prints.iter().enumerate().skip(least).filter(|(_, bits)| **bits != 0);
                there.next().map(|(position, bits)| (position, *bits))?
            }
            Prints::Sparse { positions, prints } => {
                let index = positions.partition_point(|position| usize::from(*position) < least);
                (usize::from(*positions.get(index)?), prints[index])
            }
        };
        Some((Offset(self.begin.0 + position as i64), Fingerprint::from_bits(bits)?))
    }

    /// Remembers a record, before the segment is sealed. `false` if it is there already.
    pub(super) fn put(&mut self, offset: Offset, print: Fingerprint, received_at: RecordTime) -> bool {
        let position = self.position(offset);
        let Prints::Dense(prints) = &mut self.prints else { return false };
        if prints[position] != 0 {
            return false;
        }
        prints[position] = print.bits();
        self.records += 1;
        self.times.least = self.times.least.min(received_at);
        self.times.greatest = self.times.greatest.max(received_at);
        self.times.greatest_so_far = self.times.greatest_so_far.max(received_at);
        true
    }

    /// Takes in the greatest time of all segments before.
    pub(super) fn follow(&mut self, greatest_before: RecordTime) {
        self.times.greatest_so_far = self.times.greatest_so_far.max(greatest_before);
    }

    pub(super) fn link(&self, offset: Offset) -> Link {
        self.links.get(self.position(offset) as u16, offset).unwrap_or(Link::alone(offset))
    }

    /// Adds a link behind all others; while the window is rebuilt, anywhere.
    pub(super) fn add_link(&mut self, offset: Offset, link: Link) {
        self.links.push(self.position(offset) as u16, offset, link);
    }

    /// Takes out all links: the records that repeat others, in order, with what they repeat.
    pub(super) fn take_firsts(&mut self) -> Vec<(Offset, Offset)> {
        let begin = self.begin.0;
        let links = std::mem::take(&mut self.links);
        let mut firsts: Vec<_> =
            links.firsts().map(|(position, first)| (Offset(begin + i64::from(position)), first)).collect();
        firsts.sort_unstable();
        firsts
    }

    /// Notes the record that was put last, before the segment is sealed.
    pub(super) fn note(&mut self, offset: Offset, identity: Identity, body: BodyHash) {
        self.known.note(self.position(offset), self.offsets, identity, body);
    }

    pub(super) fn body(&self, offset: Offset) -> Option<BodyHash> {
        self.known.body(self.place(offset)?)
    }

    pub(super) fn identity(&self, offset: Offset) -> Option<Identity> {
        self.known.identity(self.place(offset)?)
    }

    pub(super) fn known_mut(&mut self) -> &mut Known {
        &mut self.known
    }

    /// No record will be put here any more: takes the less of two forms, and gives spare room back.
    pub(super) fn seal(&mut self) {
        self.links.shrink();
        let Prints::Dense(dense) = &self.prints else { return };
        if self.records * (size_of::<u64>() + size_of::<u16>()) < size_of_val::<[u64]>(dense) {
            let there = || dense.iter().enumerate().filter(|(_, bits)| **bits != 0);
            let positions: Box<[u16]> = there().map(|(position, _)| position as u16).collect();
            let prints = there().map(|(_, bits)| *bits).collect();
            self.known.keep(&positions);
            self.prints = Prints::Sparse { positions, prints };
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let prints = match &self.prints {
            Prints::Dense(prints) => size_of_val::<[u64]>(prints),
            Prints::Sparse { positions, prints } => {
                size_of_val::<[u16]>(positions) + size_of_val::<[u64]>(prints)
            }
        };
        prints + self.links.bytes() + self.known.bytes()
    }
}
