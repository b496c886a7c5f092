//! Around every request: one line in the log, and the metrics. Labels are routes and status classes,
//! never a caller's text.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{Histogram, IntCounterVec};
use service_kit::metrics::Metrics;

use crate::auth::Tenant;

/// The route of a request that none matches.
const UNMATCHED: &str = "unmatched";

#[derive(Clone)]
pub struct QueryMetrics {
    pub requests: IntCounterVec,
    pub query_seconds: Histogram,
}

impl QueryMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            requests: metrics.counters(
                "sealtrail_query_api_requests_total",
                "Answered requests, by route and class of status.",
                &["route", "status"],
            ),
            query_seconds: metrics.seconds(
                "sealtrail_query_api_query_seconds",
                "From a query's start to its whole answer, in seconds, without the wait for a slot.",
            ),
        }
    }
}

pub async fn observe(State(metrics): State<QueryMetrics>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    // the template, since a path holds ids
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
    let response = next.run(request).await;
    let status = response.status();
    metrics.requests.with_label_values(&[route, status_class(status)]).inc();
    tracing::info!(
        %method,
        route,
        status = status.as_u16(),
        duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        tenant = response.extensions().get::<Tenant>().map_or("", |tenant| tenant.0.as_str()),
        "request"
    );
    response
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500..=599 => "5xx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_closed() {
        for (status, class) in [(200, "2xx"), (304, "3xx"), (404, "4xx"), (503, "5xx"), (999, "other")] {
            assert_eq!(status_class(StatusCode::from_u16(status).expect("a status")), class);
        }
    }
}
