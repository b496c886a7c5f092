//! Turns: so many requests of one tenant are in work at once, and the next ones wait for theirs. A tenant that floods waits
//! behind itself, and others find the gateway as they are used to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use audit_event::TenantId;
use axum::http::StatusCode;
use service_kit::Problem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Limits;

pub struct Turns {
    per_tenant: usize,
    wait: Duration,
    /// Grows with the tenants that exist, and no further: a caller's tenant comes from its credential.
    tenants: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
}

/// A request's turn; given on when dropped.
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    pub fn new(limits: &Limits) -> Self {
        Self {
            per_tenant: limits.tenant_requests_in_work,
            wait: Duration::from_millis(limits.turn_timeout_ms),
            tenants: Mutex::default(),
        }
    }

    pub async fn take(&self, tenant: &TenantId) -> Result<Turn, Problem> {
        let turns = self.of(tenant);
        match tokio::time::timeout(self.wait, turns.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Turn { _permit: permit }),
            _ => Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "More is sent than is taken")
                .detail("too many requests of this tenant are in work; send again later, or more events in one request")
                .retry_after_s(1)),
        }
    }

    fn of(&self, tenant: &TenantId) -> Arc<Semaphore> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        match tenants.get(tenant) {
            Some(turns) => turns.clone(),
            None => {
                tenants.entry(tenant.clone()).or_insert(Arc::new(Semaphore::new(self.per_tenant))).clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tenant_waits_behind_itself_only() {
        let limits = Limits { tenant_requests_in_work: 2, turn_timeout_ms: 1_000, ..Limits::default() };
        let turns = Turns::new(&limits);
        let (busy, calm): (TenantId, TenantId) = ("busy".parse().expect("id"), "calm".parse().expect("id"));
        let (first, _second) = (turns.take(&busy).await, turns.take(&busy).await);
        assert!(first.is_ok());
        assert_eq!(turns.take(&busy).await.err().map(|problem| problem.status), Some(429));
        assert!(turns.take(&calm).await.is_ok());
        drop(first);
        assert!(turns.take(&busy).await.is_ok());
    }
}
