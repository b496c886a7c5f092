//! What can go wrong on the way, and when.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a proxy does to the connections that pass through it. A *request* is what the client sends, an *answer* what the
/// target sends. Bytes of a request count from the trigger's last byte, or from where the fault met the connection.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// Both ways work, each so much later.
    Delay { request: Duration, answer: Duration },
    /// Both ways carry at most so many bytes a second.
    Throttle { bytes_per_s: u64 },
    /// After so many bytes nothing moves in either direction, though the connection stays open; at 0 it is half-open. What
    /// was held back goes on when the fault is gone, if its sender still waits.
    Stall { after_bytes: u64 },
    /// After so many bytes of the request both sides are reset.
    Cut { after_bytes: u64 },
    /// The request goes through, and its answer does not come back.
    LoseAnswer(Loss),
    /// The request goes through; the client reads these bytes in place of the answer, then the end of the connection.
    ReplaceAnswer(Vec<u8>),
    /// The request, an HTTP one with a chunked body, is read and thrown away; the client reads these bytes, then the end.
    AnswerInstead(Vec<u8>),
    /// Nobody listens, and what was open is reset.
    Refuse,
}

/// How an answer gets lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The client waits until it gives up.
    Silence,
    /// The client is reset when the answer comes.
    Reset,
}

/// The bytes in a request that bring a fault on.
#[derive(Debug, Clone)]
pub struct Trigger {
    needles: Vec<Arc<[u8]>>,
    times: u64,
}

impl Trigger {
    /// As often as they come.
    pub fn on(needle: &[u8]) -> Self {
        Self { needles: Vec::new(), times: u64::MAX }.then(needle)
    }

    /// And after them these: `on(b"INSERT").then(b"\r\n\r\n")` is where the body of an HTTP request begins.
    #[must_use]
    pub fn then(mut self, needle: &[u8]) -> Self {
        assert!(!needle.is_empty(), "a trigger needs bytes to look for");
        self.needles.push(needle.into());
        self
    }

    /// So many times at most, each on another connection.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { times, ..self }
    }
}

/// A fault and its trigger, as the connections read it.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Counts the plans, so that a connection sees that another one holds.
    pub epoch: u64,
    pub fault: Arc<Fault>,
    /// To be sent one after the other; without any the fault holds always.
    pub needles: Arc<[Arc<[u8]>]>,
    left: Arc<AtomicU64>,
}

impl Plan {
    pub fn pass() -> Self {
        Self::always(Fault::Pass)
    }

    pub fn always(fault: Fault) -> Self {
        Self {
            epoch: 0,
            fault: Arc::new(fault),
            needles: Arc::new([]),
            left: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    pub fn on(trigger: Trigger, fault: Fault) -> Self {
        let left = Arc::new(AtomicU64::new(trigger.times));
        Self { epoch: 0, fault: Arc::new(fault), needles: trigger.needles.into(), left }
    }

    pub fn refuses(&self) -> bool {
        self.needles.is_empty() && matches!(*self.fault, Fault::Refuse)
    }

    /// Whether a new connection is taken and left without a peer.
    pub fn holds_new_connections(&self) -> bool {
        self.needles.is_empty() && matches!(*self.fault, Fault::Stall { after_bytes: 0 })
    }

    /// Takes one of the trigger's times, if one is left.
    pub fn take(&self) -> bool {
        self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }
}
