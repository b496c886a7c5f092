//! What every request carries from its first byte to its answer and its log lines: a correlation id, taken from the
//! caller or made here, and the caller's place in a trace.

use std::net::SocketAddr;

use audit_event::{CorrelationId, TenantId, TraceContext};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use tracing::{Span, field};
use uuid::Uuid;

/// The header of the answer, and the first that is looked at in the request.
pub const CORRELATION_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
/// What many proxies call the same thing.
const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// In the extensions of every request that `http::serve` hands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    pub correlation_id: CorrelationId,
    pub trace: Option<TraceContext>,
}

impl RequestContext {
    /// Reads the headers. One that is not of its form counts as absent: a caller's odd header costs it no event.
    pub fn of(headers: &HeaderMap) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let given = [CORRELATION_HEADER, REQUEST_ID_HEADER];
        let given = given.iter().find_map(|name| text(name)?.parse().ok());
        // a second traceparent makes both doubtful (W3C Trace Context, section 3.2.1)
        let parent = text(&TRACEPARENT).filter(|_| headers.get_all(&TRACEPARENT).iter().count() == 1);
        Self {
            correlation_id: given.unwrap_or_else(make_id),
            trace: parent.and_then(|parent| TraceContext::read(parent, text(&TRACESTATE)).ok()),
        }
    }

    /// The span that stands on every log line of the request.
    pub fn span(&self, peer: SocketAddr) -> Span {
        let trace_id = self.trace.as_ref().map(|trace| trace.parent.trace_id());
        // of the highest level, so that no filter takes the ids off the lines that it lets through
        let (id, peer) = (&self.correlation_id, peer.ip());
        tracing::error_span!("request", correlation_id = %id, trace_id, %peer, tenant = field::Empty)
    }

    /// Names the tenant on the log lines of the request that is being answered.
    pub fn log_tenant(tenant_id: &TenantId) {
        Span::current().record("tenant", tenant_id.as_str());
    }

    /// Puts the id on the answer.
    pub fn mark(&self, response: &mut Response) {
        let value = HeaderValue::from_str(self.correlation_id.as_str());
        response.headers_mut().insert(CORRELATION_HEADER, value.expect("a correlation id is plain ASCII"));
    }
}

fn make_id() -> CorrelationId {
    Uuid::now_v7().to_string().parse().expect("a uuid is a correlation id")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(headers: &[(&'static str, &str)]) -> RequestContext {
        let pairs = headers.iter().map(|(name, value)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header"))
        });
        let mut map = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            map.append(name, value);
        });
        RequestContext::of(&map)
    }

    #[test]
    fn the_callers_id_is_taken_where_it_is_sane() {
        assert_eq!(of(&[("x-correlation-id", "a-1")]).correlation_id.as_str(), "a-1");
        assert_eq!(of(&[("x-request-id", "r-1")]).correlation_id.as_str(), "r-1");
        let both = of(&[("x-request-id", "r-1"), ("x-correlation-id", "a-1")]);
        assert_eq!(both.correlation_id.as_str(), "a-1");
        let made = of(&[("x-correlation-id", "drop table; --")]).correlation_id;
        assert!(made.as_str().parse::<Uuid>().is_ok(), "{made}");
        assert_ne!(of(&[]).correlation_id, of(&[]).correlation_id);
    }

    #[test]
    fn a_trace_is_taken_whole_or_not_at_all() {
        let trace = of(&[("traceparent", PARENT), ("tracestate", "a=1")]).trace.expect("a trace");
        assert_eq!((trace.parent.as_str(), trace.state.as_deref()), (PARENT, Some("a=1")));
        assert_eq!(of(&[("traceparent", PARENT), ("traceparent", PARENT)]).trace, None);
        assert_eq!(of(&[("traceparent", "x"), ("tracestate", "a=1")]).trace, None);
    }
}
