//! A closed loop over HTTP: each connection has one request under way, and every answer is looked at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use super::bodies::{Body, Ids};
use super::count::Needle;
use crate::http1::{Address, Connection, Route};

/// How much of an unexpected answer is shown.
const SHOWN_BYTES: usize = 300;

/// What one side of a round came to.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    pub requests: u64,
    pub events: u64,
    /// Until the last of them was answered.
    pub wall: Duration,
}

/// What is sent, and what every answer must be.
pub struct Kind {
    pub address: Address,
    pub route: Route,
    pub needle: Needle,
    /// So many events in a body, each with the needle in its answer.
    pub events: u64,
}

impl Kind {
    fn check(&self, status: StatusCode, answer: &[u8]) -> Result<()> {
        let found = self.needle.count(answer);
        ensure!(
            status == StatusCode::ACCEPTED && found == self.events,
            "an answer is not as it must be: {status}, {found} of {} events as expected: {}",
            self.events,
            String::from_utf8_lossy(&answer[..answer.len().min(SHOWN_BYTES)])
        );
        Ok(())
    }
}

/// Runs all connections on this thread, one a body. An answer that is not as it must be ends it.
pub fn run(
    runtime: &Runtime,
    kind: &Arc<Kind>,
    bodies: &[Body],
    ids: &Arc<Ids>,
    time: Duration,
) -> Result<Done> {
    runtime.block_on(async {
        let mut open = Vec::with_capacity(bodies.len());
        for _ in bodies {
            open.push(Connection::open(&kind.address).await?);
        }
        let began = Instant::now();
        let mut connections = JoinSet::new();
        for (connection, body) in open.into_iter().zip(bodies) {
            let (kind, ids) = (Arc::clone(kind), Arc::clone(ids));
            connections.spawn(one(connection, kind, body.clone(), ids, began + time));
        }
        let mut requests = 0;
        while let Some(ended) = connections.join_next().await {
            requests += ended.context("a connection's task broke")??;
        }
        Ok(Done { requests, events: requests * kind.events, wall: began.elapsed() })
    })
}

async fn one(
    mut connection: Connection,
    kind: Arc<Kind>,
    mut body: Body,
    ids: Arc<Ids>,
    until: Instant,
) -> Result<u64> {
    let mut requests = 0;
    while Instant::now() < until {
        let request = kind.route.request(body.with_fresh_ids(&ids));
        let (status, answer) = connection.send(request).await?;
        kind.check(status, answer)?;
        requests += 1;
    }
    Ok(requests)
}
