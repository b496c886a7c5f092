//! What a scenario came to, and its row in the table.

use std::time::Duration;

use crate::oracle::Findings;
use crate::scenario::Scenario;
use crate::table::Row;

/// I8: fewer events prove nothing.
const LEAST_FLOWED: u64 = 1_000;

#[derive(Debug, Default)]
pub struct Played {
    /// Acknowledged meanwhile.
    pub flowed: u64,
    /// None where nobody could look, or where it never recovered, so that what is missing may only be late.
    pub findings: Option<Findings>,
    /// From the removal of the cause to lag zero.
    pub recovered: Option<Duration>,
    /// What else was not as expected.
    pub fault: Option<anyhow::Error>,
}

impl Played {
    /// There was no stage to play on.
    pub fn never(fault: anyhow::Error) -> Self {
        Self { fault: Some(fault), ..Self::default() }
    }

    pub fn row(self, scenario: &Scenario, seed: u64) -> Row {
        let why = self.why();
        Row {
            fault: scenario.fault.to_owned(),
            case: scenario.case.to_owned(),
            expected: scenario.expected.word(),
            flowed: self.flowed,
            lost: self.findings.as_ref().map(|findings| findings.lost),
            doubled: self.findings.as_ref().map(|findings| findings.doubled),
            recovered_s: self.recovered.map(|recovered| (recovered.as_secs_f64() * 10.0).round() / 10.0),
            as_expected: why.is_empty(),
            why: (!why.is_empty()).then(|| why.join("; ")),
            seed,
        }
    }

    fn why(&self) -> Vec<String> {
        let mut why: Vec<_> = self.fault.iter().map(|fault| format!("{fault:#}")).collect();
        if self.flowed < LEAST_FLOWED {
            why.push(format!("only {} events flowed", self.flowed));
        }
        match &self.findings {
            Some(findings) if findings.holds() => {}
            Some(findings) => why.extend(findings.broken.iter().cloned()),
            None if why.is_empty() => why.push("nobody looked".to_owned()),
            None => {}
        }
        why
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn played(flowed: u64, findings: Option<Findings>) -> Played {
        Played { flowed, findings, recovered: Some(Duration::from_millis(1_240)), fault: None }
    }

    fn row(played: Played) -> Row {
        let scenario = crate::scenarios::all()[0];
        played.row(&scenario, 1)
    }

    #[test]
    fn a_row_is_as_expected_when_all_holds_and_enough_flowed() {
        let good = row(played(1_000, Some(Findings::default())));
        assert!(good.as_expected && good.why.is_none());
        assert_eq!((good.lost, good.doubled, good.recovered_s), (Some(0), Some(0), Some(1.2)));
        assert!(!row(played(999, Some(Findings::default()))).as_expected);
    }

    #[test]
    fn what_nobody_looked_at_is_not_zero() {
        let unknown = row(Played::never(anyhow::anyhow!("no stack")));
        assert_eq!((unknown.lost, unknown.doubled, unknown.recovered_s), (None, None, None));
        assert!(!unknown.as_expected && unknown.why.is_some_and(|why| why.contains("no stack")));
        assert!(!row(played(5_000, None)).as_expected);
    }

    #[test]
    fn a_loss_is_not_as_expected() {
        let findings = Findings { lost: 1, doubled: 0, broken: vec!["a row is missing".to_owned()] };
        let lost = row(played(5_000, Some(findings)));
        assert_eq!((lost.lost, lost.as_expected), (Some(1), false));
    }
}
