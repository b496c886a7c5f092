//! From a body to events: JSON or NDJSON, each item read on its own.

use std::time::Duration;

use audit_event::control::ControlState;
use audit_event::credential::Caller;
use audit_event::json::{Surroundings, parse_event};
use audit_event::{AuditEvent, EventId};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use schemas::catalogue;
use serde_json::Value;
use service_kit::Problem;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::answer::{event_problem, not_json, too_large, unsupported_media};
use crate::config::Limits;

/// The longest `Idempotency-Key`, in bytes.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// What an item of a request turned out to be.
pub enum Item {
    Event(Box<AuditEvent>),
    Dropped(EventId),
    Rejected(Option<EventId>, Problem),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Json,
    NdJson,
}

/// Reads the form out of the headers.
pub fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    if headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(unsupported_media("send the body without Content-Encoding"));
    }
    let content_type =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::NdJson),
        _ => {
            Err(unsupported_media("send Content-Type: application/json, or application/x-ndjson for a batch"))
        }
    }
}

/// Reads the whole body, within its limits of size and time.
pub async fn read_body(body: Body, limits: &Limits) -> Result<axum::body::Bytes, Problem> {
    let read = to_bytes(body, limits.max_body_bytes);
    match tokio::time::timeout(Duration::from_millis(limits.body_timeout_ms), read).await {
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body-timeout", "The body took too long")),
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_over_limit(&error) => {
            Err(too_large(format!("at most {} bytes are taken", limits.max_body_bytes)))
        }
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body ended early: {error}"))),
    }
}

fn is_over_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|source| source.to_string().contains("length limit"))
}

/// The values of a batch: each parsed, or why not.
pub fn batch_values(
    form: Form,
    body: &[u8],
    limits: &Limits,
) -> Result<Vec<Result<Value, Problem>>, Problem> {
    let values: Vec<Result<Value, Problem>> = match form {
        Form::Json => match serde_json::from_slice(body) {
            Ok(Value::Array(items)) => items.into_iter().map(Ok).collect(),
            Ok(_) => {
                return Err(not_json(
                    "a batch is a JSON array of events, or one event a line as NDJSON".to_owned(),
                ));
            }
            Err(error) => return Err(not_json(error.to_string())),
        },
        Form::NdJson => body
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .take(limits.max_batch_events + 1)
            .map(|line| serde_json::from_slice(line).map_err(|error| not_json(error.to_string())))
            .collect(),
    };
    if values.len() > limits.max_batch_events {
        return Err(too_large(format!("at most {} events in a batch", limits.max_batch_events)));
    }
    Ok(values)
}

/// Reads events for one caller.
pub struct Reader<'a> {
    pub caller: &'a Caller,
    pub control: &'a ControlState,
    pub idempotency_key: Option<&'a str>,
}

impl<'a> Reader<'a> {
    pub fn new(
        caller: &'a Caller,
        control: &'a ControlState,
        headers: &'a HeaderMap,
    ) -> Result<Self, Problem> {
        let idempotency_key = headers
            .get("idempotency-key")
            .map(|value| {
                value.to_str().ok().filter(|key| (1..=MAX_IDEMPOTENCY_KEY_BYTES).contains(&key.len()))
            })
            .map(|key| {
                key.ok_or_else(|| {
                    Problem::bad_request(format!(
                        "Idempotency-Key has 1 to {MAX_IDEMPOTENCY_KEY_BYTES} characters"
                    ))
                })
            })
            .transpose()?;
        Ok(Self { caller, control, idempotency_key })
    }

    pub fn read(&self, index: usize, value: Result<&Value, Problem>) -> Item {
        let value = match value {
            Ok(value) => value,
            Err(problem) => return Item::Rejected(None, problem),
        };
        let surroundings = Surroundings {
            tenant_id: &self.caller.tenant_id,
            assigned_id: self.assign_id(index),
            defaults_of: &catalogue::defaults_of,
        };
        match parse_event(value, &surroundings) {
            Ok(event) => {
                let level = self.control.level_of(&event.tenant_id);
                if level.admits(event.operation, event.outcome) {
                    Item::Event(Box::new(event))
                } else {
                    Item::Dropped(event.event_id)
                }
            }
            Err(problem) => {
                let event_id = value.get("event_id").and_then(|id| id.as_str()?.parse().ok());
                Item::Rejected(event_id, event_problem(&problem))
            }
        }
    }

    /// A retry under the same `Idempotency-Key` gets the same id, and so the same partition, and is deduplicated.
    fn assign_id(&self, index: usize) -> EventId {
        let Some(key) = self.idempotency_key else { return EventId(Uuid::now_v7()) };
        let mut hasher = Sha256::new();
        for part in [self.caller.tenant_id.as_str().as_bytes(), key.as_bytes(), &(index as u64).to_be_bytes()]
        {
            // lengths first, so that no two lists of parts look alike
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let digest: [u8; 32] = hasher.finalize().into();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        EventId(Uuid::new_v8(bytes))
    }
}

#[cfg(test)]
mod tests {
    use audit_event::control::Role;

    use super::*;

    fn reader<'a>(caller: &'a Caller, control: &'a ControlState, key: Option<&'a str>) -> Reader<'a> {
        Reader { caller, control, idempotency_key: key }
    }

    fn caller() -> Caller {
        Caller { tenant_id: "demo".parse().expect("a tenant"), role: Role::Producer, key_id: "k".into() }
    }

    #[test]
    fn an_idempotency_key_fixes_the_id_of_each_place() {
        let (caller, control) = (caller(), ControlState::default());
        let id = |key, index| reader(&caller, &control, Some(key)).assign_id(index);
        assert_eq!(id("a", 0), id("a", 0));
        assert_ne!(id("a", 0), id("a", 1));
        assert_ne!(id("a", 0), id("b", 0));
        assert_eq!(id("a", 0).0.get_version_num(), 8);
        assert_ne!(
            reader(&caller, &control, None).assign_id(0),
            reader(&caller, &control, None).assign_id(0)
        );
    }

    #[test]
    fn a_bad_line_does_not_sink_its_neighbours() {
        let limits = Limits { max_batch_events: 3, ..Limits::default() };
        let values = batch_values(Form::NdJson, b"{}\n\n{\n[]\r\n", &limits).expect("a batch");
        assert_eq!(values.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
        assert!(batch_values(Form::NdJson, b"1\n2\n3\n4\n", &limits).is_err());
        assert!(batch_values(Form::Json, b"{}", &limits).is_err());
        assert!(batch_values(Form::Json, b"[1,2,3,4]", &limits).is_err());
    }
}
