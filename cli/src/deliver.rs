//! Events on their way to the gateway: in batches, sent again with the same ids until every item has its answer.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, RETRY_AFTER};
use serde::Deserialize;
use serde_json::Value;

use crate::connect::GatewayFlags;
use crate::trust;

/// Events in one request,
pub const BATCH_EVENTS: usize = 500;
/// and bytes in it.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Tries of one batch, with growing pauses: about two minutes of an outage.
const MAX_TRIES: u32 = 20;
const MAX_PAUSE: Duration = Duration::from_secs(10);

/// How many ended how.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    pub accepted: u64,
    pub duplicate: u64,
    pub dropped_by_policy: u64,
    /// What the gateway refused, and why.
    pub rejected: Vec<(usize, String)>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.dropped_by_policy += other.dropped_by_policy;
        self.rejected.extend(other.rejected);
    }
}

#[derive(Debug, Deserialize)]
struct BatchAnswer {
    results: Vec<ItemAnswer>,
}

#[derive(Debug, Deserialize)]
struct ItemAnswer {
    index: usize,
    status: String,
    problem: Option<Value>,
}

pub struct Gateway {
    client: reqwest::Client,
    url: reqwest::Url,
    authorization: String,
}

impl Gateway {
    pub fn new(flags: &GatewayFlags) -> anyhow::Result<Self> {
        Ok(Self {
            client: trust::http_client(REQUEST_TIMEOUT)?,
            url: flags.address.gateway.join("/v1/events/batch").context("SEALTRAIL_GATEWAY_URL")?,
            authorization: format!("Bearer {}", flags.api_key.expose()),
        })
    }

    /// Delivers all events; `progress` is told how many more have their answer. The numbers in `rejected` are places in
    /// `events`.
    pub async fn deliver(&self, events: &[Value], mut progress: impl FnMut(u64)) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let mut first = 0;
        while first < events.len() {
            let batch = &events[first..first + batch_len(&events[first..])];
            tally.add(self.deliver_batch(batch, first).await?);
            first += batch.len();
            progress(batch.len() as u64);
        }
        Ok(tally)
    }

    async fn deliver_batch(&self, batch: &[Value], first: usize) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let mut open: Vec<usize> = (0..batch.len()).collect();
        let mut last_trouble = String::new();
        for tries in 0..MAX_TRIES {
            let sent: Vec<_> = open.iter().map(|i| &batch[*i]).collect();
            let pause = match self.send(&sent).await? {
                Sent::Answered(answer) => {
                    open = take(&answer, &open, first, &mut tally);
                    last_trouble = "the broker did not confirm all events".to_owned();
                    None
                }
                Sent::Trouble { what, retry_after } => {
                    last_trouble = what;
                    retry_after
                }
            };
            if open.is_empty() {
                return Ok(tally);
            }
            eprintln!("{last_trouble}; trying again ({} of {MAX_TRIES})", tries + 1);
            let growing = Duration::from_millis(100 << tries.min(10)).min(MAX_PAUSE);
            tokio::time::sleep(pause.unwrap_or(growing).min(MAX_PAUSE)).await;
        }
        bail!(
            "gave up after {MAX_TRIES} tries: {last_trouble}; run it again, events with an event_id of their own are not doubled"
        )
    }

    async fn send(&self, events: &[&Value]) -> anyhow::Result<Sent> {
        let request =
            self.client.post(self.url.clone()).header(AUTHORIZATION, &self.authorization).json(events);
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return Ok(Sent::Trouble {
                    what: format!("no answer from the gateway: {error}"),
                    retry_after: None,
                });
            }
        };
        let status = answer.status();
        let retry_after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|v| v.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = answer.bytes().await.unwrap_or_default();
        if let Ok(parsed) = serde_json::from_slice::<BatchAnswer>(&body) {
            return Ok(Sent::Answered(parsed));
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
            return Ok(Sent::Trouble { what: format!("the gateway answered {status}: {text}"), retry_after });
        }
        bail!("the gateway answered {status}: {text}")
    }
}

enum Sent {
    Answered(BatchAnswer),
    Trouble { what: String, retry_after: Option<Duration> },
}

/// Counts the answers; what has none yet is sent again.
fn take(answer: &BatchAnswer, open: &[usize], first: usize, tally: &mut Tally) -> Vec<usize> {
    let mut again = Vec::new();
    for item in &answer.results {
        let Some(&place) = open.get(item.index) else { continue };
        match item.status.as_str() {
            "accepted" | "buffered" => tally.accepted += 1,
            "duplicate" => tally.duplicate += 1,
            "dropped_by_policy" => tally.dropped_by_policy += 1,
            "rejected" => {
                let why = item.problem.as_ref().map_or_else(String::new, Value::to_string);
                tally.rejected.push((first + place, why));
            }
            _ => again.push(place),
        }
    }
    let answered: std::collections::HashSet<_> = answer.results.iter().map(|item| item.index).collect();
    again.extend(open.iter().enumerate().filter(|(i, _)| !answered.contains(i)).map(|(_, place)| *place));
    again
}

/// How many of the events fit into one request; at least one.
fn batch_len(events: &[Value]) -> usize {
    let mut bytes = 0;
    let fits = events.iter().take(BATCH_EVENTS).take_while(|event| {
        bytes += event.to_string().len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_final_answer_is_sent_again() {
        let answer: BatchAnswer = serde_json::from_value(serde_json::json!({"results": [
            {"index": 0, "status": "accepted"}, {"index": 1, "status": "unconfirmed"},
            {"index": 2, "status": "rejected", "problem": {"pointer": "/x"}},
        ]}))
        .expect("an answer");
        let mut tally = Tally::default();
        assert_eq!(take(&answer, &[4, 5, 7, 9], 100, &mut tally), [5, 9]);
        assert_eq!((tally.accepted, tally.rejected[0].0), (1, 107));
    }
}
