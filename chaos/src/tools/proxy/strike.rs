//! What a plan does to the pieces of one connection: no I/O, so that every case can be tested.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Counts;
use super::fault::{Fault, Loss, Plan};

/// What becomes of a request, after the bytes that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestFate {
    Pass,
    /// Passes late or slowly, as the fault says.
    Slow,
    /// The rest waits for another plan.
    Hold,
    /// Both sides are reset.
    Reset,
    /// The request is thrown away; the client gets the fault's answer.
    Eat,
}

/// What becomes of a piece of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerFate {
    Pass,
    Slow,
    Hold,
    Lose,
    Reset,
    Replace,
}

/// How far the plan in force has met one connection.
#[derive(Debug, Default)]
pub(super) struct Strike {
    epoch: u64,
    struck: bool,
    /// Of the request, since the strike.
    bytes: u64,
    /// So many of the trigger's needles have gone by.
    matched: usize,
    /// The end of what went by, for a needle that comes in two pieces.
    tail: Vec<u8>,
    /// The request was met by a fault of its answer, which holds until the answer comes, whatever the plan says then.
    owed: Option<Arc<Fault>>,
    /// An answer was lost, and what comes after it would be taken for it.
    spoiled: bool,
}

impl Strike {
    /// How many bytes of the piece pass, and what becomes of the rest.
    pub fn request(&mut self, plan: &Plan, piece: &[u8], counts: &Counts) -> (usize, RequestFate) {
        self.renew(plan);
        let from = match &*plan.needles {
            _ if self.struck => 0,
            [] => 0,
            needles => match self.find_all(needles, piece) {
                Some(behind) if plan.take() => behind,
                _ => return (piece.len(), RequestFate::Pass),
            },
        };
        self.strike(plan, counts);
        if !plan.needles.is_empty() && matches!(*plan.fault, Fault::LoseAnswer(_) | Fault::ReplaceAnswer(_)) {
            self.owed = Some(Arc::clone(&plan.fault));
        }
        let (all, rest) = (piece.len(), (piece.len() - from) as u64);
        match *plan.fault {
            Fault::Pass | Fault::Refuse | Fault::LoseAnswer(_) | Fault::ReplaceAnswer(_) => {
                (all, RequestFate::Pass)
            }
            Fault::Delay { .. } | Fault::Throttle { .. } => (all, RequestFate::Slow),
            // the head that holds the trigger is part of what is thrown away
            Fault::AnswerInstead(_) => (0, RequestFate::Eat),
            Fault::Stall { after_bytes } | Fault::Cut { after_bytes } => {
                let allowed = after_bytes - self.bytes;
                self.bytes += rest.min(allowed);
                match *plan.fault {
                    _ if rest <= allowed => (all, RequestFate::Pass),
                    Fault::Stall { .. } => (from + allowed as usize, RequestFate::Hold),
                    _ => (from + allowed as usize, RequestFate::Reset),
                }
            }
        }
    }

    /// What becomes of a piece of the answer, and by which fault.
    pub fn answer(&mut self, plan: &Plan, counts: &Counts) -> (AnswerFate, Arc<Fault>) {
        self.renew(plan);
        let fault = self.owed.as_ref().unwrap_or(&plan.fault);
        let fault = Arc::clone(fault);
        if self.spoiled {
            return (AnswerFate::Lose, fault);
        }
        if self.owed.is_none() {
            if !self.struck && !plan.needles.is_empty() {
                return (AnswerFate::Pass, fault);
            }
            self.strike(plan, counts);
        }
        let fate = match *fault {
            Fault::Pass | Fault::Refuse | Fault::Cut { .. } | Fault::AnswerInstead(_) => AnswerFate::Pass,
            Fault::Delay { .. } | Fault::Throttle { .. } => AnswerFate::Slow,
            Fault::Stall { after_bytes } if self.bytes < after_bytes => AnswerFate::Pass,
            Fault::Stall { .. } => AnswerFate::Hold,
            Fault::LoseAnswer(Loss::Silence) => {
                self.spoiled = true;
                AnswerFate::Lose
            }
            Fault::LoseAnswer(Loss::Reset) => AnswerFate::Reset,
            Fault::ReplaceAnswer(_) => AnswerFate::Replace,
        };
        (fate, fault)
    }

    fn renew(&mut self, plan: &Plan) {
        if self.epoch != plan.epoch {
            let (owed, spoiled) = (self.owed.take(), self.spoiled);
            *self = Self { epoch: plan.epoch, owed, spoiled, ..Self::default() };
        }
    }

    fn strike(&mut self, plan: &Plan, counts: &Counts) {
        if !self.struck && !matches!(*plan.fault, Fault::Pass) {
            counts.struck.fetch_add(1, Ordering::AcqRel);
        }
        self.struck = true;
    }

    /// The place in the piece behind the last needle; the others may have come in earlier pieces.
    fn find_all(&mut self, needles: &[Arc<[u8]>], piece: &[u8]) -> Option<usize> {
        let mut from = 0;
        while let Some(needle) = needles.get(self.matched) {
            from += self.find(needle, &piece[from..])?;
            self.matched += 1;
            self.tail.clear();
        }
        self.matched = 0;
        Some(from)
    }

    /// The place in the piece behind the needle, which may have begun in earlier pieces.
    fn find(&mut self, needle: &[u8], piece: &[u8]) -> Option<usize> {
        let earlier = self.tail.len();
        self.tail.extend_from_slice(piece);
        let found = self.tail.windows(needle.len()).position(|window| window == needle);
        let behind = found.map(|at| at + needle.len() - earlier);
        // one byte less than the needle: a whole one was found before
        let keep = self.tail.len().min(needle.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        behind
    }
}
