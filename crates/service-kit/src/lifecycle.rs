//! Start and stop. A stop flips readiness first, then parts finish what they hold, within a budget.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::health::Readiness;

/// The readiness part that a stop flips.
pub const ACCEPTING: &str = "accepting";

/// Asks all parts of a service to finish.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
}

impl Shutdown {
    /// Stops on SIGTERM or SIGINT.
    pub fn on_signals(readiness: &Readiness) -> std::io::Result<Self> {
        let shutdown = Self::default();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        readiness.ready(ACCEPTING);
        let (token, readiness) = (shutdown.token.clone(), readiness.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = token.cancelled() => {}
            }
            readiness.not_ready(ACCEPTING, "stopping");
            token.cancel();
            tracing::info!("stopping: finishing what is in flight");
        });
        Ok(shutdown)
    }

    pub fn begin(&self) {
        self.token.cancel();
    }

    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    pub fn has_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    pub async fn wait(&self) {
        self.token.cancelled().await;
    }
}
