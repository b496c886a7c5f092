//! How much may come in: events and bytes, by key, by tenant and in all. Token buckets (GCRA); each gateway counts for
//! itself.

use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use audit_event::TenantId;
use audit_event::credential::Caller;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use service_kit::Problem;

use crate::config::Limits;

/// Source: draft-ietf-httpapi-ratelimit-headers.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// After so many requests those that have all of their burst again are forgotten: a token's subject may never come back.
const REQUESTS_PER_TIDYING: u32 = 65_536;

/// All limits of a gateway.
pub struct Rates {
    key_events: Bucket<String>,
    tenant_events: Bucket<TenantId>,
    tenant_bytes: Bucket<TenantId>,
    all_events: Bucket<()>,
    all_bytes: Bucket<()>,
    policy: HeaderValue,
}

/// What a request was counted as.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub events: usize,
    pub bytes: usize,
}

/// What the caller may send at once now, by the limit that leaves least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    limit: &'static str,
    remaining: u32,
    reset_s: u32,
}

impl Left {
    fn or_less(self, other: Self) -> Self {
        if other.remaining < self.remaining { other } else { self }
    }
}

impl Rates {
    pub fn new(limits: &Limits) -> Self {
        let key_events = Bucket::new("key-events", limits.key_events_per_s, limits.key_burst_events);
        let tenant_events =
            Bucket::new("tenant-events", limits.tenant_events_per_s, limits.tenant_burst_events);
        let tenant_bytes = Bucket::new("tenant-bytes", limits.tenant_bytes_per_s, limits.tenant_bytes_per_s);
        let all_events = Bucket::new("all-events", limits.all_events_per_s, limits.all_events_per_s);
        let all_bytes = Bucket::new("all-bytes", limits.all_bytes_per_s, limits.all_bytes_per_s);
        // what others send is nobody's business, so the limits of all stay unnamed
        let policies = [key_events.policy(), tenant_events.policy(), tenant_bytes.policy()].join(", ");
        let policy = HeaderValue::from_str(&policies).expect("names and numbers");
        Self { key_events, tenant_events, tenant_bytes, all_events, all_bytes, policy }
    }

    /// Takes a request off every limit. A caller's own limits come first: one that is over them takes nothing from others.
    pub fn take(&self, caller: &Caller, load: Load) -> Result<Left, Problem> {
        // one after the other: what the first refuses must not be taken off the next
        let own = |left: Result<Left, Duration>| {
            left.map_err(|wait| self.refused("the caller sends more than its rate", wait))
        };
        let all = |left: Result<Left, Duration>| {
            left.map_err(|wait| self.refused("the gateway takes no more from anybody just now", wait))
        };
        let left = own(self.key_events.take(&caller.key_id, load.events))?;
        let left = left.or_less(own(self.tenant_events.take(&caller.tenant_id, load.events))?);
        let left = left.or_less(own(self.tenant_bytes.take(&caller.tenant_id, load.bytes))?);
        all(self.all_events.take(&(), load.events))?;
        all(self.all_bytes.take(&(), load.bytes))?;
        Ok(left)
    }

    /// Says what is left, for callers that pace themselves.
    pub fn show(&self, left: Left, headers: &mut HeaderMap) {
        let Left { limit, remaining, reset_s } = left;
        let text = format!("\"{limit}\";r={remaining};t={reset_s}");
        headers.insert(RATE_LIMIT, HeaderValue::from_str(&text).expect("a name and numbers"));
        headers.insert(RATE_LIMIT_POLICY, self.policy.clone());
    }

    fn refused(&self, detail: &str, wait: Duration) -> Problem {
        let wait_s = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", "More is sent than is taken")
            .detail(format!("{detail}; send again later"))
            .retry_after_s(wait_s)
    }
}

/// One limit, for each of those that it counts.
struct Bucket<K: Hash + Eq + Clone> {
    name: &'static str,
    per_s: NonZeroU32,
    burst: NonZeroU32,
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock, StateInformationMiddleware>,
    requests: AtomicU32,
}

impl<K: Hash + Eq + Clone> Bucket<K> {
    fn new(name: &'static str, per_s: u32, burst: u32) -> Self {
        let positive = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
        let (per_s, burst) = (positive(per_s), positive(burst));
        let limiter = RateLimiter::keyed(Quota::per_second(per_s).allow_burst(burst));
        Self { name, per_s, burst, limiter: limiter.with_middleware(), requests: AtomicU32::new(1) }
    }

