//! Which pages of other origins may call the API from a browser: those of a list, without cookies.

use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, Uri, header};
use tower_http::cors::CorsLayer;

use crate::request_context::{CORRELATION_HEADER, TRACEPARENT, TRACESTATE};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// For whom an operator acts.
const ACTING_FOR: HeaderName = HeaderName::from_static("sealtrail-tenant");
/// Source: draft-ietf-httpapi-ratelimit-headers.
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

const METHODS: [Method; 5] = [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE];
const REQUEST_HEADERS: [HeaderName; 8] = [
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    IDEMPOTENCY_KEY,
    ACTING_FOR,
    CORRELATION_HEADER,
    TRACEPARENT,
    TRACESTATE,
];
const ANSWER_HEADERS: [HeaderName; 4] =
    [RATE_LIMIT, RATE_LIMIT_POLICY, header::RETRY_AFTER, CORRELATION_HEADER];

/// How long a browser may remember what it was allowed.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Answers preflights, before any authentication, and marks answers for the listed origins. Without any the router
/// stays as it is, and no answer has a header of CORS.
pub fn allow(router: Router, origins: &[String]) -> Router {
    if origins.is_empty() {
        return router;
    }
    let origins: Vec<_> = origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect();
    router.layer(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods(METHODS)
            .allow_headers(REQUEST_HEADERS)
            .expose_headers(ANSWER_HEADERS)
            .max_age(MAX_AGE),
    )
}

/// What is wrong with the list, as a sentence. A browser compares origins letter by letter, so one that is written
/// otherwise than browsers do would never match.
pub fn fault(origins: &[String]) -> Option<String> {
    origins.iter().find_map(|origin| {
        let what = what_is_wrong(origin)?;
        Some(format!("http.cors_origins has `{origin}`: {what}"))
    })
}

fn what_is_wrong(origin: &str) -> Option<&'static str> {
    const FORM: &str = "an origin is written as in https://console.example.org or http://127.0.0.1:3000";
    if origin.contains('*') || origin == "null" {
        return Some("name each origin; any page could call the API otherwise");
    }
    let Ok(uri) = origin.parse::<Uri>() else { return Some(FORM) };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Some(FORM) };
    let is_origin = matches!(scheme, "http" | "https")
        && format!("{scheme}://{authority}") == origin
        && !authority.as_str().contains('@')
        && !authority.host().is_empty();
    let is_default = matches!((scheme, authority.port_u16()), ("https", Some(443)) | ("http", Some(80)));
    if !is_origin {
        Some(FORM)
    } else if origin.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Some("browsers write origins in lower case")
    } else {
        is_default.then_some("browsers leave out the port that the scheme has anyway")
    }
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
