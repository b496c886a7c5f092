//! Rebuilding a window from the rows of `events` and `duplicates`, which are all the records that it remembers.

use audit_event::control::DedupeRules;
use audit_event::{Offset, RecordTime};

use super::keys::RecordKey;
use super::links::Link;
use super::segment::Times;
use super::window::{Window, WindowTooLong};

/// Takes rows in any order, so that the server need not sort them, and a row more than once without harm.
#[derive(Debug)]
pub struct Restoring {
    window: Window,
    before: Offset,
}

impl Restoring {
    /// Begins to rebuild the window of a partition that goes on at `before`.
    pub fn begin(rules: DedupeRules, before: Offset) -> Result<Self, WindowTooLong> {
        Ok(Self::of(Window::new(rules)?, before))
    }

    pub(super) fn of(mut window: Window, before: Offset) -> Self {
        window.forget_all_before(Offset(before.0.saturating_sub(window.window_offsets()).max(0)));
        Self { window, before }
    }

    /// Takes in a row. `first` is its own offset for an event, and the repeated one for a duplicate.
    pub fn take(&mut self, offset: Offset, received_at: RecordTime, key: RecordKey, first: Offset) {
        if offset < self.window.least || offset >= self.before {
            return;
        }
        let Some(segment) = self.window.ring.open(offset) else { return };
        if segment.put(offset, key.fingerprint, received_at) {
            self.window.records += 1;
            if first != offset {
                segment.add_link(offset, Link { first, ..Link::alone(offset) });
            }
        }
    }

    /// All rows were taken: hangs them together in the order of offsets.
    pub fn finish(self) -> Window {
        let Self { mut window, before } = self;
        window.index.reserve(window.records);
        let mut greatest = Times::NEVER;
        for segment in window.ring.segments_mut() {
            segment.follow(greatest);
            greatest = segment.times().greatest_so_far;
        }
        let mut firsts = Vec::new();
        let mut segment_end = window.least;
        let mut next = window.ring.next(window.least, before);
        while let Some((offset, print)) = next {
            if offset >= segment_end
                && let Some(segment) = window.ring.segment_mut(offset)
            {
                segment_end = segment.end();
                firsts = segment.take_firsts();
            }
            let repeated = firsts.binary_search_by_key(&offset, |(offset, _)| *offset);
            window.link(print, offset, repeated.map_or(offset, |index| firsts[index].1));
            next = window.ring.next(offset.next().as_offset(), before);
        }
        window.ring.seal_all_but_last();
        window
    }
}
