//! An event as OpenAPI describes it. `audit_event::json` reads events; what stands here says the same to programs that
//! generate clients and tests, and a tester that generates requests from it holds the two together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// An event as a producer sends it. Its tenant is the credential's; `tenant_id` may be there too, and name that one only.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEvent {
    /// Any UUID; assigned where there is none. A copy under the same id is a duplicate.
    #[schema(format = Uuid)]
    event_id: Option<String>,
    /// RFC 3339.
    #[schema(format = DateTime, example = "2026-11-02T10:00:00Z")]
    occurred_at: String,
    /// See `GET /v1/event-types`; others are taken and flagged as unknown.
    #[schema(
        pattern = r"^[a-z][a-z0-9_]*(\.[A-Za-z0-9_-]+)+$",
        max_length = 200,
        example = "document.updated"
    )]
    event_type: String,
    /// The event type's where there is none.
    #[schema(inline)]
    operation: Option<OperationSymbol>,
    #[schema(inline)]
    outcome: Option<OutcomeSymbol>,
    /// The event type's where there is none.
    #[schema(inline)]
    severity: Option<SeveritySymbol>,
    actor: NewActor,
    targets: Option<Vec<NewTarget>>,
    source: Option<NewSource>,
    trace: Option<NewTrace>,
    #[schema(minimum = -9007199254740991_i64, maximum = 9007199254740991_i64)]
    duration_ms: Option<i64>,
    batch_id: Option<String>,
    /// For people; full-text searchable.
    message: Option<String>,
    changes: Option<Vec<NewChange>>,
    /// Anything else. What is not a text is kept as compact JSON.
    attributes: Option<BTreeMap<String, Value>>,
    signature: Option<NewSignature>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationSymbol {
    Create,
    Read,
    Update,
    Delete,
    Execute,
    Access,
    Other,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum OutcomeSymbol {
    Success,
    Failure,
    Denied,
    Unknown,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SeveritySymbol {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
}

/// Who did it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewActor {
    #[schema(min_length = 1, example = "ada")]
    id: String,
    /// `user` where there is none.
    r#type: Option<String>,
    name: Option<String>,
    session_id: Option<String>,
    on_behalf_of: Option<String>,
}

/// What it was done to.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTarget {
    #[schema(min_length = 1)]
    id: String,
    #[schema(min_length = 1)]
    r#type: String,
    name: Option<String>,
}

/// From where, as far as the producer knows.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSource {
    ip: Option<String>,
    user_agent: Option<String>,
    service: Option<String>,
    host: Option<String>,
    request_id: Option<String>,
}

/// W3C Trace Context.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTrace {
    #[schema(min_length = 1)]
    trace_id: String,
    #[schema(min_length = 1)]
    span_id: String,
}

/// One changed field.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewChange {
    #[schema(min_length = 1, example = "/title")]
    path: String,
    before: Option<Value>,
    after: Option<Value>,
}

/// The producer's own, over the Avro datum without this field.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSignature {
    #[schema(min_length = 1)]
    key_id: String,
    /// HMAC-SHA256 or Ed25519.
    #[schema(min_length = 1)]
    algorithm: String,
    /// In base64.
    #[schema(min_length = 1)]
    value: String,
}

/// A CloudEvent in structured mode, whose data is the event. Attributes fill what the data leaves out; extensions are kept.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CloudEventBody {
    #[schema(pattern = r"^1\.0$")]
    specversion: String,
    #[schema(min_length = 1)]
    id: String,
    #[schema(min_length = 1)]
    source: String,
    #[schema(min_length = 1)]
    r#type: String,
    data: NewEvent,
}
