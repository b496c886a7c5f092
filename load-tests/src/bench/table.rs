//! The figures for people.

use super::args::GatewayArgs;
use super::figures::{Figure, Missing, median};
use super::side::{Measured, Round};
use crate::report::Verdict;

/// Above this share of the machine, the figures are the others' too.
const NOISY_SHARE: f64 = 0.05;

pub fn print(figures: &[Figure], args: &GatewayArgs) {
    println!("{:<4} {:<50} {:>6} {:>7} {:>9} {:>5}  result", "", "", "value", "spread", "at least", "aim");
    for figure in figures {
        let text = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
        let (value, spread) = (text(figure.value()), text(figure.spread()));
        let (gauge, result) = (figure.gauge, result(figure));
        println!(
            "{:<4} {:<50} {value:>6} {spread:>7} {:>9.2} {:>5.2}  {result}",
            gauge.key, gauge.what, gauge.at_least, gauge.aim
        );
    }
    println!("\nmedians of {} rounds; CPU in µs an event", args.rounds());
    println!(
        "{:<4} {:<22} {:>10} {:>9} {:>8} {:>8} {:>8}",
        "", "side", "events/s", "gateway", "kafka", "client", "cores"
    );
    for figure in figures.iter().filter(|figure| figure.value().is_some()) {
        for pick in [|round: &Round| round.side, |round: &Round| round.against] {
            side(figure.gauge.key, &figure.rounds.iter().map(pick).collect::<Vec<_>>());
        }
    }
    println!("\nwritten to {}, scale {}", args.out.display(), args.scale());
    let noise = noise(figures);
    if noise > NOISY_SHARE {
        println!("other processes used {noise:.2} cores meanwhile: do not quote these figures");
    }
}

fn result(figure: &Figure) -> String {
    match (&figure.missing, figure.verdict()) {
        (Some(Missing::Failed(why)), _) => format!("FAILED: {why}"),
        (Some(Missing::NotMeasured(why)), _) => format!("incomplete: {why}"),
        (None, Verdict::Holds) if figure.value().is_some_and(|value| value >= figure.gauge.aim) => {
            "aim reached".to_owned()
        }
        (None, Verdict::Holds) => "holds".to_owned(),
        (None, _) => "TOO LOW".to_owned(),
    }
}

fn side(key: &str, measured: &[Measured]) {
    let Some(name) = measured.first().map(|one| one.side.name()) else { return };
    let middle =
        |of: &dyn Fn(&Measured) -> f64| median(&measured.iter().map(of).collect::<Vec<_>>()).unwrap_or(0.0);
    let micros = |of: fn(&Measured) -> f64| middle(&|one| of(one) * 1e6 / one.done.events.max(1) as f64);
    println!(
        "{key:<4} {name:<22} {:>10.0} {:>9.2} {:>8.2} {:>8.2} {:>8.2}",
        middle(&Measured::events_per_s),
        micros(|one| one.cpu.gateway),
        micros(|one| one.cpu.kafka),
        micros(|one| one.cpu.client),
        middle(&|one| (one.cpu.gateway + one.cpu.kafka + one.cpu.client) / one.done.wall.as_secs_f64())
    );
}

/// The cores that others used on the mean.
fn noise(figures: &[Figure]) -> f64 {
    let rounds = figures.iter().flat_map(|figure| &figure.rounds);
    let sides = rounds.flat_map(|round| [round.side, round.against]);
    let (others, wall) = sides.fold((0.0, 0.0), |(others, wall), one| {
        (others + one.cpu.others, wall + one.done.wall.as_secs_f64())
    });
    if wall > 0.0 { others / wall } else { 0.0 }
}
