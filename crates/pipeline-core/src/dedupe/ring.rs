//! The segments of the window, in the order of offsets.

use std::collections::VecDeque;

use audit_event::Offset;

use super::keys::Fingerprint;
use super::segment::{Segment, Times};

/// Segments lie on a grid, each of `2^bits` offsets; where no record is remembered there is none.
#[derive(Debug)]
pub(super) struct Ring {
    bits: u32,
    /// The number of the first in `segments`.
    front: i64,
    segments: VecDeque<Option<Segment>>,
    /// The greatest offset that was put.
    newest: Offset,
}

impl Ring {
    pub(super) fn new(bits: u32) -> Self {
        Self { bits, front: 0, segments: VecDeque::new(), newest: Offset(0) }
    }

    fn number(&self, offset: Offset) -> i64 {
        offset.0 >> self.bits
    }

    fn place(&self, offset: Offset) -> Option<usize> {
        usize::try_from(self.number(offset) - self.front).ok()
    }

    pub(super) fn segment(&self, offset: Offset) -> Option<&Segment> {
        self.segments.get(self.place(offset)?)?.as_ref()
    }

    /// The segment that a record is put into. Makes it where there is none; what is not behind a begun ring has no
    /// place.
    pub(super) fn open(&mut self, offset: Offset) -> Option<&mut Segment> {
        if self.segments.is_empty() {
            self.front = self.number(offset);
        }
        self.newest = self.newest.max(offset);
        let place = self.place(offset)?;
        while self.segments.len() <= place {
            self.segments.push_back(None);
        }
        if self.segments[place].is_none() {
            let before = self.segments.iter().take(place).rev().flatten().next();
            let greatest_before = before.map_or(Times::NEVER, |before| before.times().greatest_so_far);
            let begin = Offset(self.number(offset) << self.bits);
            self.segments[place] = Some(Segment::new(begin, 1 << self.bits, greatest_before));
        }
        self.segments[place].as_mut()
    }

    /// Makes room for segments in any order from `least` on.
    pub(super) fn begin_at(&mut self, least: Offset) {
        self.front = self.number(least);
        self.segments.push_back(None);
    }

    /// Seals the last segment if the next record stands behind it.
    pub(super) fn seal_before(&mut self, offset: Offset) {
        if self.number(offset) != self.number(self.newest)
            && let Some(last) = self.segments.iter_mut().rev().flatten().next()
        {
            last.seal();
        }
    }

    pub(super) fn seal_all_but_last(&mut self) {
        self.segments.iter_mut().rev().flatten().skip(1).for_each(Segment::seal);
    }

    pub(super) fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.segments.iter_mut().flatten()
    }

    pub(super) fn segment_mut(&mut self, offset: Offset) -> Option<&mut Segment> {
        let place = self.place(offset)?;
        self.segments.get_mut(place)?.as_mut()
    }

    pub(super) fn print(&self, offset: Offset) -> Option<Fingerprint> {
        self.segment(offset)?.print(offset)
    }

    /// The first remembered record in `[from, to)`.
    pub(super) fn next(&self, from: Offset, to: Offset) -> Option<(Offset, Fingerprint)> {
        let mut from = Offset(from.0.max(self.front << self.bits));
        while from < to {
            let number = self.number(from);
            match self.segments.get((number - self.front) as usize)? {
                None => from = Offset((number + 1) << self.bits),
                Some(segment) => match segment.next(from) {
                    Some(found) => return Some(found).filter(|(offset, _)| *offset < to),
                    None => from = segment.end(),
                },
            }
        }
        None
    }

    /// Gives the segments back that end at or before `least`.
    pub(super) fn drop_before(&mut self, least: Offset) {
        while !self.segments.is_empty() && self.front < self.number(least) {
            self.segments.pop_front();
            self.front += 1;
        }
    }

    /// The offset whose lower half is `low`. The window is shorter than what 32 bits count, so there is one.
    pub(super) fn widen(&self, low: u32) -> Offset {
        Offset(self.newest.0 - i64::from((self.newest.0 as u32).wrapping_sub(low)))
    }

    pub(super) fn bytes(&self) -> usize {
        let segments = self.segments.iter().flatten().map(Segment::bytes).sum::<usize>();
        self.segments.capacity() * size_of::<Option<Segment>>() + segments
    }
}
