//! Time and chance at the workers' rim: pauses between tries, and where heavy work runs.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kafka_io::group::Vitals;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Draws the jitter of all pauses, so that a seed repeats a run.
pub struct Jitter(Mutex<StdRng>);

impl Jitter {
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Between half of the pause and all of it.
    fn of(&self, pause_ms: u64) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).random_range(pause_ms / 2..=pause_ms)
    }
}

/// Growing pauses between tries: each is twice the one before, up to a most. A try is a sign of life.
pub struct Backoff<'a> {
    jitter: &'a Jitter,
    vitals: &'a Vitals,
    pause_ms: u64,
    max_ms: u64,
}

impl<'a> Backoff<'a> {
    pub fn new(jitter: &'a Jitter, vitals: &'a Vitals, min_ms: u64, max_ms: u64) -> Self {
        Self { jitter, vitals, pause_ms: min_ms, max_ms }
    }

    /// Something was done between two tries.
    pub fn sign(&self) {
        self.vitals.sign();
    }

    pub async fn pause(&mut self) {
        let jittered = self.jitter.of(self.pause_ms);
        self.pause_ms = (self.pause_ms * 2).min(self.max_ms);
        self.vitals.sign();
        tokio::time::sleep(Duration::from_millis(jittered)).await;
        self.vitals.sign();
    }
}

/// Work that takes long without waiting: beside the runtime's own, where the runtime has threads for it.
pub fn heavy<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::CurrentThread => work(),
        _ => tokio::task::block_in_place(work),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_their_most_and_never_in_step() {
        let (one, other) = (Jitter::seeded(1), Jitter::seeded(2));
        let mut waits = Vec::new();
        for jitter in [&one, &other] {
            let vitals = Vitals::default();
            let mut backoff = Backoff::new(jitter, &vitals, 100, 800);
            let mut of_one = Vec::new();
            for at_most in [100, 200, 400, 800, 800] {
                let began = tokio::time::Instant::now();
                backoff.pause().await;
                let waited = began.elapsed().as_millis();
                assert!((at_most / 2..=at_most + 1).contains(&waited), "{waited} of {at_most}");
                of_one.push(waited);
            }
            waits.push(of_one);
        }
        assert_ne!(waits[0], waits[1]);
    }
}
