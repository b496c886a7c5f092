//! How remembered records of one fingerprint hang together.

use audit_event::Offset;

/// A record's place among those of its fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The event that holds the body: the record itself, or what it repeats.
    pub(super) first: Offset,
    /// The nearest earlier record with the same fingerprint.
    pub(super) previous: Option<Offset>,
    /// The nearest earlier one of them that has another `first`.
    pub(super) other: Option<Offset>,
}

impl Link {
    /// An event whose fingerprint nobody had before.
    pub(super) fn alone(offset: Offset) -> Self {
        Self { first: offset, previous: None, other: None }
    }
}

/// The links of a segment by position, in order; a record that is alone has none. Columns, since a struct would be
/// padded.
#[derive(Debug, Default)]
pub(super) struct Links {
    positions: Vec<u16>,
    firsts: Vec<i64>,
    /// How far back; 0 is nowhere.
    previous: Vec<u32>,
    others: Vec<u32>,
}

impl Links {
    pub(super) fn get(&self, position: u16, offset: Offset) -> Option<Link> {
        let index = self.positions.binary_search(&position).ok()?;
        let back = |distance: u32| (distance != 0).then(|| Offset(offset.0 - i64::from(distance)));
        Some(Link {
            first: Offset(self.firsts[index]),
            previous: back(self.previous[index]),
            other: back(self.others[index]),
        })
    }

    /// Adds the link of a record that stands behind all others.
    pub(super) fn push(&mut self, position: u16, offset: Offset, link: Link) {
        // the window is shorter than what 32 bits count, see `MAX_WINDOW_OFFSETS`
        let distance = |to: Option<Offset>| to.map_or(0, |to| (offset.0 - to.0) as u32);
        self.positions.push(position);
        self.firsts.push(link.first.0);
        self.previous.push(distance(link.previous));
        self.others.push(distance(link.other));
    }

    /// Positions with what the records there are, or repeat.
    pub(super) fn firsts(&self) -> impl Iterator<Item = (u16, Offset)> {
        self.positions.iter().zip(&self.firsts).map(|(position, first)| (*position, Offset(*first)))
    }

    pub(super) fn shrink(&mut self) {
        self.positions.shrink_to_fit();
        self.firsts.shrink_to_fit();
        self.previous.shrink_to_fit();
        self.others.shrink_to_fit();
    }

    pub(super) fn bytes(&self) -> usize {
        self.positions.capacity() * size_of::<u16>()
            + self.firsts.capacity() * size_of::<i64>()
            + self.previous.capacity() * size_of::<u32>()
            + self.others.capacity() * size_of::<u32>()
    }
}
