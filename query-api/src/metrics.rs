//! The query API's metrics: a closed list; no caller's text becomes a label.

use std::sync::Arc;

use prometheus::{Histogram, IntCounter};
use service_kit::metrics::{Metric, Metrics, SECONDS};
use service_kit::requests::{self, RequestMetrics};
use tokio::sync::Semaphore;

/// All of them, beside those of every service.
pub const LIST: &[Metric] = &[
    Metric::histogram(
        "sealtrail_query_api_request_seconds",
        "seconds",
        SECONDS,
        "From a request's headers to its answer, by route and class of status.",
    )
    .labels(requests::LABELS),
    Metric::gauge("sealtrail_query_api_requests_in_flight", "requests", "Requests that are being answered."),
    Metric::histogram(
        "sealtrail_query_api_query_seconds",
        "seconds",
        SECONDS,
        "From a query's start to its whole answer, without the wait for a slot.",
    ),
    Metric::gauge("sealtrail_query_api_slots_in_use", "queries", "Queries that run on ClickHouse."),
    Metric::gauge("sealtrail_query_api_slots", "queries", "Queries that may run on ClickHouse at once."),
    Metric::counter(
        "sealtrail_query_api_no_slot_total",
        "queries",
        "Queries that were refused because no slot became free in time.",
    ),
    Metric::counter(
        "sealtrail_query_api_failed_queries_total",
        "queries",
        "Queries that ClickHouse did not answer, or answered with an error.",
    ),
    Metric::counter(
        "sealtrail_query_api_cancelled_queries_total",
        "queries",
        "Queries that were given up while they ran: the caller went away, or the time limit of a request ended them.",
    ),
    Metric::counter("sealtrail_query_api_rows_total", "rows", "Rows that ClickHouse answered with."),
    Metric::counter(
        "sealtrail_query_api_answer_bytes_total",
        "bytes",
        "Bytes of answers' bodies, before any encoding of the transfer.",
    ),
];

#[derive(Clone)]
pub struct QueryMetrics {
    pub requests: RequestMetrics,
    pub answer_bytes: IntCounter,
    pub store: StoreMetrics,
}

/// What the way to ClickHouse counts.
#[derive(Clone)]
pub struct StoreMetrics {
    pub query_seconds: Histogram,
    pub no_slot: IntCounter,
    pub failed: IntCounter,
    pub cancelled: IntCounter,
    pub rows: IntCounter,
}

impl QueryMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            requests: RequestMetrics::new(
                metrics,
                "sealtrail_query_api_request_seconds",
                "sealtrail_query_api_requests_in_flight",
            ),
            answer_bytes: metrics.counter("sealtrail_query_api_answer_bytes_total"),
            store: StoreMetrics {
                query_seconds: metrics.histogram("sealtrail_query_api_query_seconds"),
                no_slot: metrics.counter("sealtrail_query_api_no_slot_total"),
                failed: metrics.counter("sealtrail_query_api_failed_queries_total"),
                cancelled: metrics.counter("sealtrail_query_api_cancelled_queries_total"),
                rows: metrics.counter("sealtrail_query_api_rows_total"),
            },
        }
    }
}

/// Shows how many of the slots are taken. To be called before the first query.
pub fn watch_slots(metrics: &Metrics, slots: Arc<Semaphore>) {
    let all = slots.available_permits();
    metrics.bound("sealtrail_query_api_slots", all as f64);
    metrics.sampled("sealtrail_query_api_slots_in_use", move || (all - slots.available_permits()) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_in_use_are_read_when_asked_for() {
        let (metrics, slots) = (Metrics::of("test", "1.0.0", LIST), Arc::new(Semaphore::new(4)));
        watch_slots(&metrics, slots.clone());
        let _held = slots.try_acquire().expect("free");
        let text = metrics.render();
        assert!(text.contains("sealtrail_query_api_slots_in_use 1\n"), "{text}");
        assert!(text.contains("sealtrail_query_api_slots 4\n"), "{text}");
    }
}
