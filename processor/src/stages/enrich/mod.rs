//! Stage enrich: columns beside the sealed bytes. It never rejects, and nothing that goes wrong here reaches what is
//! sealed: a look-up that fails or panics leaves its columns empty, and so does one for which no time is left. Such rows
//! carry the flag `enrichment_incomplete`.

pub mod flags;
pub mod geo;
mod memo;
mod metrics;
mod user_agent;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ::schemas::columns::{GeoColumns, UserAgentColumns};
use audit_event::control::ControlState;
use audit_event::{AuditEvent, RecordTime};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use user_agents::UserAgent;

use crate::config::EnrichConfig;
use geo::{Geo, GeoIp};
use memo::{Budget, Memo};
pub use metrics::{EnrichMetrics, GEOIP_FILES, PARTS, RESULTS};

#[cfg(not(panic = "unwind"))]
compile_error!("a panic in a look-up must not end the process: build with panic = \"unwind\"");

/// More of a text is not looked at.
const MAX_TEXT_BYTES: usize = user_agents::MAX_USER_AGENT_BYTES;

/// Finds something out about a text of a record. Called once for each text of a batch that is new in it.
pub trait Lookup<T>: Send + Sync {
    fn look_up(&self, text: &str) -> Looked<T>;
}

/// What a look-up gave. With a fault there may still be a part of the value.
#[derive(Debug, Clone, PartialEq)]
pub struct Looked<T> {
    pub value: Option<T>,
    pub fault: Option<LookupFault>,
}

/// Why a look-up found less than there may be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LookupFault {
    #[error("{0} is set and not loaded; the log says why")]
    NotLoaded(&'static str),
    #[error("a record of {file} cannot be read: {cause}")]
    Unreadable { file: &'static str, cause: String },
    #[error("a look-up panicked: {0}")]
    Panic(String),
    #[error("the look-ups of the batch took longer than enrich.budget_ms")]
    OverBudget,
}

impl<T> From<Option<T>> for Looked<T> {
    fn from(value: Option<T>) -> Self {
        Self { value, fault: None }
    }
}

/// The control plane as it is now: which event types a tenant has declared.
pub type Control = Arc<dyn Fn() -> Arc<ControlState> + Send + Sync>;

/// All look-ups, for all partitions.
pub struct Enricher {
    control: Control,
    user_agents: Option<Arc<dyn Lookup<UserAgent>>>,
    geo: Option<Arc<dyn Lookup<Geo>>>,
    budget: Duration,
    metrics: EnrichMetrics,
}

impl Enricher {
    /// Prepares what is configured, and follows the files until `stop`. What cannot be prepared is said in the log and
    /// left out: records come first.
    pub async fn start(config: &EnrichConfig, metrics: EnrichMetrics, stop: CancellationToken) -> Self {
        let geo = GeoIp::start(config, metrics.clone(), stop).await;
        let user_agents = if config.user_agents { user_agent::prepare().await } else { None };
        Self::new(user_agents, geo.map(|geo| geo as Arc<dyn Lookup<Geo>>), config.budget(), metrics)
    }

    pub fn new(
        user_agents: Option<Arc<dyn Lookup<UserAgent>>>,
        geo: Option<Arc<dyn Lookup<Geo>>>,
        budget: Duration,
        metrics: EnrichMetrics,
    ) -> Self {
        Self { control: Arc::new(Arc::default), user_agents, geo, budget, metrics }
    }

    /// With the tenants' own event types beside the catalogue's.
    pub fn knowing(self, control: Control) -> Self {
        Self { control, ..self }
    }

    /// Begins a batch: its budget of time, and its memory of texts, which ends with it.
    pub fn batch(&self) -> BatchEnricher<'_> {
        BatchEnricher {
            control: (self.control)(),
            user_agents: Memo::new(self.user_agents.as_deref()),
            geo: Memo::new(self.geo.as_deref()),
            budget: Budget::new(self.budget),
            metrics: &self.metrics,
        }
    }
}

/// What is found out about one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrichment {
    pub flags: Vec<&'static str>,
    geo: Option<Arc<Geo>>,
    user_agent: Option<Arc<UserAgent>>,
}

/// The records of one batch. It belongs to one thread and shares nothing that changes.
pub struct BatchEnricher<'b> {
    control: Arc<ControlState>,
    user_agents: Memo<'b, UserAgent>,
    geo: Memo<'b, Geo>,
    budget: Budget,
    metrics: &'b EnrichMetrics,
}

impl<'b> BatchEnricher<'b> {
    pub fn enrich(&mut self, event: &'b AuditEvent, received_at: RecordTime) -> Enrichment {
        let source = &event.source;
        let geo = self.geo.get(source.ip.as_deref(), &mut self.budget);
        let user_agent = self.user_agents.get(source.user_agent.as_deref(), &mut self.budget);
        let flags = catch_unwind(AssertUnwindSafe(|| flags::flags(event, received_at, &self.control)));
        let is_incomplete = geo.is_incomplete() || user_agent.is_incomplete() || flags.is_err();
        let mut flags = flags.unwrap_or_default();
        if is_incomplete {
            flags.push(flags::ENRICHMENT_INCOMPLETE);
        }
        Enrichment { flags, geo: geo.into_value(), user_agent: user_agent.into_value() }
    }

    /// Counts the batch, and says what went wrong first.
    pub fn finish(self) {
        self.metrics.count(metrics::USER_AGENT, self.user_agents.counts());
        self.metrics.count(metrics::GEO, self.geo.counts());
        self.metrics.seconds.observe(self.budget.spent().as_secs_f64());
        if let Some(fault) = self.geo.first_fault().or(self.user_agents.first_fault()) {
            self.metrics.say(fault);
        }
    }
}

impl Enrichment {
    pub fn geo(&self) -> GeoColumns<'_> {
        self.geo.as_deref().map(Geo::columns).unwrap_or_default()
    }

    pub fn user_agent(&self) -> UserAgentColumns<'_> {
        self.user_agent.as_deref().map(user_agent::columns).unwrap_or_default()
    }
}

#[cfg(test)]
pub mod tests;
