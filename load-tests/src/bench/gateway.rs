//! `bench gateway`: all rounds, the sides in turn.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::args::GatewayArgs;
use super::figures::{self, Figure, Missing};
use super::live::Live;
use super::scene::Scene;
use super::side::{GAUGES, Gauge, Measured, Round, Side};
use super::table;
use crate::args::StackFlags;
use crate::env::Settings;
use crate::own_stack::{OwnStack, Plan};
use crate::report::Verdict;

pub async fn command(stack: &StackFlags, args: &GatewayArgs) -> Result<Verdict> {
    for key in &args.only {
        let known = GAUGES.iter().any(|gauge| gauge.key.eq_ignore_ascii_case(key));
        ensure!(known, "there is no figure {key}; --only takes G1, G2 and G3");
    }
    let own = match &stack.env_file {
        Some(_) => None,
        None => Some(OwnStack::start(&plan(args)).await?),
    };
    let flags = own.as_ref().map(OwnStack::flags);
    let settings = Settings::read(flags.as_ref().unwrap_or(stack))?;
    let scratch = args.own.dir.parent().unwrap_or_else(|| Path::new("")).join("keys");
    let scene = Scene::prepare(&settings, &scratch, args.connections).await?;
    let plan = args.clone();
    let measuring = tokio::task::spawn_blocking(move || rounds(scene, &plan));
    let figures = measuring.await.context("the bench broke off")?;
    figures::write(&figures, args)?;
    table::print(&figures, args);
    Ok(figures::verdict(&figures))
}

fn plan(args: &GatewayArgs) -> Plan {
    let (dir, port_shift) = (args.own.dir.clone(), args.own.port_shift);
    Plan { dir, port_shift, whole: false, settings: Vec::new() }
}

/// Round by round and not figure by figure, so that what changes on the machine meets all of them.
fn rounds(mut scene: Scene, args: &GatewayArgs) -> Vec<Figure> {
    let mut figures: Vec<Figure> = GAUGES.iter().map(|gauge| begin(gauge, &scene, args)).collect();
    let open = |figures: &[Figure]| figures.iter().filter(|figure| figure.missing.is_none()).count();
    let sides = Side::ALL.iter().filter(|side| is_needed(**side, &figures)).count();
    let live = Live::new(sides + 2 * args.rounds() * open(&figures));
    warm_up(&mut scene, args, &mut figures, &live);
    for number in 1..=args.rounds() {
        for figure in figures.iter_mut().filter(|figure| figure.missing.is_none()) {
            live.heading(&format!("round {number} of {}, {}", args.rounds(), figure.gauge.key));
            match round(&mut scene, figure.gauge, number, args, &live) {
                Ok(round) => figure.rounds.push(round),
                Err(error) => fail(figure, &error, &live),
            }
        }
    }
    live.finish();
    figures
}

fn begin(gauge: &'static Gauge, scene: &Scene, args: &GatewayArgs) -> Figure {
    let why = if !args.wants(gauge.key) {
        Some("left out by --only")
    } else if gauge.against == Side::Buffered && !scene.has_buffered {
        Some("this gateway does not know ?delivery=async")
    } else {
        None
    };
    let missing = why.map(|why| Missing::NotMeasured(why.to_owned()));
    Figure { gauge, rounds: Vec::new(), missing }
}

fn is_needed(side: Side, figures: &[Figure]) -> bool {
    let open = |figure: &&Figure| figure.missing.is_none();
    figures.iter().filter(open).any(|figure| [figure.gauge.side, figure.gauge.against].contains(&side))
}

/// The first minute of a broker is slower than all others: its virtual machine compiles while it runs, and takes three times
/// the CPU for a record (measured), which on few cores everybody feels.
fn warm_up(scene: &mut Scene, args: &GatewayArgs, figures: &mut [Figure], live: &Live) {
    live.heading("warming up");
    for side in Side::ALL {
        if !is_needed(side, figures) {
            continue;
        }
        if let Err(error) = scene.measure(side, args.warm_up(side)) {
            let concerned = |figure: &&mut Figure| [figure.gauge.side, figure.gauge.against].contains(&side);
            figures.iter_mut().filter(concerned).for_each(|figure| fail(figure, &error, live));
        }
        live.step(None);
    }
}

/// Every other round begins with the other side.
fn round(scene: &mut Scene, gauge: &Gauge, number: usize, args: &GatewayArgs, live: &Live) -> Result<Round> {
    let mut measure = |side| -> Result<Measured> {
        let measured = scene.measure(side, args.side())?;
        live.step(Some(&measured));
        Ok(measured)
    };
    if number % 2 == 1 {
        let side = measure(gauge.side)?;
        Ok(Round { side, against: measure(gauge.against)? })
    } else {
        let against = measure(gauge.against)?;
        Ok(Round { side: measure(gauge.side)?, against })
    }
}

fn fail(figure: &mut Figure, error: &anyhow::Error, live: &Live) {
    let why = format!("{error:#}");
    live.note(&format!("{} fails: {why}", figure.gauge.key));
    figure.missing.get_or_insert(Missing::Failed(why));
}
