//! The rows of a run held against its account: two bits a number, whatever the trail holds.

use uuid::Uuid;

use crate::ledger::Account;
use crate::report::{Check, OFFENDERS};

/// What its checks are called; who sums them up knows them by these.
pub const IS_THERE: &str = "every acknowledged event is in events";
pub const IS_ONCE: &str = "no acknowledged event is there twice";
pub const UNKNOWN_IS_ONCE: &str = "no event of unknown fate is there twice";

/// One set of numbers from 1 to N.
struct BitSet(Vec<u64>);

impl BitSet {
    fn new(last: u64) -> Self {
        Self(vec![0; last as usize / 64 + 1])
    }

    fn contains(&self, n: u64) -> bool {
        self.0[n as usize / 64] & (1 << (n % 64)) != 0
    }

    /// Whether it was not in yet.
    fn insert(&mut self, n: u64) -> bool {
        let new = !self.contains(n);
        self.0[n as usize / 64] |= 1 << (n % 64);
        new
    }
}

/// Takes row after row of a run.
pub struct Roll<'a> {
    account: &'a Account,
    event_id: Box<dyn Fn(u64) -> Uuid + 'a>,
    seen: BitSet,
    doubled: BitSet,
    rows: u64,
    strays: Offenders,
    foreign_ids: Offenders,
}

/// How many, and the first few by name.
#[derive(Default)]
struct Offenders {
    count: u64,
    first: Vec<String>,
}

impl Offenders {
    fn add(&mut self, name: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < OFFENDERS {
            self.first.push(name());
        }
    }

    fn check(self, name: &'static str, checked: u64) -> Check {
        Check { name, checked, broken: self.count, offenders: self.first }
    }
}

/// What the roll showed: the checks, and the numbers that deserve a closer look.
pub struct Called {
    pub checks: Vec<Check>,
    pub suspects: Vec<u64>,
}

impl<'a> Roll<'a> {
    pub fn new(account: &'a Account) -> Self {
        let run = account.run();
        Self {
            account,
            event_id: Box::new(move |n| run.event_id(n)),
            seen: BitSet::new(account.events),
            doubled: BitSet::new(account.events),
            rows: 0,
            strays: Offenders::default(),
            foreign_ids: Offenders::default(),
        }
    }

    pub fn row(&mut self, n: u64, event_id: Uuid) {
        self.rows += 1;
        if n == 0 || n > self.account.events {
            self.strays.add(|| format!("event_id {event_id} has a number that this run never had"));
            return;
        }
        if !self.seen.insert(n) {
            self.doubled.insert(n);
        }
        if event_id != (self.event_id)(n) {
            self.foreign_ids.add(|| format!("event {n} has event_id {event_id}, not {}", (self.event_id)(n)));
        }
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    pub fn call(mut self) -> Called {
        let account = self.account;
        let mut suspects = Vec::new();
        let (mut missing, mut doubled, mut doubted) =
            (Offenders::default(), Offenders::default(), Offenders::default());
        let mut add = |offenders: &mut Offenders, n: u64, remark: &str| {
            if offenders.first.len() < OFFENDERS {
                suspects.push(n);
            }
            offenders.add(|| format!("event {n}, event_id {}{remark}", (self.event_id)(n)));
        };
        for n in account.accepted.iter() {
            if !self.seen.contains(n) {
                add(&mut missing, n, "");
            } else if self.doubled.contains(n) {
                add(&mut doubled, n, "");
            }
        }
        account.unknown.iter().filter(|n| self.doubled.contains(*n)).for_each(|n| add(&mut doubted, n, ""));
        let expected = |n| account.accepted.contains(n) || account.unknown.contains(n);
        for n in (1..=account.events).filter(|n| self.seen.contains(*n) && !expected(*n)) {
            let remark = if account.rejected.contains(n) { ", was rejected" } else { ", was never sent" };
            add(&mut self.strays, n, remark);
        }
        let accepted = account.accepted.len();
        let checks = vec![
            missing.check(IS_THERE, accepted),
            doubled.check(IS_ONCE, accepted),
            doubted.check(UNKNOWN_IS_ONCE, account.unknown.len()),
            self.strays.check("nothing is there that was rejected or never sent", self.rows),
            self.foreign_ids.check("each number has its own event_id", self.rows),
        ];
        suspects.sort_unstable();
        suspects.dedup();
        Called { checks, suspects }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Run;
    use chrono::DateTime;
    use std::collections::BTreeMap;

    fn account() -> Account {
        let run = Run::new(9, DateTime::UNIX_EPOCH);
        Account {
            run: run.id,
            seed: 9,
            first_at: DateTime::UNIX_EPOCH,
            events: 100,
            accepted: (1..=90).collect(),
            unknown: (91..=94).collect(),
            rejected: (95..=96).collect(),
            last_offsets: BTreeMap::new(),
        }
    }

    fn call(numbers: impl IntoIterator<Item = u64>) -> Called {
        let account = account();
        let run = account.run();
        let mut roll = Roll::new(&account);
        numbers.into_iter().for_each(|n| roll.row(n, run.event_id(n)));
        roll.call()
    }

    fn broken(called: &Called) -> Vec<u64> {
        called.checks.iter().map(|check| check.broken).collect()
    }

    #[test]
    fn a_sound_trail_passes_with_and_without_the_doubtful_ones() {
        assert_eq!(broken(&call(1..=90)), [0; 5]);
        assert_eq!(broken(&call(1..=93)), [0; 5]);
    }

    #[test]
    fn a_missing_and_a_doubled_number_are_named() {
        let called = call((1..=90).filter(|n| *n != 64).chain([65, 65, 91, 91]));
        assert_eq!(broken(&called), [1, 1, 1, 0, 0]);
        assert_eq!(called.suspects, [64, 65, 91]);
        assert!(called.checks[0].offenders[0].starts_with("event 64,"));
    }

    #[test]
    fn rejected_unsent_and_foreign_numbers_are_strays() {
        let called = call((1..=90).chain([95, 100, 0, 101]));
        assert_eq!(broken(&called), [0, 0, 0, 4, 0]);
        let text = called.checks[3].offenders.join("\n");
        assert!(text.contains("was rejected") && text.contains("was never sent"), "{text}");
    }

    #[test]
    fn another_id_under_a_number_is_found() {
        let account = account();
        let mut roll = Roll::new(&account);
        (1..=90).for_each(|n| roll.row(n, account.run().event_id(if n == 7 { 8 } else { n })));
        assert_eq!(broken(&roll.call()), [0, 0, 0, 0, 1]);
    }

    #[test]
    fn many_offenders_are_counted_and_few_are_named() {
        let called = call(51..=90);
        assert_eq!(called.checks[0].broken, 50);
        assert_eq!(called.checks[0].offenders.len(), OFFENDERS);
    }
}
