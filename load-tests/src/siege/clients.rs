//! `siege clients`: thousands who read and write at once, at the pace of people and services.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use chrono::Utc;
use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::aftermath;
use super::args::ClientsArgs;
use super::latency::Latencies;
use super::limits;
use super::visitor::{self, Tally, Visit};
use crate::args::StackFlags;
use crate::bench::cpu::Watched;
use crate::books::Books;
use crate::env::Settings;
use crate::event::Run;
use crate::generate::keep;
use crate::http1::{Address, Route};
use crate::ledger::Account;
use crate::own_stack::{OwnStack, Plan};
use crate::progress::Progress;
use crate::report::Verdict;

/// Within which 95 of 100 answers must come.
const P95_BOUND_MS: f64 = 100.0;
/// Waits are drawn, so that some clients send more than their rate.
const DRAWN_MORE: f64 = 1.5;
const SERVICES: [&str; 5] = ["gateway", "kafka", "processor", "clickhouse", "query-api"];
const SAY_EVERY: Duration = Duration::from_secs(10);

pub async fn command(stack: &StackFlags, args: &ClientsArgs) -> Result<Verdict> {
    limits::raise(u64::from(args.clients))?;
    let own = match &stack.env_file {
        Some(_) => None,
        None => Some(OwnStack::start(&plan(args)).await?),
    };
    let flags = own.as_ref().map(OwnStack::flags);
    let settings = Settings::read(flags.as_ref().unwrap_or(stack))?;
    let readers = args.clients / args.reader_every;
    println!(
        "{} clients for {} s, {readers} of them read: {:.0} reads/s and {:.0} writes/s asked for",
        args.clients,
        args.seconds,
        f64::from(readers) * args.rate,
        f64::from(args.clients - readers) * args.rate
    );
    let visit = Arc::new(visit(&settings, args).await?);
    let watched = Watched::begin(&settings.run_dir()?, &SERVICES)?;
    let began = Instant::now();
    all(&visit, args).await?;
    let took = began.elapsed();
    let used = watched.used()?;
    let outcome = visit.books.close(&visit.run, took);
    keep(&outcome.account, args.ledger.as_deref())?;
    let crowded = report(&visit.tally(), took);
    let cores = |(name, seconds): &(&str, f64)| format!("{name} {:.2}", seconds / took.as_secs_f64());
    println!("cores used: {}", used.iter().map(cores).collect::<Vec<_>>().join(", "));
    let after = aftermath::check(&settings, &outcome.account, Duration::from_secs(args.wait_s)).await?;
    Ok(worst(crowded, after, &outcome.account))
}

fn plan(args: &ClientsArgs) -> Plan {
    Plan { dir: args.own.dir.clone(), port_shift: args.own.port_shift, whole: true, settings: Vec::new() }
}

async fn visit(settings: &Settings<'_>, args: &ClientsArgs) -> Result<Visit> {
    let (gateway, query) =
        (Address::of(&settings.gateway_url()?).await?, Address::of(&settings.query_url()?).await?);
    let api_key = settings.api_key()?;
    let most = f64::from(args.clients) * (args.rate * args.seconds as f64 * DRAWN_MORE + 2.0);
    let events = most.ceil() as u64;
    let seed = args.seed.unwrap_or_else(|| rand::rng().random());
    Ok(Visit {
        write: Route::post(&gateway, "/v1/events", &api_key)?,
        reads: visitor::reads(&query, &api_key)?,
        gateway,
        query,
        run: Run::new(seed, Run::first_at_for(events, Utc::now())),
        events,
        books: Books::new(events, Arc::new(Progress::told(events, |note| eprintln!("{note}"))))?,
        next: AtomicU64::new(1),
        rate: args.rate,
        until: Instant::now() + Duration::from_secs(args.seconds),
        tally: Mutex::new(Tally::default()),
    })
}

async fn all(visit: &Arc<Visit>, args: &ClientsArgs) -> Result<()> {
    let mut clients = JoinSet::new();
    for number in 0..args.clients {
        let visit = Arc::clone(visit);
        let is_reader = number % args.reader_every == args.reader_every - 1;
        clients.spawn(async move { visit.visitor(number, is_reader).await });
    }
    let began = Instant::now();
    let mut ticks = tokio::time::interval(SAY_EVERY);
    ticks.tick().await;
    loop {
        tokio::select! {
            ended = clients.join_next() => match ended {
                None => return Ok(()),
                Some(ended) => ended?,
            },
            _ = ticks.tick() => {
                let tally = visit.tally();
                let (reads, writes) = (tally.reads.count(), tally.writes.count());
                eprintln!("{:>5} s  {reads} reads, {writes} writes, {} errors", began.elapsed().as_secs(), tally.errors);
            }
        }
    }
}

fn report(tally: &Tally, took: Duration) -> Verdict {
    println!("{:<8} {:>9} {:>9} {:>9} {:>9} {:>9}", "", "answers", "per s", "p50 ms", "p95 ms", "p99 ms");
    let mut verdict = if tally.errors == 0 { Verdict::Holds } else { Verdict::DoesNotHold };
    for (name, latencies) in [("reads", &tally.reads), ("writes", &tally.writes)] {
        if line(name, latencies, took) > P95_BOUND_MS {
            println!("the p95 of {name} is over {P95_BOUND_MS} ms");
            verdict = Verdict::DoesNotHold;
        }
    }
    println!("errors: {}", tally.errors);
    tally.first_errors.iter().for_each(|error| println!("    {error}"));
    verdict
}

/// Prints one kind of request and answers its 95th percentile.
fn line(name: &str, latencies: &Latencies, took: Duration) -> f64 {
    let [p50, p95, p99] = latencies.quantiles_ms([0.5, 0.95, 0.99]);
    let count = latencies.count();
    let rate = count as f64 / took.as_secs_f64();
    println!("{name:<8} {count:>9} {rate:>9.0} {p50:>9.1} {p95:>9.1} {p99:>9.1}");
    p95
}

/// A fault that was seen outweighs what could not be told.
fn worst(crowded: Verdict, after: Verdict, account: &Account) -> Verdict {
    let is_sound = account.unknown.is_empty() && account.rejected.is_empty();
    match (crowded, after) {
        (Verdict::DoesNotHold, _) | (_, Verdict::DoesNotHold) => Verdict::DoesNotHold,
        (Verdict::Holds, Verdict::Holds) if is_sound => Verdict::Holds,
        (Verdict::Holds, Verdict::Holds) => Verdict::DoesNotHold,
        _ => Verdict::CannotTell,
    }
}
