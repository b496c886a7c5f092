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
    readiness: Option<Readiness>,
}

impl Shutdown {
    /// Stops on SIGTERM or SIGINT.
    pub fn on_signals(readiness: &Readiness) -> std::io::Result<Self> {
        let shutdown = Self { readiness: Some(readiness.clone()), ..Self::default() };
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        readiness.ready(ACCEPTING);
        let asked = shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = asked.wait() => {}
            }
            asked.begin();
            tracing::info!("stopping: finishing what is in flight");
        });
        Ok(shutdown)
    }

    pub fn begin(&self) {
        if let Some(readiness) = &self.readiness {
            readiness.not_ready(ACCEPTING, "stopping");
        }
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
