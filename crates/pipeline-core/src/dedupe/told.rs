//! What the window asks for, and what it is told.

use std::collections::{BTreeMap, BTreeSet, btree_map};

use audit_event::{Offset, RecordTime};
use thiserror::Error;

use super::keys::{BodyHash, RecordKey};

/// What must be looked up in the tables before the next record can be judged. All of it lies before the batch that
/// came before this one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Rows of `events`, each with the candidate that asks for it. Unless fingerprints collide the row is one of the
    /// candidate's own tenant, which makes it easier to find.
    pub events: BTreeMap<Offset, CandidateIndex>,
    /// Rows of `duplicates`, of which only the record time is wanted.
    pub repeats: BTreeSet<Offset>,
}

/// Counts the candidates of a batch from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CandidateIndex(pub usize);

impl Wanted {
    /// `false` if it is wanted already.
    pub(super) fn event(&mut self, offset: Offset, asked_by: CandidateIndex) -> bool {
        match self.events.entry(offset) {
            btree_map::Entry::Occupied(_) => false,
            btree_map::Entry::Vacant(place) => {
                place.insert(asked_by);
                true
            }
        }
    }

    pub fn len(&self) -> usize {
        self.events.len() + self.repeats.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A row of `events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldEvent {
    pub offset: Offset,
    pub received_at: RecordTime,
    pub key: RecordKey,
    pub body: BodyHash,
}

/// The record time of a row of `duplicates`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToldRepeat {
    pub offset: Offset,
    pub received_at: RecordTime,
}

/// The answer to [`Wanted`], in any order.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub events: Vec<ToldEvent>,
    pub repeats: Vec<ToldRepeat>,
}

/// A remembered record is in no table any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the record at offset {0}, which a later one may repeat, is not in its table any more; restore it")]
pub struct Gone(pub Offset);

/// All that was told during a batch.
#[derive(Debug, Default)]
pub(super) struct Facts {
    events: BTreeMap<Offset, ToldEvent>,
    repeats: BTreeMap<Offset, RecordTime>,
}

impl Facts {
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.repeats.len()
    }

    pub(super) fn event(&self, offset: Offset) -> Option<&ToldEvent> {
        self.events.get(&offset)
    }

    pub(super) fn repeat(&self, offset: Offset) -> Option<RecordTime> {
        self.repeats.get(&offset).copied()
    }

    /// Takes an answer in, which must be whole.
    pub(super) fn add(&mut self, told: Told, wanted: &Wanted) -> Result<(), Gone> {
        self.events.extend(told.events.into_iter().map(|event| (event.offset, event)));
        self.repeats.extend(told.repeats.into_iter().map(|repeat| (repeat.offset, repeat.received_at)));
        let gone = wanted.events.keys().find(|offset| !self.events.contains_key(offset));
        match gone.or(wanted.repeats.iter().find(|offset| !self.repeats.contains_key(offset))) {
            Some(offset) => Err(Gone(*offset)),
            None => Ok(()),
        }
    }
}
