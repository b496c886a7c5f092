//! A TCP proxy that breaks what passes through it, steered from the same process.
//!
//! ```text
//! let proxy = Proxy::start(listen, target).await?;   // passes everything; port 0 takes a free one, see `address`
//! proxy.set(Fault::LoseAnswer(Loss::Silence));       // every connection, from now on
//! proxy.set(Fault::Pass);                            // heals; what was broken off stays so
//! proxy.cut();                                       // resets all open connections, now
//! proxy.arm(Trigger::on(b"INSERT").times(2), Fault::Cut { after_bytes: 4_096 });
//! assert!(proxy.struck() > 0);                       // how often a fault was met since the last `set` or `arm`
//! ```
//!
//! Without a trigger a fault holds for every connection, open or new. With one it strikes a connection when its client
//! sends the trigger's bytes, at most so many `times`; all else passes. An answer that a trigger took is lost also when
//! another fault was set before it came.
//!
//! It knows nothing of what it carries. Before a Kafka broker stands one proxy each: the broker listens on an inner port,
//! and `advertised.listeners` names the proxy's, or clients would go around it after their first metadata. Let the
//! brokers' own traffic use another listener, unless it shall break too.
//!
//! Limits: on loopback a connection is always taken at once, so a host that swallows even the first packet is tried as a
//! held connection ([`Fault::Stall`]).

mod connection;
mod fault;
mod flow;
mod listener;
mod strike;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use fault::{Fault, Loss, Trigger};

use fault::Plan;
use listener::Listener;

/// A running proxy; it ends, and resets what is open, when this is dropped.
pub struct Proxy {
    address: SocketAddr,
    plan: watch::Sender<Plan>,
    cuts: watch::Sender<u64>,
    counts: Arc<Counts>,
    _stopped_when_dropped: DropGuard,
}

/// What the proxy has seen.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    struck: AtomicU64,
}

impl Proxy {
    /// Listens on `listen`, which should be on loopback, and connects to `target` for each connection.
    pub async fn start(listen: SocketAddr, target: SocketAddr) -> Result<Self> {
        let stop = CancellationToken::new();
        let (plan, plans) = watch::channel(Plan::pass());
        let (cuts, cut) = watch::channel(0);
        let counts = Arc::new(Counts::default());
        let listener = Listener::bind(listen, target).with_context(|| format!("listen on {listen}"))?;
        let address = listener.address();
        tokio::spawn(listener.run(plans, cut, Arc::clone(&counts), stop.clone()));
        Ok(Self { address, plan, cuts, counts, _stopped_when_dropped: stop.drop_guard() })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for every connection. Connections that an earlier fault spoiled (a lost answer cannot be given later)
    /// stay as they are until a side closes them, or [`Self::cut`] does.
    pub fn set(&self, fault: Fault) {
        self.plan(Plan::always(fault));
    }

    /// From now on, for connections whose client sends the trigger's bytes.
    pub fn arm(&self, trigger: Trigger, fault: Fault) {
        self.plan(Plan::on(trigger, fault));
    }

    fn plan(&self, mut plan: Plan) {
        self.counts.struck.store(0, Ordering::Release);
        let refuses = plan.refuses();
        self.plan.send_modify(|now| {
            plan.epoch = now.epoch + 1;
            *now = plan;
        });
        if refuses {
            // a server that is not there has no connections
            self.cut();
        }
    }

    /// Resets all open connections, to both sides.
    pub fn cut(&self) {
        self.cuts.send_modify(|generation| *generation += 1);
    }

    /// How many connections were opened, all in all.
    pub fn connections(&self) -> u64 {
        self.counts.connections.load(Ordering::Acquire)
    }

    /// How often the fault was met since the last `set` or `arm`, each connection once; of [`Fault::Pass`] nothing is
    /// counted, nor of [`Fault::Refuse`], which the system answers.
    pub fn struck(&self) -> u64 {
        self.counts.struck.load(Ordering::Acquire)
    }
}
