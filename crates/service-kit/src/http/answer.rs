//! One request's answer: under its correlation id, within its time, with the headers that every answer has.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};
use tower::ServiceExt;
use tracing::Instrument;

use super::patience::Exchange;
use crate::problem::Problem;
use crate::request_context::RequestContext;

/// Answers under the request's own correlation id, also where no route does.
pub async fn answer(
    router: Router,
    mut request: Request,
    peer: SocketAddr,
    limit: Duration,
) -> Result<Response, Infallible> {
    let context = RequestContext::of(request.headers());
    request.extensions_mut().insert(context.clone());
    let mut response = answer_in_time(router, request, limit).instrument(context.span(peer)).await?;
    context.mark(&mut response);
    secure(response.headers_mut());
    Ok(response)
}

/// What every answer tells a browser, unless its route says otherwise: that it is data, for the caller only.
const SECURE: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

fn secure(headers: &mut HeaderMap) {
    for (name, value) in SECURE {
        headers.entry(name).or_insert(value);
    }
}

/// A request that takes longer than its time is dropped, and with it the work that was done for it.
async fn answer_in_time(router: Router, request: Request, limit: Duration) -> Result<Response, Infallible> {
    match tokio::time::timeout(limit, router.oneshot(request)).await {
        Ok(response) => response,
        Err(_) => {
            tracing::warn!(
                limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
                "no answer in time"
            );
            Ok(Problem::unavailable("no answer in time; ask for less, or try again").into_response())
        }
    }
}

/// The body of an answer; while it is there the request is not over.
pub struct AnswerBody {
    body: Body,
    _exchange: Exchange,
}

impl AnswerBody {
    pub fn new(body: Body, exchange: Exchange) -> Self {
        Self { body, _exchange: exchange }
    }
}

impl hyper::body::Body for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
