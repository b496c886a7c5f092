//! The gateway's metrics: a closed list; no tenant's text becomes a label.

use prometheus::{Histogram, IntCounterVec};
use service_kit::metrics::Metrics;

use crate::answer::{ItemResult, Status};

#[derive(Clone)]
pub struct GatewayMetrics {
    pub events: IntCounterVec,
    pub publish_seconds: Histogram,
}

impl GatewayMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            events: metrics.counters(
                "sealtrail_gateway_events_total",
                "Events by how they ended.",
                &["status"],
            ),
            publish_seconds: metrics.seconds(
                "sealtrail_gateway_publish_seconds",
                "From a request's events to the broker's answers for all of them, in seconds.",
            ),
        }
    }

    pub fn count(&self, result: &ItemResult) {
        let status = match result.status {
            Status::Accepted => "accepted",
            Status::DroppedByPolicy => "dropped_by_policy",
            Status::Rejected => "rejected",
            Status::Unconfirmed => "unconfirmed",
        };
        self.events.with_label_values(&[status]).inc();
    }
}
