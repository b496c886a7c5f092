//! The client that behaves: one event at a time on a few connections, at an even pace, on a thread of its own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chrono::Utc;
use hyper::StatusCode;
use rand::Rng;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::latency::Latencies;
use crate::bench::count::Needle;
use crate::event::Run;
use crate::http1::{Address, Connection, Route};

/// Far below what the gateway can do: it is the waiting that is measured, not the work.
const REQUEST_EVERY: Duration = Duration::from_millis(20);

/// What became of its requests.
#[derive(Debug, Default)]
pub struct Answers {
    pub latencies: Latencies,
    pub failed: u64,
    pub first_failure: Option<String>,
}

impl Answers {
    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.first_failure.get_or_insert(why);
    }

    fn join(&mut self, other: Self) {
        self.latencies.join(other.latencies);
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
    }
}

/// For so long, away from the runtime that the crowd lives on.
pub async fn measure(address: &Address, api_key: &str, connections: u32, time: Duration) -> Result<Answers> {
    let (address, route) = (address.clone(), Route::post(address, "/v1/events", api_key)?);
    let own_thread = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(all(address, route, connections, time))
    });
    own_thread.await.context("the healthy client broke off")?
}

async fn all(address: Address, route: Route, connections: u32, time: Duration) -> Result<Answers> {
    let mut clients = JoinSet::new();
    for _ in 0..connections {
        clients.spawn(one(address.clone(), route.clone(), time));
    }
    let mut answers = Answers::default();
    while let Some(ended) = clients.join_next().await {
        answers.join(ended.context("a connection's task broke")?);
    }
    Ok(answers)
}

async fn one(address: Address, route: Route, time: Duration) -> Answers {
    let (run, accepted) = (Run::new(rand::rng().random(), Utc::now()), Arc::new(Needle::status("accepted")));
    let mut answers = Answers::default();
    let mut connection = None;
    let mut ticks = tokio::time::interval(REQUEST_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = Instant::now() + time;
    for n in 1.. {
        ticks.tick().await;
        let began = Instant::now();
        if began >= until {
            break;
        }
        match ask(&mut connection, &address, &route, &run, n, &accepted).await {
            Ok(()) => answers.latencies.add(began.elapsed()),
            Err(error) => {
                connection = None;
                answers.fail(format!("{error:#}"));
            }
        }
    }
    answers
}

/// A new connection is part of the answer's time, since a client that has to make one notices it.
async fn ask(
    connection: &mut Option<Connection>,
    address: &Address,
    route: &Route,
    run: &Run,
    n: u64,
    accepted: &Needle,
) -> Result<()> {
    let open = match connection {
        Some(open) => open,
        none => none.insert(Connection::open(address).await?),
    };
    let body = serde_json::to_vec(&run.event(n))?;
    let (status, answer) = open.send(route.request(body.into())).await?;
    if status != StatusCode::ACCEPTED || accepted.count(answer) != 1 {
        anyhow::bail!("{status}: {}", String::from_utf8_lossy(answer));
    }
    Ok(())
}
