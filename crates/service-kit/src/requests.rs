//! Around every request: how long it took, how it ended, how many are being answered, and a line in the log.

use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::{HistogramVec, IntGauge};

use crate::metrics::{Label, Metrics};

/// The route of a request that none matches.
const UNMATCHED: &str = "unmatched";
/// The status of a request whose answer nobody got: the client went away, or the time limit of a request ended it.
const ABORTED: &str = "aborted";

/// The labels of the histogram of requests.
pub const LABELS: &[Label] = &[
    Label::from("route", "the paths in /openapi.json, `/openapi.json`, and `unmatched`"),
    Label::from(
        "status",
        "`2xx`, `3xx`, `4xx`, `5xx`, and `aborted` where the client or the time limit ended the request",
    ),
];

#[derive(Clone)]
pub struct RequestMetrics {
    seconds: HistogramVec,
    in_flight: IntGauge,
}

impl RequestMetrics {
    /// By the names that the service's list has for them.
    pub fn new(metrics: &Metrics, seconds: &str, in_flight: &str) -> Self {
        Self { seconds: metrics.histograms(seconds), in_flight: metrics.gauge(in_flight) }
    }
}

/// A request that is being answered. It counts as aborted unless it ends otherwise.
struct Running {
    metrics: RequestMetrics,
    begun: Instant,
    method: Method,
    route: Option<MatchedPath>,
    status: Option<StatusCode>,
}

/// A layer for [`axum::middleware::from_fn_with_state`].
pub async fn observe(State(metrics): State<RequestMetrics>, request: Request, next: Next) -> Response {
    metrics.in_flight.inc();
    // the template, since a path holds ids
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut running =
        Running { metrics, begun: Instant::now(), method: request.method().clone(), route, status: None };
    let response = next.run(request).await;
    running.status = Some(response.status());
    response
}

impl Running {
    /// A service that does its work is silent at `info`; a caller's fault and our own are not.
    fn log(&self, route: &str, elapsed: Duration) {
        let method = &self.method;
        let duration_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        match self.status.map(|status| status.as_u16()) {
            None => tracing::info!(%method, route, duration_ms, "request aborted"),
            Some(status @ 500..) => tracing::warn!(%method, route, status, duration_ms, "request failed"),
            Some(status @ 400..) => tracing::info!(%method, route, status, duration_ms, "request refused"),
            Some(status) => tracing::debug!(%method, route, status, duration_ms, "request answered"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        let elapsed = self.begun.elapsed();
        let status = self.status.map_or(ABORTED, status_class);
        self.metrics.seconds.with_label_values(&[route, status]).observe(elapsed.as_secs_f64());
        self.metrics.in_flight.dec();
        self.log(route, elapsed);
    }
}

fn status_class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        ..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        500.. => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;
    use crate::metrics::{Metric, SECONDS};

    const LIST: &[Metric] = &[
        Metric::histogram("test_request_seconds", "seconds", SECONDS, "Requests.").labels(LABELS),
        Metric::gauge("test_requests_in_flight", "requests", "Requests."),
    ];

    fn router(metrics: &Metrics) -> Router {
        let requests = RequestMetrics::new(metrics, "test_request_seconds", "test_requests_in_flight");
        Router::new()
            .route("/thing/{id}", get(|| async { "thing" }))
            .route("/slow", get(std::future::pending::<&'static str>))
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(from_fn_with_state(requests, observe))
    }

    fn get_request(path: &str) -> Request {
        Request::get(path).body(Body::empty()).expect("a request")
    }

    #[tokio::test]
    async fn a_request_counts_under_its_route_and_an_abandoned_one_as_aborted() {
        let metrics = Metrics::of("test", "1.0.0", LIST);
        let router = router(&metrics);
        for path in ["/thing/7", "/nowhere"] {
            router.clone().oneshot(get_request(path)).await.expect("infallible");
        }
        let slow = tokio::spawn(router.oneshot(get_request("/slow")));
        while !metrics.render().contains("test_requests_in_flight 1") {
            tokio::task::yield_now().await;
        }
        slow.abort();
        assert!(slow.await.is_err());
        let text = metrics.render();
        for series in [
            "test_request_seconds_count{route=\"/thing/{id}\",status=\"2xx\"} 1",
            "test_request_seconds_count{route=\"unmatched\",status=\"4xx\"} 1",
            "test_request_seconds_count{route=\"/slow\",status=\"aborted\"} 1",
            "test_requests_in_flight 0",
        ] {
            assert!(text.contains(series), "{series} in {text}");
        }
    }
}
