//! Keeps the issuer's keys fresh in the background. The last good set stays whatever happens to the issuer.

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::jwks::{KeySet, KeySetError};
use crate::source::{Source, SourceError};
use crate::token::Tokens;

/// Between two readings that unknown keys ask for: whoever invents key ids gets no more of them.
pub(crate) const NUDGE_GAP: Duration = Duration::from_secs(5);
/// The first and the longest wait after a reading that failed.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Error)]
enum RefreshError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// Reads the keys until the stop.
pub(crate) struct Refresher {
    pub tokens: Arc<Tokens>,
    pub source: Source,
    pub every: Duration,
    pub nudge_gap: Duration,
}

impl Refresher {
    pub async fn run(self, stop: CancellationToken) {
        let mut retry = RETRY_MIN;
        loop {
            let began = Instant::now();
            let read = tokio::select! {
                () = stop.cancelled() => return,
                read = self.refresh() => read,
            };
            let wait = match read {
                Ok(()) => {
                    retry = RETRY_MIN;
                    self.every
                }
                Err(error) => {
                    let keeps = if self.tokens.has_keys() { "the last good keys stay" } else { "none yet" };
                    tracing::warn!(%error, keeps, "the keys of tokens.jwks_url were not read; trying again");
                    let wait = retry.min(self.every);
                    retry = (retry * 2).min(RETRY_MAX);
                    wait
                }
            };
            let nudged = async {
                self.tokens.nudge.notified().await;
                sleep_until(began + self.nudge_gap).await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
                () = nudged => {}
            }
        }
    }

    async fn refresh(&self) -> Result<(), RefreshError> {
        let body = self.source.read().await?;
        let keys = KeySet::read(&body, self.tokens.rules.algorithms.as_slice())?;
        if !self.tokens.has_keys() {
            tracing::info!(keys = keys.len(), "the keys of tokens.jwks_url are read: tokens are taken");
        }
        self.tokens.replace_keys(keys);
        Ok(())
    }
}

#[cfg(test)]
#[path = "refresher_tests.rs"]
mod tests;
