//! One kind of look-up over one batch: each text once, within the batch's budget, and no panic gets out. The memory
//! lives as long as the batch, so nothing is shared, locked or forgotten in the wrong order.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use user_agents::head;

use super::{Looked, Lookup, LookupFault, MAX_TEXT_BYTES};

/// Texts that are remembered in a batch; further ones are looked up each time, out of the budget.
const MAX_REMEMBERED: usize = 20_000;
/// After so many panics in a batch the look-up is not tried again in it: each writes to standard error.
const MAX_PANICS: u32 = 3;

/// How a look-up ended, as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Found,
    Nothing,
    Failed,
    OverBudget,
}

/// The records of a batch by outcome, in its order.
pub type Counts = [u64; 4];

/// What is known about a text.
#[derive(Debug)]
pub struct Answer<T> {
    value: Option<Arc<T>>,
    outcome: Outcome,
}

impl<T> Clone for Answer<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), outcome: self.outcome }
    }
}

impl<T> Answer<T> {
    fn empty(outcome: Outcome) -> Self {
        Self { value: None, outcome }
    }

    pub fn is_incomplete(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::OverBudget)
    }

    pub fn into_value(self) -> Option<Arc<T>> {
        self.value
    }
}

/// The time that the look-ups of a batch may take. It is asked before each, so it is exceeded by one look-up at most,
/// and the text of that is bounded.
pub struct Budget {
    whole: Duration,
    spent: Duration,
}

impl Budget {
    pub fn new(whole: Duration) -> Self {
        Self { whole, spent: Duration::ZERO }
    }

    pub fn spent(&self) -> Duration {
        self.spent
    }

    fn is_spent(&self) -> bool {
        self.spent >= self.whole
    }

    fn spend<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.spent += begun.elapsed();
        done
    }
}

/// See the module.
pub struct Memo<'b, T> {
    lookup: Option<&'b dyn Lookup<T>>,
    known: HashMap<&'b str, Answer<T>>,
    panics: u32,
    counts: Counts,
    first_fault: Option<LookupFault>,
}

impl<'b, T> Memo<'b, T> {
    pub fn new(lookup: Option<&'b dyn Lookup<T>>) -> Self {
        Self { lookup, known: HashMap::new(), panics: 0, counts: Counts::default(), first_fault: None }
    }

    pub fn counts(&self) -> Counts {
        self.counts
    }

    pub fn first_fault(&self) -> Option<&LookupFault> {
        self.first_fault.as_ref()
    }

    /// What is known about a record's text; a record without one has nothing.
    pub fn get(&mut self, text: Option<&'b str>, budget: &mut Budget) -> Answer<T> {
        let answer = match (self.lookup, text) {
            (Some(lookup), Some(text)) => self.of(lookup, head(text, MAX_TEXT_BYTES), budget),
            _ => Answer::empty(Outcome::Nothing),
        };
        self.counts[answer.outcome as usize] += 1;
        answer
    }

    fn of(&mut self, lookup: &dyn Lookup<T>, text: &'b str, budget: &mut Budget) -> Answer<T> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        if budget.is_spent() {
            self.first_fault.get_or_insert(LookupFault::OverBudget);
            return Answer::empty(Outcome::OverBudget);
        }
        if self.panics >= MAX_PANICS {
            return Answer::empty(Outcome::Failed);
        }
        let looked = budget.spend(|| catch_unwind(AssertUnwindSafe(|| lookup.look_up(text))));
        let answer = match looked {
            Ok(looked) => self.answer(looked),
            Err(panic) => {
                self.panics += 1;
                self.answer(Looked { value: None, fault: Some(LookupFault::Panic(said(&*panic))) })
            }
        };
        if self.known.len() < MAX_REMEMBERED {
            self.known.insert(text, answer.clone());
        }
        answer
    }

    fn answer(&mut self, looked: Looked<T>) -> Answer<T> {
        let outcome = match (&looked.value, looked.fault) {
            (_, Some(fault)) => {
                self.first_fault.get_or_insert(fault);
                Outcome::Failed
            }
            (Some(_), None) => Outcome::Found,
            (None, None) => Outcome::Nothing,
        };
        Answer { value: looked.value.map(Arc::new), outcome }
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text").to_owned()
}
