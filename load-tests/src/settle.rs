//! Waits until the trail has taken in what was acknowledged.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::time::Instant;

use crate::clickhouse::ClickHouse;
use crate::ledger::Account;

const POLL_EVERY: Duration = Duration::from_millis(500);
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Between two polls of a quiet trail all of it stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct State {
    /// Rows of the run.
    here: u64,
    /// Rows of the three tables.
    stored: u64,
    /// What the batches say of them.
    closed: u64,
}

const STATE: &str = "
SELECT
    (SELECT count() FROM events WHERE attributes['run'] = {run:String}) AS here,
    (SELECT count() FROM events) + (SELECT count() FROM duplicates) + (SELECT count() FROM dead_letters) AS stored,
    (SELECT sum(rows + duplicates + dead_letters) FROM event_batches) AS closed";

/// How the wait ended.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// When the rows of the run had reached the acknowledged ones; none when they stopped short of them.
    pub reached_at: Option<Instant>,
    pub rows: u64,
}

/// Returns when the rows of the run have reached the acknowledged events, and batches and tables agree and stand still; or
/// when nothing has changed for `patience`, so that the checks may tell why. ClickHouse may be away for as long.
pub async fn settle(clickhouse: &ClickHouse, account: &Account, patience: Duration) -> Result<Settled> {
    let wanted = account.accepted.len();
    let mut wait = Wait::new(wanted, patience, Instant::now());
    let mut said = Instant::now();
    loop {
        let asked = Instant::now();
        let state = clickhouse.row::<State>(STATE, &[("run", account.run.clone())]).await;
        let now = Instant::now();
        if now - said >= SAY_EVERY {
            said = now;
            match &state {
                Ok(state) => {
                    eprintln!("waiting: {} of {wanted} acknowledged events are in events", state.here)
                }
                Err(error) => eprintln!("waiting: {error:#}"),
            }
        }
        match (wait.saw(state.as_ref().ok().copied(), now), state) {
            (Next::Poll, _) => {}
            (Next::Done, Ok(state)) => return Ok(Settled { reached_at: wait.reached_at, rows: state.here }),
            (Next::Done, Err(error)) => {
                return Err(error)
                    .with_context(|| format!("no answer for {} s, so nobody can tell", patience.as_secs()));
            }
        }
        // a poll reads the whole trail, so a large one is asked less often
        tokio::time::sleep(POLL_EVERY.max((now - asked) * 2)).await;
    }
}

struct Wait {
    wanted: u64,
    patience: Duration,
    last: Option<State>,
    changed_at: Instant,
    reached_at: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Poll,
    Done,
}

impl Wait {
    fn new(wanted: u64, patience: Duration, now: Instant) -> Self {
        Self { wanted, patience, last: None, changed_at: now, reached_at: None }
    }

    fn saw(&mut self, state: Option<State>, now: Instant) -> Next {
        let Some(state) = state else { return self.tired(now) };
        if state.here >= self.wanted && self.reached_at.is_none() {
            self.reached_at = Some(now);
        }
        if self.last.replace(state) != Some(state) {
            self.changed_at = now;
            return Next::Poll;
        }
        if state.here >= self.wanted && state.stored == state.closed { Next::Done } else { self.tired(now) }
    }

    fn tired(&self, now: Instant) -> Next {
        if now - self.changed_at >= self.patience { Next::Done } else { Next::Poll }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(here: u64, closed: u64) -> Option<State> {
        Some(State { here, stored: 10, closed })
    }

    #[test]
    fn it_is_settled_when_all_is_there_and_stands_still() {
        let now = Instant::now();
        let mut wait = Wait::new(10, Duration::from_secs(60), now);
        assert_eq!(wait.saw(state(8, 8), now), Next::Poll);
        assert_eq!(wait.saw(state(10, 8), now), Next::Poll);
        assert_eq!(wait.saw(state(10, 8), now), Next::Poll, "the last batch is not closed yet");
        assert_eq!(wait.saw(state(10, 10), now), Next::Poll);
        assert_eq!(wait.saw(state(10, 10), now), Next::Done);
        assert_eq!(wait.reached_at, Some(now));
    }

    #[test]
    fn patience_counts_from_the_last_change_and_through_an_outage() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut wait = Wait::new(10, Duration::from_secs(60), began);
        assert_eq!(wait.saw(state(7, 7), at(50)), Next::Poll);
        assert_eq!(wait.saw(None, at(100)), Next::Poll);
        assert_eq!(wait.saw(state(7, 7), at(109)), Next::Poll);
        assert_eq!(wait.saw(state(7, 7), at(110)), Next::Done);
        assert_eq!(wait.reached_at, None);
    }
}
