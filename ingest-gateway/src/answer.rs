//! What the gateway answers: one result per event, or a problem.

use audit_event::EventId;
use audit_event::json::{Problem as EventProblem, ProblemKind};
use axum::http::StatusCode;
use serde::Serialize;
use service_kit::Problem;
use utoipa::ToSchema;

/// How an event ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Replicated in Kafka.
    Accepted,
    /// The tenant's audit level leaves it out; it was not produced.
    DroppedByPolicy,
    /// It will not be taken as it is; see `problem`.
    Rejected,
    /// On its way to Kafka: asked for by `delivery=async`. No receipt comes of it.
    Buffered,
    /// The broker did not confirm it: it may be there or not. Send it again with the same event id.
    Unconfirmed,
}

/// The result of one event.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ItemResult {
    /// The event's place in the request, from 0.
    pub index: usize,
    /// Absent where the event could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    pub event_id: Option<EventId>,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
    /// When the broker took it, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub received_at: Option<String>,
    /// SHA-256 of the record value, in lower-case hex.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Of an event that was sent alone: see the batch's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

impl ItemResult {
    pub fn of(index: usize, event_id: Option<EventId>, status: Status) -> Self {
        Self {
            index,
            event_id,
            status,
            partition: None,
            offset: None,
            received_at: None,
            record_sha256: None,
            problem: None,
            receipt: None,
        }
    }

    pub fn rejected(index: usize, event_id: Option<EventId>, problem: Problem) -> Self {
        Self { problem: Some(problem), ..Self::of(index, event_id, Status::Rejected) }
    }

    pub fn unconfirmed(index: usize, event_id: EventId, why: &str) -> Self {
        let problem = Problem::unavailable(format!("{why}; send it again with the same event_id"));
        Self { problem: Some(problem), ..Self::of(index, Some(event_id), Status::Unconfirmed) }
    }
}

/// The results of a batch, in its order.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct BatchResult {
    pub results: Vec<ItemResult>,
    /// A signed note (C2SP signed-note) that names trail, topic, partition, offset, time and SHA-256 of each accepted event, and
    /// when the log will hold them at the latest. Keys: `/.well-known/sealtrail-keys`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
    /// Receipts of the events after the first 5,000, which one note cannot hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_receipts: Vec<String>,
    /// Why the rest of the body was not taken, where it was not. What stands in `results` was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

impl BatchResult {
    /// That of the problem that ended the body; 503 if any is unconfirmed, 422 if all were rejected, else 202.
    pub fn status(&self) -> StatusCode {
        if let Some(problem) = &self.problem {
            return problem.status();
        }
        let is = |status: Status| move |result: &ItemResult| result.status == status;
        if self.results.iter().any(is(Status::Unconfirmed)) {
            StatusCode::SERVICE_UNAVAILABLE
        } else if !self.results.is_empty() && self.results.iter().all(is(Status::Rejected)) {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::ACCEPTED
        }
    }
}

/// A fault in an event, as a problem; the pointer is relative to what the caller sent.
pub fn event_problem(problem: &EventProblem, pointer: String) -> Problem {
    match problem.kind {
        ProblemKind::InvalidEvent => invalid_event(problem.detail.clone(), pointer),
        ProblemKind::ForeignTenant => {
            Problem::new(StatusCode::FORBIDDEN, "foreign-tenant", "The event names another tenant")
                .detail(problem.detail.clone())
                .at(pointer)
        }
    }
}

pub fn invalid_event(detail: impl Into<String>, pointer: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-event", "The event is not valid")
        .detail(detail)
        .at(pointer)
}

pub fn invalid_event_type(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid-event-type", "The event type cannot be declared")
        .detail(detail)
}

pub fn bad_signature(detail: String) -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "bad-signature",
        "The event is not signed as the tenant's policy asks",
    )
    .detail(detail)
    .at("/signature")
}

pub fn no_async_delivery() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "no-async-delivery", "The gateway delivers durably only")
        .detail("leave delivery=async out, or set delivery.book_file on the gateway")
}

pub fn too_large(detail: String) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "It is larger than is taken").detail(detail)
}

pub fn not_json(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "not-json", "The body is not JSON").detail(detail)
}

pub fn unsupported_media(detail: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported-media-type",
        "The body has a form that is not taken",
    )
    .detail(detail)
}
