//! From rounds to figures, and the file that keeps them.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::args::GatewayArgs;
use super::side::{Gauge, Measured, Round};
use crate::report::Verdict;

/// Why a figure has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// An answer or a count was not as it must be.
    Failed(String),
    /// It was not tried.
    NotMeasured(String),
}

impl Missing {
    pub fn why(&self) -> &str {
        match self {
            Self::Failed(why) | Self::NotMeasured(why) => why,
        }
    }
}

/// What became of one figure.
pub struct Figure {
    pub gauge: &'static Gauge,
    pub rounds: Vec<Round>,
    pub missing: Option<Missing>,
}

impl Figure {
    /// The median of the rounds' ratios; none if a round is missing.
    pub fn value(&self) -> Option<f64> {
        let ratios: Vec<f64> = self.rounds.iter().map(Round::ratio).collect();
        if self.missing.is_some() { None } else { median(&ratios) }
    }

    /// From the least to the greatest ratio.
    pub fn spread(&self) -> Option<f64> {
        let ratios = || self.rounds.iter().map(Round::ratio);
        self.value()?;
        Some(ratios().fold(f64::MIN, f64::max) - ratios().fold(f64::MAX, f64::min))
    }

    pub fn verdict(&self) -> Verdict {
        match (self.value(), &self.missing) {
            (_, Some(Missing::Failed(_))) => Verdict::DoesNotHold,
            (None, _) => Verdict::CannotTell,
            (Some(value), _) if value >= self.gauge.at_least => Verdict::Holds,
            (Some(_), _) => Verdict::DoesNotHold,
        }
    }

    fn json(&self, scale: &str) -> Value {
        let rounds: Vec<Value> = self.rounds.iter().map(round_json).collect();
        json!({
            "what": self.gauge.what,
            "value": self.value().map(rounded),
            "spread": self.spread().map(rounded),
            "at_least": self.gauge.at_least,
            "aim": self.gauge.aim,
            "rounds": self.rounds.len(),
            "scale": scale,
            "complete": self.value().is_some(),
            "missing": self.missing.as_ref().map(Missing::why),
            "raw": rounds,
        })
    }
}

/// A fault that was seen outweighs what could not be told.
pub fn verdict(figures: &[Figure]) -> Verdict {
    let has = |wanted| figures.iter().any(|figure| figure.verdict() == wanted);
    match (has(Verdict::DoesNotHold), has(Verdict::CannotTell)) {
        (true, _) => Verdict::DoesNotHold,
        (false, true) => Verdict::CannotTell,
        (false, false) => Verdict::Holds,
    }
}

/// Written beside and renamed, so that a reader never sees half of it.
pub fn write(figures: &[Figure], args: &GatewayArgs) -> Result<()> {
    let path: &Path = &args.out;
    let entries = figures.iter().map(|figure| (figure.gauge.key.to_owned(), figure.json(args.scale())));
    let text = serde_json::to_string_pretty(&Value::Object(entries.collect::<Map<_, _>>()))?;
    let part = path.with_extension("part");
    let parent = path.parent().unwrap_or_else(|| Path::new(""));
    std::fs::create_dir_all(parent)
        .and_then(|()| std::fs::write(&part, text + "\n"))
        .and_then(|()| std::fs::rename(&part, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some((sorted[middle - 1] + sorted[middle]) / 2.0),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn round_json(round: &Round) -> Value {
    json!({ "ratio": rounded(round.ratio()), "side": side_json(&round.side), "against": side_json(&round.against) })
}

fn side_json(measured: &Measured) -> Value {
    json!({
        "name": measured.side.name(),
        "requests": measured.done.requests,
        "events": measured.done.events,
        "wall_s": rounded(measured.done.wall.as_secs_f64()),
        "events_per_s": measured.events_per_s().round(),
        "cpu_s": measured.cpu,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::bench::cpu::CpuSeconds;
    use crate::bench::load::Done;
    use crate::bench::side::{GAUGES, Side};

    fn round(events: u64) -> Round {
        let measured = |side, events| Measured {
            side,
            done: Done { requests: events, events, wall: Duration::from_secs(1) },
            cpu: CpuSeconds::default(),
        };
        Round { side: measured(Side::DurableOne, events), against: measured(Side::DroppedOne, 100) }
    }

    #[test]
    fn the_middle_ratio_is_the_value() {
        let rounds = [60, 90, 80].map(round).to_vec();
        let figure = Figure { gauge: &GAUGES[0], rounds, missing: None };
        assert_eq!(figure.value(), Some(0.8));
        assert!((figure.spread().expect("a spread") - 0.3).abs() < 1e-9);
        assert_eq!(figure.verdict(), Verdict::Holds);
        assert_eq!(median(&[1.0, 4.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_figure_with_a_fault_has_no_value() {
        let figure = Figure {
            gauge: &GAUGES[0],
            rounds: vec![round(90)],
            missing: Some(Missing::NotMeasured("not there".to_owned())),
        };
        let json = figure.json("quick");
        assert!(json["value"].is_null() && json["complete"] == false, "{json}");
        assert_eq!(verdict(&[figure]), Verdict::CannotTell);
        let failed = Some(Missing::Failed("a 503".to_owned()));
        assert_eq!(
            verdict(&[Figure { gauge: &GAUGES[0], rounds: vec![], missing: failed }]),
            Verdict::DoesNotHold
        );
        let low = Figure { gauge: &GAUGES[0], rounds: vec![round(50)], missing: None };
        assert_eq!(verdict(&[low]), Verdict::DoesNotHold);
    }
}
