//! A finding: what was looked at, what was seen, and what to do.

use serde::Serialize;

use crate::output::{self, Outcome, Show};

/// From best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// What it hangs on could not be reached.
    Unknown,
    /// Works, but a person should look at it.
    Warn,
    /// A part does not work, or a promise is not kept.
    Broken,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub state: State,
    pub seen: String,
    #[serde(rename = "do")]
    pub advice: Option<String>,
}

impl Finding {
    pub fn ok(name: &'static str, seen: impl Into<String>) -> Self {
        Self { name, state: State::Ok, seen: seen.into(), advice: None }
    }

    pub fn unknown(name: &'static str, why: impl Into<String>) -> Self {
        Self { name, state: State::Unknown, seen: why.into(), advice: None }
    }

    pub fn warn(name: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Warn, seen: seen.into(), advice: Some(advice.into()) }
    }

    pub fn broken(name: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { state: State::Broken, ..Self::warn(name, seen, advice) }
    }

    /// Our errors read "what is wrong; what to do".
    pub fn broken_by(name: &'static str, error: &impl ToString) -> Self {
        let text = error.to_string();
        match text.rsplit_once("; ") {
            Some((seen, advice)) => Self::broken(name, seen, advice),
            None => Self { name, state: State::Broken, seen: text, advice: None },
        }
    }
}

/// All findings, in the order in which the parts build on each other.
#[derive(Debug, Serialize)]
pub struct Report {
    pub state: State,
    pub checks: Vec<Finding>,
}

impl Report {
    pub fn of(checks: Vec<Finding>) -> Self {
        let state = checks.iter().map(|finding| finding.state).max().unwrap_or(State::Ok);
        Self { state, checks }
    }

    pub fn outcome(&self) -> Outcome {
        Outcome::done_if(self.state != State::Broken)
    }
}

impl Show for Report {
    fn text(&self) -> String {
        let row = |finding: &Finding| {
            let state = match finding.state {
                State::Ok => "ok",
                State::Unknown => "unknown",
                State::Warn => "warn",
                State::Broken => "broken",
            };
            let advice = finding.advice.as_ref().map_or(String::new(), |advice| format!("\n→ {advice}"));
            [state.to_owned(), finding.name.to_owned(), format!("{}{advice}", finding.seen)]
        };
        output::table(["state", "check", "seen"], self.checks.iter().map(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decides_and_unknown_alone_is_not_broken() {
        let ok = || Finding::ok("a", "fine");
        assert_eq!(Report::of(vec![ok()]).outcome(), Outcome::Done);
        assert_eq!(Report::of(vec![ok(), Finding::unknown("b", "away")]).outcome(), Outcome::Done);
        assert_eq!(Report::of(vec![ok(), Finding::warn("b", "x", "y")]).state, State::Warn);
        let report = Report::of(vec![Finding::broken("b", "x", "mend it"), ok()]);
        assert_eq!(report.outcome(), Outcome::InPart);
        assert!(report.text().contains("broken  b      x\n               → mend it"), "{}", report.text());
    }

    #[test]
    fn an_error_is_split_into_what_is_seen_and_what_to_do() {
        let finding = Finding::broken_by("x", &"a is off; b too; mend both");
        assert_eq!((&*finding.seen, finding.advice.as_deref()), ("a is off; b too", Some("mend both")));
    }
}
