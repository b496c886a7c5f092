//! One batch, from the first try to a definite answer or to giving up.

use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::answer::{Answer, Fate};
use crate::event::Event;

/// Above the gateway's own delivery time limit, so that its answer comes first.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The gateway's batch endpoint.
pub struct Gateway {
    http: reqwest::Client,
    batch_url: String,
    api_key: String,
}

impl Gateway {
    pub fn new(http: reqwest::ClientBuilder, url: &str, api_key: String) -> Result<Self> {
        let http = http
            .timeout(REQUEST_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot set up the HTTP client")?;
        Ok(Self { http, batch_url: format!("{url}/v1/events/batch"), api_key })
    }

    pub async fn send(&self, events: &[Event]) -> Answer {
        let body = match serde_json::to_vec(events) {
            Ok(body) => body,
            Err(error) => return Answer::Hopeless(format!("cannot encode the events: {error}")),
        };
        let ids: Vec<Uuid> = events.iter().map(|event| event.event_id).collect();
        let request = self
            .http
            .post(&self.batch_url)
            .bearer_auth(&self.api_key)
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_builder() => {
                return Answer::Hopeless(format!("cannot ask {}: {}", self.batch_url, chain(&error)));
            }
            // not one byte of the request went out
            Err(error) if error.is_connect() => {
                return Answer::not_taken(ids.len(), chain(&error.without_url()));
            }
            Err(error) => return Answer::unknown(ids.len(), None, chain(&error.without_url())),
        };
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.trim().parse().ok())
            .map(|seconds| Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER));
        match response.bytes().await {
            Ok(body) => Answer::read(status, retry_after, &body, &ids),
            Err(error) => Answer::unknown(ids.len(), retry_after, chain(&error.without_url())),
        }
    }
}

/// An error with its causes and without its URL.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// How long to wait before the next try: jittered, and never longer than its bounds.
struct Backoff(Duration);

impl Backoff {
    fn wait(&mut self, retry_after: Option<Duration>, rng: &mut impl Rng) -> Duration {
        match retry_after {
            // never earlier than asked for, and not all at the same moment
            Some(asked) => {
                asked
                    + FIRST_BACKOFF.mul_f64(rng.random_range(0.0..1.0))
                    + asked.mul_f64(rng.random_range(0.0..0.25))
            }
            None => {
                let wait = self.0.mul_f64(rng.random_range(0.5..1.0));
                self.0 = (self.0 * 2).min(LONGEST_BACKOFF);
                wait
            }
        }
    }
}

/// Who keeps account of the tries.
pub trait Book: Sync {
    /// A try begins; `again` when it isn't the batch's first.
    fn sending(&self, numbers: &[u64], again: bool);
    /// A try ended, number by number; `why` something is sent again, if it is.
    fn answered(&self, numbers: &[u64], fates: &[Fate], why: Option<&str>);
}

/// How a batch ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Each event was accepted or rejected.
    Answered,
    /// The load was stopped meanwhile.
    Stopped,
    /// No definite answer in time: the last one.
    GaveUp(String),
    Hopeless(String),
}

/// What a delivery needs beside its events.
pub struct Delivery<'a, B> {
    pub gateway: &'a Gateway,
    pub event: &'a (dyn Fn(u64) -> Event + Sync),
    pub book: &'a B,
    pub give_up_after: Duration,
    pub stop: &'a CancellationToken,
}

impl<B: Book> Delivery<'_, B> {
    /// Sends the events with these numbers, and again under the same ids, until each has a definite answer.
    pub async fn deliver(&self, numbers: &[u64]) -> Ended {
        let give_up_at = Instant::now() + self.give_up_after;
        let mut backoff = Backoff(FIRST_BACKOFF);
        let mut open = numbers.to_vec();
        let mut again = false;
        loop {
            let events: Vec<Event> = open.iter().map(|n| (self.event)(*n)).collect();
            self.book.sending(&open, again);
            let (fates, retry_after, why) = match self.gateway.send(&events).await {
                Answer::Fates { fates, retry_after, why } => (fates, retry_after, why),
                Answer::Hopeless(why) => {
                    self.book.answered(&open, &vec![Fate::NotTaken; open.len()], None);
                    return Ended::Hopeless(why);
                }
            };
            self.book.answered(&open, &fates, Some(&why));
            open = still_open(&open, &fates);
            if open.is_empty() {
                return Ended::Answered;
            }
            let left = give_up_at.saturating_duration_since(Instant::now());
            let wait = backoff.wait(retry_after, &mut rand::rng());
            if left.is_zero() || retry_after.is_some_and(|asked| asked > left) {
                return Ended::GaveUp(why);
            }
            let wait = wait.min(left);
            tokio::select! {
                () = tokio::time::sleep(wait) => again = true,
                () = self.stop.cancelled() => return Ended::Stopped,
            }
        }
    }
}

fn still_open(numbers: &[u64], fates: &[Fate]) -> Vec<u64> {
    let open = |fate: &Fate| matches!(fate, Fate::Unknown | Fate::NotTaken);
    numbers.iter().zip(fates).filter(|(_, fate)| open(fate)).map(|(n, _)| *n).collect()
}

#[cfg(test)]
#[path = "send_tests.rs"]
mod tests;
