//! Whether what the processor needs answers: `/readyz` says so while the processor runs, not only at its start.

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use service_kit::Readiness;
use tokio::time::Instant;

/// Parts of the readiness.
pub const CLICKHOUSE: &str = "clickhouse";
pub const INSERTS: &str = "inserts";
pub const KAFKA: &str = "kafka";
pub const REGISTRY: &str = "registry";

/// Calls that fail for longer turn the part not ready; what is shorter is a restart or a moved leader.
pub const READINESS_AFTER: Duration = Duration::from_secs(5);

/// What every worker tells of the calls that it makes.
#[derive(Clone)]
pub struct Health {
    pub clickhouse: Answering,
    /// Apart from other calls: a server may answer every question and take no rows.
    pub inserts: Answering,
    pub kafka: Answering,
    pub registry: Answering,
}

impl Health {
    /// All is taken to be well until a call fails.
    pub fn shown_by(readiness: &Readiness) -> Self {
        let part = |part| Answering::new(part, readiness);
        Self {
            clickhouse: part(CLICKHOUSE),
            inserts: part(INSERTS),
            kafka: part(KAFKA),
            registry: part(REGISTRY),
        }
    }
}

/// Somebody who is called, and whether they answer.
#[derive(Clone)]
pub struct Answering {
    part: &'static str,
    readiness: Readiness,
    failing_since: Arc<Mutex<Option<Instant>>>,
}

impl Answering {
    fn new(part: &'static str, readiness: &Readiness) -> Self {
        readiness.ready(part);
        Self { part, readiness: readiness.clone(), failing_since: Arc::default() }
    }

    /// The first success ends it.
    pub fn succeeded(&self) {
        let mut failing_since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        if failing_since.take().is_some() {
            self.readiness.ready(self.part);
        }
    }

    /// `began` is when the call was made: one that hangs for a minute has failed for a minute.
    pub fn failed(&self, began: Instant, error: impl Display) {
        let mut failing_since = self.failing_since.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *failing_since.get_or_insert(began);
        if since.elapsed() >= READINESS_AFTER {
            self.readiness.not_ready(self.part, error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use service_kit::health::PartState;

    use super::*;

    fn state(readiness: &Readiness, part: &str) -> PartState {
        readiness.parts()[part].clone()
    }

    /// F14, F26.
    #[tokio::test(start_paused = true)]
    async fn calls_that_keep_failing_turn_the_part_not_ready_and_one_success_turns_it_back() {
        let readiness = Readiness::of(&[CLICKHOUSE]);
        let health = Health::shown_by(&readiness);
        assert!(readiness.is_ready(), "all is well until a call fails");
        for _ in 0..4 {
            health.clickhouse.failed(Instant::now(), "refused");
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(readiness.is_ready(), "a restart is not worth a word");
        tokio::time::advance(Duration::from_secs(1)).await;
        health.clickhouse.failed(Instant::now(), "refused again");
        let PartState::NotReady { reason } = state(&readiness, CLICKHOUSE) else { panic!("still ready") };
        assert_eq!(reason, "refused again");
        assert_eq!(state(&readiness, KAFKA), PartState::Ready, "the others are not to blame");
        health.clickhouse.succeeded();
        assert!(readiness.is_ready());
        health.clickhouse.failed(Instant::now(), "refused");
        assert!(readiness.is_ready(), "the time begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_that_hangs_is_enough() {
        let readiness = Readiness::of(&[]);
        let health = Health::shown_by(&readiness);
        let began = Instant::now();
        tokio::time::advance(Duration::from_secs(30)).await;
        health.registry.failed(began, "no answer within 30 s");
        assert_ne!(state(&readiness, REGISTRY), PartState::Ready);
    }
}
