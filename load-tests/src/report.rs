//! What this command prints, and how it ends.

use std::process::ExitCode;

use crate::generate::Outcome;

/// How many offenders of a check are named.
pub const OFFENDERS: usize = 5;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Holds,
    DoesNotHold,
    CannotTell,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Holds => Self::SUCCESS,
            Verdict::DoesNotHold => Self::from(1),
            Verdict::CannotTell => Self::from(2),
        }
    }
}

/// One thing that must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    /// How many things were looked at.
    pub checked: u64,
    pub broken: u64,
    /// The first of the broken ones.
    pub offenders: Vec<String>,
}

/// The worst of all: a fault that was seen outweighs what could not be told.
pub fn verdict(checks: &[Check]) -> Verdict {
    if checks.iter().any(|check| check.broken > 0) { Verdict::DoesNotHold } else { Verdict::Holds }
}

pub fn checks(checks: &[Check]) {
    println!("{:<58} {:>12} {:>8}  result", "check", "looked at", "broken");
    for check in checks {
        let result = if check.broken == 0 { "holds" } else { "DOES NOT HOLD" };
        println!("{:<58} {:>12} {:>8}  {result}", check.name, check.checked, check.broken);
        for offender in check.offenders.iter().take(OFFENDERS) {
            println!("    {offender}");
        }
        let named = check.offenders.len().min(OFFENDERS) as u64;
        if named > 0 && check.broken > named {
            println!("    and {} more", check.broken - named);
        }
    }
}

pub fn summary(outcome: &Outcome) {
    let account = &outcome.account;
    let seconds = outcome.took.as_secs_f64();
    let accepted = account.accepted.len();
    let (unknown, rejected) = (account.unknown.len(), account.rejected.len());
    let mut lines = vec![
        ("run", account.run.clone()),
        ("events", account.events.to_string()),
        ("accepted", accepted.to_string()),
        ("retried", outcome.retried.to_string()),
        ("sent twice on purpose", outcome.repeated.to_string()),
        ("unknown", unknown.to_string()),
        ("rejected", rejected.to_string()),
        ("never sent", (account.events - accepted - unknown - rejected).to_string()),
        ("seconds", format!("{seconds:.1}")),
        ("events/s", format!("{:.0}", accepted as f64 / seconds.max(0.001))),
    ];
    lines.extend(outcome.rejected_because.clone().map(|why| ("first rejection", why)));
    lines.extend(outcome.stopped.clone().map(|why| ("ended early", why)));
    figures(&lines);
}

pub fn figures(lines: &[(&str, String)]) {
    for (name, figure) in lines {
        println!("{name:<24} {figure}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_check_decides() {
        let sound = Check { name: "a", checked: 3, broken: 0, offenders: vec![] };
        let broken = Check { name: "b", checked: 3, broken: 1, offenders: vec!["x".to_owned()] };
        assert_eq!(verdict(std::slice::from_ref(&sound)), Verdict::Holds);
        assert_eq!(verdict(&[sound, broken]), Verdict::DoesNotHold);
    }
}