    fn policy(&self) -> String {
        let window_s = self.burst.get().div_ceil(self.per_s.get());
        format!("\"{}\";q={};w={window_s}", self.name, self.burst)
    }

    /// What is left, or how long to wait. A request that is larger than the burst counts as the burst.
    fn take(&self, of: &K, count: usize) -> Result<Left, Duration> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let Some(count) = NonZeroU32::new(count) else {
            return Ok(Left { limit: self.name, remaining: self.burst.get(), reset_s: 0 });
        };
        if self.requests.fetch_add(1, Ordering::Relaxed).is_multiple_of(REQUESTS_PER_TIDYING) {
            self.limiter.retain_recent();
        }
        match self.limiter.check_key_n(of, count.min(self.burst)) {
            Ok(Ok(state)) => {
                let remaining = state.remaining_burst_capacity();
                let used = self.burst.get().saturating_sub(remaining);
                Ok(Left { limit: self.name, remaining, reset_s: used.div_ceil(self.per_s.get()) })
            }
            Ok(Err(not_until)) => Err(not_until.wait_time_from(DefaultClock::default().now())),
            Err(_) => Err(Duration::from_secs(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use audit_event::control::Role;

    use super::*;

    const LIMITS: fn() -> Limits = || Limits {
        key_events_per_s: 10,
        key_burst_events: 20,
        tenant_events_per_s: 10,
        tenant_burst_events: 30,
        ..Limits::default()
    };

    fn caller(tenant: &str, key: &str) -> Caller {
        Caller::new(tenant.parse().expect("a tenant"), Role::Producer, key.to_owned())
    }

    fn events(events: usize) -> Load {
        Load { events, bytes: 100 }
    }

    #[test]
    fn a_key_then_its_tenant_runs_dry_and_others_do_not() {
        let rates = Rates::new(&LIMITS());
        let (one, two) = (caller("demo", "k1"), caller("demo", "k2"));
        let left = rates.take(&one, events(15)).expect("within the key's burst");
        assert_eq!((left.limit, left.remaining), ("key-events", 5));
        let refused = rates.take(&one, events(15)).expect_err("over the key's");
        assert_eq!((refused.status, refused.retry_after_s), (429, Some(1)), "ten more come in a second");
        assert_eq!(rates.take(&two, events(15)).expect("the tenant has 15 left").remaining, 0);
        assert!(rates.take(&two, events(5)).is_err(), "the tenant's are used up");
        rates.take(&caller("other", "k3"), events(20)).expect("another tenant");
    }

    #[test]
    fn more_than_a_burst_counts_as_the_burst() {
        let rates = Rates::new(&LIMITS());
        assert!(rates.take(&caller("demo", "k1"), events(10_000)).is_ok());
        assert!(rates.take(&caller("demo", "k1"), events(1)).is_err());
    }

    #[test]
    fn bytes_count_too_and_so_do_all_together() {
        let rates = Rates::new(&Limits { tenant_bytes_per_s: 1_000, ..Limits::default() });
        let load = |bytes| Load { events: 1, bytes };
        assert!(rates.take(&caller("demo", "k1"), load(900)).is_ok());
        assert!(rates.take(&caller("demo", "k1"), load(900)).is_err());
        let rates = Rates::new(&Limits { all_events_per_s: 10, ..Limits::default() });
        assert!(rates.take(&caller("demo", "k1"), events(10)).is_ok());
        assert!(rates.take(&caller("other", "k2"), events(10)).is_err());
    }

    #[test]
    fn callers_that_do_not_come_back_are_forgotten() {
        let bucket = Bucket::new("keys", 1_000_000_000, 1);
        for subject in 0..=REQUESTS_PER_TIDYING {
            bucket.take(&subject, 1).expect("the first of this subject");
        }
        assert!(bucket.limiter.len() < 1_000, "{}", bucket.limiter.len());
    }

    #[test]
    fn headers_say_what_is_left() {
        let rates = Rates::new(&LIMITS());
        let left = rates.take(&caller("demo", "k1"), events(15)).expect("taken");
        let mut headers = HeaderMap::new();
        rates.show(left, &mut headers);
        assert_eq!(headers[RATE_LIMIT], "\"key-events\";r=5;t=2");
        let policy = headers[RATE_LIMIT_POLICY].to_str().expect("text");
        assert!(policy.starts_with("\"key-events\";q=20;w=2, \"tenant-events\";q=30;w=3, "), "{policy}");
    }
}
