//! The gateway's metrics: a closed list; no tenant's text becomes a label.

use std::sync::Arc;

use audit_event::policy::DropReason;
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use kafka_io::producer::RecordProducer;
use prometheus::{Histogram, IntCounterVec};
use service_kit::metrics::{Label, Metric, Metrics, SECONDS};
use service_kit::requests::{self, RequestMetrics};

use crate::admit::Admission;
use crate::answer::{ItemResult, Status};
use crate::book::Book;

/// Statuses of refused requests, and the reason that each stands for.
const REFUSALS: &[(u16, &str)] = &[
    (401, "unauthorized"),
    (403, "forbidden"),
    (408, "body_timeout"),
    (413, "too_large"),
    (415, "unsupported_media"),
    (429, "rate_limited"),
    (503, "unavailable"),
];

const DROP_REASONS: [&str; DropReason::ALL.len()] = {
    let mut names = [""; DropReason::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = DropReason::ALL[at].as_str();
        at += 1;
    }
    names
};

/// All of them, beside those of every service.
pub const LIST: &[Metric] = &[
    Metric::counter("sealtrail_gateway_events_total", "events", "Events by how they ended.").labels(&[
        Label::of("status", &["accepted", "buffered", "dropped_by_policy", "rejected", "unconfirmed"]),
    ]),
    Metric::counter(
        "sealtrail_gateway_dropped_events_total",
        "events",
        "Events that the tenant's policy left out, by the part of it that did.",
    )
    .labels(&[Label::of("reason", &DROP_REASONS)]),
    Metric::histogram(
        "sealtrail_gateway_publish_seconds",
        "seconds",
        SECONDS,
        "From a request's events to the broker's answers for all of them.",
    ),
    Metric::histogram(
        "sealtrail_gateway_request_seconds",
        "seconds",
        SECONDS,
        "From a request's headers to its answer, by route and class of status.",
    )
    .labels(requests::LABELS),
    Metric::gauge("sealtrail_gateway_requests_in_flight", "requests", "Requests that are being answered."),
    Metric::counter(
        "sealtrail_gateway_refused_requests_total",
        "requests",
        "Requests answered with 401, 403, 408, 413, 415, 429 or 503: no key that may write, a body that is too slow, too \
         large or of another type, more than the tenant's rate, or Kafka or the gateway's own room are not there.",
    )
    .labels(&[Label::of(
        "reason",
        &[
            "unauthorized",
            "forbidden",
            "body_timeout",
            "too_large",
            "unsupported_media",
            "rate_limited",
            "unavailable",
        ],
    )]),
    Metric::gauge(
        "sealtrail_gateway_body_room_used_bytes",
        "bytes",
        "Room that is held by bodies in work, in whole KiB.",
    ),
    Metric::gauge(
        "sealtrail_gateway_body_room_bytes",
        "bytes",
        "Room for bodies in work; a body for which there is none is refused.",
    ),
    Metric::gauge(
        "sealtrail_gateway_buffered_events",
        "events",
        "Events that were answered as buffered and that Kafka does not have yet.",
    ),
    Metric::gauge(
        "sealtrail_gateway_lost_buffered_events",
        "events",
        "Events that were answered as buffered and may be lost, by crashes most of all, since delivery.book_file was begun.",
    ),
    Metric::gauge(
        "sealtrail_gateway_producer_queue_records",
        "records",
        "Records that wait for the broker's answer.",
    ),
    Metric::gauge(
        "sealtrail_gateway_producer_queue_max_records",
        "records",
        "Records that may wait for the broker's answer; one more is refused.",
    ),
];

#[derive(Clone)]
pub struct GatewayMetrics {
    pub events: IntCounterVec,
    dropped: IntCounterVec,
    pub publish_seconds: Histogram,
}

impl GatewayMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            events: metrics.counters("sealtrail_gateway_events_total"),
            dropped: metrics.counters("sealtrail_gateway_dropped_events_total"),
            publish_seconds: metrics.histogram("sealtrail_gateway_publish_seconds"),
        }
    }

    pub fn dropped(&self, reason: DropReason) {
        self.dropped.with_label_values(&[reason.as_str()]).inc();
    }

    pub fn count(&self, result: &ItemResult) {
        let status = match result.status {
            Status::Accepted => "accepted",
            Status::Buffered => "buffered",
            Status::DroppedByPolicy => "dropped_by_policy",
            Status::Rejected => "rejected",
            Status::Unconfirmed => "unconfirmed",
        };
        self.events.with_label_values(&[status]).inc();
    }
}

/// Counts and times what the router answers.
pub fn observed(router: Router, metrics: &Metrics) -> Router {
    let requests = RequestMetrics::new(
        metrics,
        "sealtrail_gateway_request_seconds",
        "sealtrail_gateway_requests_in_flight",
    );
    let refused = metrics.counters("sealtrail_gateway_refused_requests_total");
    router
        .layer(from_fn_with_state(refused, count_refusal))
        .layer(from_fn_with_state(requests, requests::observe))
}

async fn count_refusal(State(refused): State<IntCounterVec>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    let status = response.status().as_u16();
    if let Some((_, reason)) = REFUSALS.iter().find(|(refusal, _)| *refusal == status) {
        refused.with_label_values(&[reason]).inc();
    }
    response
}

/// Shows how full the queue to the broker is.
pub fn watch_queue(metrics: &Metrics, producer: &Arc<RecordProducer>, max_records: u32) {
    let producer = producer.clone();
    metrics.sampled("sealtrail_gateway_producer_queue_records", move || producer.queued_records() as f64);
    metrics.bound("sealtrail_gateway_producer_queue_max_records", f64::from(max_records));
}

/// Shows what asynchronous delivery owes, and what it has lost.
pub fn watch_book(metrics: &Metrics, book: Option<Arc<Book>>) {
    let lost = book.clone();
    let count = |book: &Option<Arc<Book>>, of: fn(&Book) -> u64| book.as_deref().map_or(0, of) as f64;
    metrics.sampled("sealtrail_gateway_buffered_events", move || count(&book, Book::in_flight));
    metrics.sampled("sealtrail_gateway_lost_buffered_events", move || count(&lost, Book::lost));
}

/// Shows how much of the room for bodies is taken. To be called before the first request.
pub fn watch_bodies(metrics: &Metrics, admission: &Admission) {
    let free_bytes = admission.free_room();
    let all_bytes = free_bytes();
    metrics.bound("sealtrail_gateway_body_room_bytes", all_bytes as f64);
    metrics.sampled("sealtrail_gateway_body_room_used_bytes", move || (all_bytes - free_bytes()) as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_a_label_of_the_list() {
        let metrics = Metrics::of("test", "1.0.0", LIST);
        metrics.counters("sealtrail_gateway_refused_requests_total");
        let text = metrics.render();
        for (_, reason) in REFUSALS {
            assert!(text.contains(&format!("{{reason=\"{reason}\"}} 0")), "{reason}: {text}");
        }
    }
}
