//! One of the many clients: waits, asks, waits again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use hyper::StatusCode;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use super::latency::Latencies;
use crate::answer::{Answer, Fate};
use crate::books::Books;
use crate::event::Run;
use crate::http1::{Address, Connection, Route};
use crate::send::Book;

/// What readers ask for, in turn.
const QUESTIONS: [&str; 4] = [
    "/v1/events?limit=50",
    "/v1/stats?group_by=event_type",
    "/v1/events?limit=20&outcome=failure",
    "/v1/stats?group_by=outcome,severity",
];
const SHOWN_ERRORS: usize = 5;

/// Where the clients go, and what they have in common.
pub struct Visit {
    pub gateway: Address,
    pub query: Address,
    pub write: Route,
    pub reads: Vec<Route>,
    pub run: Run,
    pub events: u64,
    pub books: Books,
    pub next: AtomicU64,
    pub rate: f64,
    pub until: Instant,
    pub tally: Mutex<Tally>,
}

/// What all of them saw.
#[derive(Debug, Default)]
pub struct Tally {
    pub reads: Latencies,
    pub writes: Latencies,
    pub errors: u64,
    pub first_errors: Vec<String>,
}

pub fn reads(query: &Address, api_key: &str) -> Result<Vec<Route>> {
    QUESTIONS.iter().map(|path| Route::get(query, path, api_key)).collect()
}

impl Visit {
    /// A client's life.
    pub async fn visitor(&self, number: u32, is_reader: bool) {
        let mut rng = StdRng::seed_from_u64(self.run.seed ^ u64::from(number));
        let mean = 1.0 / self.rate;
        let address = if is_reader { &self.query } else { &self.gateway };
        let mut connection = None;
        // they did not all come at the same moment
        let mut wait = rng.random_range(0.0..mean);
        for turn in number as usize.. {
            tokio::time::sleep(Duration::from_secs_f64(wait)).await;
            wait = rng.random_range(0.5..1.5) * mean;
            if Instant::now() >= self.until {
                return;
            }
            let asked = if is_reader {
                self.read(&mut connection, address, turn).await
            } else {
                self.write(&mut connection, address).await
            };
            if let Err(error) = asked {
                connection = None;
                self.failed(&format!("{error:#}"));
            }
        }
    }

    async fn read(&self, connection: &mut Option<Connection>, address: &Address, turn: usize) -> Result<()> {
        let request = self.reads[turn % self.reads.len()].request(Bytes::new());
        let began = Instant::now();
        let (status, answer) = opened(connection, address).await?.send(request).await?;
        if status != StatusCode::OK {
            bail!("a read was answered {status}: {}", String::from_utf8_lossy(answer));
        }
        self.tally().reads.add(began.elapsed());
        Ok(())
    }

    async fn write(&self, connection: &mut Option<Connection>, address: &Address) -> Result<()> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        if n > self.events {
            bail!("more events than were reckoned with; this is a fault of this command");
        }
        let body = serde_json::to_vec(&self.run.event(n))?;
        self.books.sending(&[n], false);
        let began = Instant::now();
        let (status, answer) =
            opened(connection, address).await?.send(self.write.request(body.into())).await?;
        let took = began.elapsed();
        // a single event is answered by its item, which is what a batch has a list of
        let list = [b"{\"results\":[", answer, b"]}"].concat();
        let fates = match Answer::read(status.as_u16(), None, &list, &[self.run.event_id(n)]) {
            Answer::Fates { fates, .. } => fates,
            Answer::Hopeless(why) => bail!(why),
        };
        self.books.answered(&[n], &fates, None);
        if !matches!(fates[..], [Fate::Accepted(_)]) {
            bail!("a write was answered {status}: {}", String::from_utf8_lossy(answer));
        }
        self.tally().writes.add(took);
        Ok(())
    }

    fn failed(&self, why: &str) {
        let mut tally = self.tally();
        tally.errors += 1;
        if tally.first_errors.len() < SHOWN_ERRORS {
            tally.first_errors.push(why.to_owned());
        }
    }

    pub fn tally(&self) -> std::sync::MutexGuard<'_, Tally> {
        // times and counts are sound after any panic between two of their changes
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn opened<'a>(connection: &'a mut Option<Connection>, address: &Address) -> Result<&'a mut Connection> {
    match connection {
        Some(open) => Ok(open),
        none => Ok(none.insert(Connection::open(address).await?)),
    }
}
