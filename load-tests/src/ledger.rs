//! What became of each number: the oracle that the trail is held against.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::Run;
use crate::ranges::Ranges;

/// One byte a number, because tries add up: a number that was acknowledged once is acknowledged, and one whose fate was
/// unknown once may be in the trail whatever a later try answers.
const UNDER_WAY: u8 = 1;
const DOUBTED: u8 = 2;
const ACCEPTED: u8 = 4;
const REJECTED: u8 = 8;

/// The account of a load while it runs. Numbers go from 1 to `events`.
pub struct Ledger {
    states: Vec<u8>,
    accepted: u64,
    last_offsets: BTreeMap<i32, i64>,
}

impl Ledger {
    pub fn new(events: u64) -> Result<Self> {
        let size = usize::try_from(events).context("so many events do not fit into memory")?;
        Ok(Self { states: vec![0; size], accepted: 0, last_offsets: BTreeMap::new() })
    }

    /// Before a try, so that an interrupted one counts as unknown.
    pub fn sending(&mut self, n: u64) {
        *self.state(n) |= UNDER_WAY;
    }

    /// The try had no effect, for certain.
    pub fn not_taken(&mut self, n: u64) {
        *self.state(n) &= !UNDER_WAY;
    }

    pub fn accepted(&mut self, n: u64, position: Option<(i32, i64)>) {
        let state = self.state(n);
        let first = *state & ACCEPTED == 0;
        *state = (*state & !UNDER_WAY) | ACCEPTED;
        self.accepted += u64::from(first);
        if let Some((partition, offset)) = position {
            let last = self.last_offsets.entry(partition).or_insert(offset);
            *last = offset.max(*last);
        }
    }

    pub fn rejected(&mut self, n: u64) {
        let state = self.state(n);
        *state = (*state & !UNDER_WAY) | REJECTED;
    }

    pub fn unknown(&mut self, n: u64) {
        let state = self.state(n);
        *state = (*state & !UNDER_WAY) | DOUBTED;
    }

    pub fn is_accepted(&self, n: u64) -> bool {
        self.states[n as usize - 1] & ACCEPTED != 0
    }

    pub fn accepted_count(&self) -> u64 {
        self.accepted
    }

    pub fn close(&self, run: &Run) -> Account {
        let mut account = Account {
            run: run.id.clone(),
            seed: run.seed,
            first_at: run.first_at,
            events: self.states.len() as u64,
            accepted: Ranges::default(),
            unknown: Ranges::default(),
            rejected: Ranges::default(),
            last_offsets: self.last_offsets.clone(),
        };
        for (n, state) in (1..).zip(&self.states) {
            if state & ACCEPTED != 0 {
                account.accepted.push(n);
            } else if state & (UNDER_WAY | DOUBTED) != 0 {
                account.unknown.push(n);
            } else if state & REJECTED != 0 {
                account.rejected.push(n);
            }
        }
        account
    }

    fn state(&mut self, n: u64) -> &mut u8 {
        &mut self.states[n as usize - 1]
    }
}

/// A closed account, as `--ledger` writes it. A number in none of the three sets was never sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub run: String,
    pub seed: u64,
    pub first_at: DateTime<Utc>,
    pub events: u64,
    /// Must be in `events` once.
    pub accepted: Ranges,
    /// May be in `events`, once.
    pub unknown: Ranges,
    /// Must not be there.
    pub rejected: Ranges,
    /// The greatest acknowledged offset, by partition: the batches must reach beyond it.
    #[serde(default)]
    pub last_offsets: BTreeMap<i32, i64>,
}

impl Account {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the ledger {}; generate writes it", path.display()))?;
        let account: Self = serde_json::from_str(&text)
            .with_context(|| format!("{} is no ledger of generate", path.display()))?;
        for ranges in [&account.accepted, &account.unknown, &account.rejected] {
            ranges.check(account.events).with_context(|| format!("{} is damaged", path.display()))?;
        }
        ensure!(
            account.run == account.run().id,
            "{} is damaged: run, seed and first_at do not belong together",
            path.display()
        );
        Ok(account)
    }

    /// Written beside and renamed, so that a reader never sees half of it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let part = path.with_extension("part");
        let json = serde_json::to_vec(self).context("cannot encode the ledger")?;
        std::fs::write(&part, json)
            .and_then(|()| std::fs::rename(&part, path))
            .with_context(|| format!("cannot write the ledger {}", path.display()))
    }

    pub fn run(&self) -> Run {
        Run::new(self.seed, self.first_at)
    }

    pub fn is_complete(&self) -> bool {
        self.accepted.len() == self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(fill: impl FnOnce(&mut Ledger)) -> Account {
        let mut ledger = Ledger::new(6).expect("fits");
        fill(&mut ledger);
        ledger.close(&Run::new(7, DateTime::UNIX_EPOCH))
    }

    #[test]
    fn an_acknowledgement_outlives_a_later_doubt() {
        let account = closed(|ledger| {
            ledger.accepted(1, Some((0, 10)));
            ledger.accepted(2, Some((0, 9)));
            ledger.sending(1);
            ledger.unknown(1);
            ledger.accepted(1, Some((0, 11)));
            assert_eq!(ledger.accepted_count(), 2);
        });
        assert_eq!(account.accepted.iter().collect::<Vec<_>>(), [1, 2]);
        assert_eq!(account.unknown.len(), 0);
        assert_eq!(account.last_offsets, BTreeMap::from([(0, 11)]));
    }

    #[test]
    fn a_refusal_after_a_doubt_stays_a_doubt() {
        let account = closed(|ledger| {
            ledger.unknown(1);
            ledger.rejected(1);
            ledger.rejected(2);
            ledger.sending(3);
            ledger.sending(4);
            ledger.not_taken(4);
        });
        assert_eq!(account.unknown.iter().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(account.rejected.iter().collect::<Vec<_>>(), [2]);
        assert_eq!(account.accepted.len(), 0);
    }

    #[test]
    fn a_ledger_comes_back_from_its_file() {
        let account = closed(|ledger| (1..=6).for_each(|n| ledger.accepted(n, None)));
        assert!(account.is_complete());
        let path = std::env::temp_dir().join(format!("sealtrail-ledger-{}.json", std::process::id()));
        account.write(&path).expect("written");
        let back = Account::read(&path);
        std::fs::write(&path, "{}").expect("written");
        let damaged = Account::read(&path);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(back.expect("read"), account);
        assert!(damaged.is_err());
    }
}
