//! Around every request: the bytes of its answer.

use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use prometheus::IntCounter;

pub async fn observe(State(answer_bytes): State<IntCounter>, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    // every answer is made whole before it is sent
    answer_bytes.inc_by(response.body().size_hint().lower());
    response
}
