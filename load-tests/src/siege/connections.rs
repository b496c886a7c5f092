//! `siege connections`: calm and siege in turn, and what the healthy client noticed.

use std::time::Duration;

use anyhow::{Context, Result};

use super::args::ConnectionsArgs;
use super::crowd::{Crowd, Plan};
use super::healthy::{self, Answers};
use super::limits;
use crate::args::StackFlags;
use crate::bench::figures::median;
use crate::env::Settings;
use crate::http1::{Address, Connection, Route};
use crate::own_stack::{self, OwnStack};
use crate::pid_file::PidFile;
use crate::report::Verdict;

/// How much longer than in calm the healthy client may wait, by the 99th percentile.
const AIM: f64 = 2.0;
/// What is open beside the crowd: the healthy client, and whoever looks at the metrics.
const OTHERS: u64 = 200;
const WARM_UP: Duration = Duration::from_secs(2);
const OPEN_CONNECTIONS: &str = "sealtrail_http_open_connections{listener=\"http\"}";

/// One calm and one siege.
struct Turn {
    calm: [f64; 2],
    siege: [f64; 2],
}

pub async fn command(stack: &StackFlags, args: &ConnectionsArgs) -> Result<Verdict> {
    let sockets = u64::from(args.idle + args.slow) + OTHERS;
    limits::raise(sockets)?;
    let own = match &stack.env_file {
        Some(_) => None,
        None => Some(OwnStack::start(&own_plan(args, sockets)).await?),
    };
    let flags = own.as_ref().map(OwnStack::flags);
    let settings = Settings::read(flags.as_ref().unwrap_or(stack))?;
    let gateway = PidFile::of(&settings.run_dir()?, "gateway").living()?.as_raw();
    limits::check_gateway(gateway, sockets)?;
    let plan = Plan {
        address: Address::of(&settings.gateway_url()?).await?,
        api_key: settings.api_key()?,
        idle: args.idle,
        slow: args.slow,
        addresses: args.addresses,
    };
    healthy::measure(&plan.address, &plan.api_key, args.healthy, WARM_UP).await?;
    let mut failed = 0;
    let mut turns = Vec::new();
    for number in 1..=args.rounds {
        let (turn, failures) = turn(&plan, args, number).await?;
        turns.push(turn);
        failed += failures;
    }
    Ok(report(&turns, failed))
}

fn own_plan(args: &ConnectionsArgs, sockets: u64) -> own_stack::Plan {
    let per_peer = sockets.div_ceil(u64::from(args.addresses)).max(OTHERS);
    own_stack::Plan {
        dir: args.own.dir.clone(),
        port_shift: args.own.port_shift,
        whole: false,
        settings: vec![
            ("SEALTRAIL_GATEWAY__HTTP__MAX_CONNECTIONS", sockets.to_string()),
            ("SEALTRAIL_GATEWAY__HTTP__MAX_CONNECTIONS_PER_PEER", per_peer.to_string()),
        ],
    }
}

async fn turn(plan: &Plan, args: &ConnectionsArgs, number: u32) -> Result<(Turn, u64)> {
    let time = Duration::from_secs(args.seconds);
    let calm = healthy::measure(&plan.address, &plan.api_key, args.healthy, time).await?;
    eprintln!("round {number}, calm: {}", told(&calm));
    let crowd = Crowd::gather(plan).await?;
    let at_gateway = open_at_gateway(plan).await?;
    let siege = healthy::measure(&plan.address, &plan.api_key, args.healthy, time).await;
    eprintln!("round {number}, crowd: {}; the gateway counted {at_gateway:.0} open", crowd.tells());
    crowd.scatter().await;
    let siege = siege?;
    eprintln!("round {number}, siege: {}", told(&siege));
    let quantiles = |answers: &Answers| answers.latencies.quantiles_ms([0.5, 0.99]);
    Ok((Turn { calm: quantiles(&calm), siege: quantiles(&siege) }, calm.failed + siege.failed))
}

fn told(answers: &Answers) -> String {
    let [p50, p99] = answers.latencies.quantiles_ms([0.5, 0.99]);
    let why = answers.first_failure.as_deref().map(|why| format!(", first: {why}")).unwrap_or_default();
    format!(
        "{} answers, p50 {p50:.1} ms, p99 {p99:.1} ms, {} failed{why}",
        answers.latencies.count(),
        answers.failed
    )
}

/// What the gateway itself says, so that the siege is not one by the client's word alone.
async fn open_at_gateway(plan: &Plan) -> Result<f64> {
    let mut connection = Connection::open(&plan.address).await?;
    let request = Route::get(&plan.address, "/metrics", &plan.api_key)?.request(Default::default());
    let (_, answer) = connection.send(request).await?;
    let text = String::from_utf8_lossy(answer).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix(OPEN_CONNECTIONS));
    line.and_then(|value| value.trim().parse().ok()).context("the gateway does not count its connections")
}

fn report(turns: &[Turn], failed: u64) -> Verdict {
    let middle =
        |of: &dyn Fn(&Turn) -> f64| median(&turns.iter().map(of).collect::<Vec<_>>()).unwrap_or(f64::NAN);
    println!("{:<6} {:>10} {:>10} {:>8}", "", "calm ms", "siege ms", "ratio");
    for (at, name) in ["p50", "p99"].into_iter().enumerate() {
        let (calm, siege) = (middle(&|turn| turn.calm[at]), middle(&|turn| turn.siege[at]));
        let ratio = middle(&|turn| turn.siege[at] / turn.calm[at]);
        println!("{name:<6} {calm:>10.2} {siege:>10.2} {ratio:>8.2}");
    }
    let ratio = middle(&|turn| turn.siege[1] / turn.calm[1]);
    let word = if ratio <= AIM { "within" } else { "OVER" };
    println!("medians of {} rounds; the p99 ratio {ratio:.2} is {word} {AIM}", turns.len());
    println!("failed requests of the healthy client: {failed}");
    if failed == 0 { Verdict::Holds } else { Verdict::DoesNotHold }
}
