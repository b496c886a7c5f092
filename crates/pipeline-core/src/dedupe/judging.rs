//! Judging a batch: asks for what the window does not know, then gives the verdicts in order.

use super::told::{CandidateIndex, Facts, Gone, Told, Wanted};
use super::window::{Candidate, DedupeVerdict, Window};

/// The most facts asked for at once: one for each record of the largest batch.
pub const MAX_LOOK_UPS: usize = 100_000;
/// The most facts kept, beside those that one record needs.
const MAX_FACTS: usize = 2 * MAX_LOOK_UPS;
/// Each time that a record is stuck, so many times more of its past is asked for.
const DEEPER: usize = 8;

/// The judgement of one batch. While [`Judging::wants`] something, look it up and tell it.
#[derive(Debug)]
pub struct Judging<'a> {
    window: &'a mut Window,
    candidates: &'a [Candidate],
    verdicts: Vec<DedupeVerdict>,
    facts: Facts,
    wanted: Wanted,
    /// How many facts are asked for the record that is stuck.
    depth: usize,
}

impl<'a> Judging<'a> {
    /// Begins a batch; `candidates` are its decodable records in the order of offsets.
    pub fn begin(window: &'a mut Window, candidates: &'a [Candidate]) -> Self {
        if let Some(first) = candidates.first() {
            window.begin_batch(first.offset);
        }
        let verdicts = Vec::with_capacity(candidates.len());
        Self { window, candidates, verdicts, facts: Facts::default(), wanted: Wanted::default(), depth: 1 }
    }

    /// Judges as far as it can. `None` when all are judged.
    pub fn wants(&mut self) -> Option<&Wanted> {
        while let Some(candidate) = self.candidates.get(self.verdicts.len()) {
            match self.window.judge(candidate, &self.facts) {
                Some(verdict) => self.verdicts.push(verdict),
                None => {
                    self.ask();
                    return Some(&self.wanted);
                }
            }
            self.depth = 1;
        }
        None
    }

    /// Takes in the answer to what was wanted.
    pub fn tell(&mut self, told: Told) -> Result<(), Gone> {
        self.facts.add(told, &self.wanted)
    }

    /// One verdict for each candidate, once nothing is wanted any more.
    pub fn into_verdicts(self) -> Vec<DedupeVerdict> {
        self.verdicts
    }

    /// What the record in turn needs, and what the ones behind it will need by what is known now.
    fn ask(&mut self) {
        if self.depth == 1 && self.facts.len() >= MAX_FACTS {
            self.facts = Facts::default();
        }
        self.wanted = Wanted::default();
        let mut depth = self.depth;
        let indexed = self.candidates.iter().enumerate().skip(self.verdicts.len());
        for (index, candidate) in indexed {
            if self.wanted.len() >= MAX_LOOK_UPS {
                break;
            }
            self.window.want((CandidateIndex(index), candidate), &self.facts, depth, &mut self.wanted);
            depth = 1;
        }
        self.depth = (self.depth * DEEPER).min(MAX_LOOK_UPS);
    }
}
