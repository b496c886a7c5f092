//! An event in JSON, on its way in. Each fault is named with a JSON pointer (RFC 6901) to where it stands.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::event::{
    Actor, AuditEvent, Change, Operation, Outcome, Severity, Signature, Source, Target, Trace,
};
use crate::event_type;
use crate::ids::{EventId, TenantId};
use crate::timestamp::Timestamp;

/// What is wrong with an event, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct Problem {
    pub kind: ProblemKind,
    /// RFC 6901, relative to the event.
    pub pointer: String,
    pub detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    InvalidEvent,
    ForeignTenant,
}

/// What the catalogue says where the producer is silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeDefaults {
    pub operation: Operation,
    pub severity: Severity,
}

/// What an event gets from its surroundings rather than from its JSON.
pub struct Surroundings<'a> {
    pub tenant_id: &'a TenantId,
    /// Used where the JSON has no `event_id`.
    pub assigned_id: EventId,
    pub defaults_of: &'a dyn Fn(&str) -> Option<TypeDefaults>,
}

impl std::fmt::Debug for Surroundings<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Surroundings").field("tenant_id", self.tenant_id).finish_non_exhaustive()
    }
}

const EVENT_FIELDS: &[&str] = &[
    "event_id",
    "tenant_id",
    "occurred_at",
    "event_type",
    "operation",
    "outcome",
    "severity",
    "actor",
    "targets",
    "source",
    "trace",
    "duration_ms",
    "batch_id",
    "message",
    "changes",
    "attributes",
    "signature",
];

/// Reads one event. The answer is complete: defaults filled in, tenant set.
pub fn parse_event(value: &Value, surroundings: &Surroundings<'_>) -> Result<AuditEvent, Problem> {
    let root = Object::root(value, EVENT_FIELDS)?;
    check_tenant(&root, surroundings.tenant_id)?;
    let event_type = root.required_text("event_type")?;
    if !event_type::is_well_formed(&event_type) {
        return Err(root.fault(
            "event_type",
            "must look like user.login: parts joined by dots, the first in lower case, at most 200 bytes",
        ));
    }
    let defaults = (surroundings.defaults_of)(&event_type)
        .unwrap_or(TypeDefaults { operation: Operation::DEFAULT, severity: Severity::DEFAULT });
    Ok(AuditEvent {
        event_id: root.parsed("event_id")?.unwrap_or(surroundings.assigned_id),
        tenant_id: surroundings.tenant_id.clone(),
        occurred_at: occurred_at(&root)?,
        operation: root.parsed("operation")?.unwrap_or(defaults.operation),
        outcome: root.parsed("outcome")?.unwrap_or(Outcome::DEFAULT),
        severity: root.parsed("severity")?.unwrap_or(defaults.severity),
        actor: actor(&root)?,
        targets: root.list("targets", &["id", "type", "name"], target)?,
        source: source(&root)?,
        trace: trace(&root)?,
        duration_ms: root.integer("duration_ms")?,
        batch_id: root.text("batch_id")?,
        message: root.text("message")?,
        changes: root.list("changes", &["path", "before", "after"], change)?,
        attributes: attributes(&root)?,
        signature: signature(&root)?,
        event_type,
    })
}

fn check_tenant(root: &Object<'_>, tenant_id: &TenantId) -> Result<(), Problem> {
    match root.text("tenant_id")? {
        Some(named) if named != tenant_id.as_str() => Err(Problem {
            kind: ProblemKind::ForeignTenant,
            ..root.fault("tenant_id", "is not the tenant of the credential; leave it out")
        }),
        _ => Ok(()),
    }
}

fn occurred_at(root: &Object<'_>) -> Result<Timestamp, Problem> {
    let text = root.required_text("occurred_at")?;
    Timestamp::parse_rfc3339(&text)
        .ok_or_else(|| root.fault("occurred_at", "must be an RFC 3339 time such as 2026-11-02T10:00:00Z"))
}

fn actor(root: &Object<'_>) -> Result<Actor, Problem> {
    let actor = root
        .object("actor", &["id", "type", "name", "session_id", "on_behalf_of"])?
        .ok_or_else(|| root.fault("actor", "is required: an object with an id"))?;
    Ok(Actor {
        id: actor.required_text("id")?,
        kind: actor.text("type")?.unwrap_or_else(|| "user".to_owned()),
        name: actor.text("name")?,
        session_id: actor.text("session_id")?,
        on_behalf_of: actor.text("on_behalf_of")?,
    })
}

fn target(target: &Object<'_>) -> Result<Target, Problem> {
    Ok(Target {
        id: target.required_text("id")?,
        kind: target.required_text("type")?,
        name: target.text("name")?,
    })
}

fn source(root: &Object<'_>) -> Result<Source, Problem> {
    let Some(source) = root.object("source", &["ip", "user_agent", "service", "host", "request_id"])? else {
        return Ok(Source::default());
    };
    Ok(Source {
        ip: source.text("ip")?,
        user_agent: source.text("user_agent")?,
        service: source.text("service")?,
        host: source.text("host")?,
        request_id: source.text("request_id")?,
    })
}

fn trace(root: &Object<'_>) -> Result<Option<Trace>, Problem> {
    root.object("trace", &["trace_id", "span_id"])?
        .map(|trace| {
            Ok(Trace { trace_id: trace.required_text("trace_id")?, span_id: trace.required_text("span_id")? })
        })
        .transpose()
}

fn change(change: &Object<'_>) -> Result<Change, Problem> {
    Ok(Change {
        path: change.required_text("path")?,
        before: change.json_text("before"),
        after: change.json_text("after"),
    })
}

fn signature(root: &Object<'_>) -> Result<Option<Signature>, Problem> {
    root.object("signature", &["key_id", "algorithm", "value"])?
        .map(|signature| {
            Ok(Signature {
                key_id: signature.required_text("key_id")?,
                algorithm: signature.required_text("algorithm")?,
                value: signature.required_text("value")?,
            })
        })
        .transpose()
}

fn attributes(root: &Object<'_>) -> Result<BTreeMap<String, String>, Problem> {
    match root.get("attributes") {
        None => Ok(BTreeMap::new()),
        Some(Value::Object(map)) => {
            Ok(map.iter().map(|(key, value)| (key.clone(), as_json_text(value))).collect())
        }
        Some(_) => Err(root.fault("attributes", "must be an object")),
    }
}

/// Texts stay as they are; anything else is kept as compact JSON.
fn as_json_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A JSON object together with the pointer to it.
struct Object<'a> {
    map: &'a Map<String, Value>,
    pointer: String,
}

impl<'a> Object<'a> {
    fn root(value: &'a Value, fields: &[&str]) -> Result<Self, Problem> {
        Self::at(value, String::new(), fields)
    }

    fn at(value: &'a Value, pointer: String, fields: &[&str]) -> Result<Self, Problem> {
        let Value::Object(map) = value else {
            return Err(invalid(pointer, "must be an object".to_owned()));
        };
        let object = Self { map, pointer };
        match map.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(unknown) => Err(object.fault(unknown, "is not a field of an event; put it into attributes")),
            None => Ok(object),
        }
    }

    /// The field's value, where null is as good as absent.
    fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    fn fault(&self, field: &str, detail: impl Display) -> Problem {
        let escaped = field.replace('~', "~0").replace('/', "~1");
        invalid(format!("{}/{escaped}", self.pointer), format!("{field} {detail}"))
    }

    fn text(&self, field: &str) -> Result<Option<String>, Problem> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.fault(field, "must be a string")),
        }
    }

    fn required_text(&self, field: &str) -> Result<String, Problem> {
        match self.text(field)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(self.fault(field, "is required")),
        }
    }

    fn integer(&self, field: &str) -> Result<Option<i64>, Problem> {
        match self.get(field) {
            None => Ok(None),
            Some(value) => whole_number(value).map(Some).ok_or_else(|| {
                self.fault(
                    field,
                    format_args!("must be a whole number, from -{MAX_INTEGER} to {MAX_INTEGER}"),
                )
            }),
        }
    }

    fn parsed<T>(&self, field: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(field)? else { return Ok(None) };
        text.parse().map(Some).map_err(|error| self.fault(field, format_args!("is not valid: {error}")))
    }

    fn json_text(&self, field: &str) -> Option<String> {
        self.get(field).map(as_json_text)
    }

    fn object(&self, field: &str, fields: &[&str]) -> Result<Option<Object<'a>>, Problem> {
        self.get(field)
            .map(|value| Object::at(value, format!("{}/{field}", self.pointer), fields))
            .transpose()
    }

    fn list<T>(
        &self,
        field: &str,
        fields: &[&str],
        read: impl Fn(&Object<'_>) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        match self.get(field) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(i, item)| read(&Object::at(item, format!("{}/{field}/{i}", self.pointer), fields)?))
                .collect(),
            Some(_) => Err(self.fault(field, "must be an array")),
        }
    }
}

/// The largest integer that every reader of JSON takes exactly (RFC 7493, section 2.2).
const MAX_INTEGER: i64 = (1 << 53) - 1;

/// JSON knows one kind of number: 1.0 is a whole one.
fn whole_number(value: &Value) -> Option<i64> {
    let of_float =
        |number: f64| (number.fract() == 0.0 && number.abs() <= MAX_INTEGER as f64).then_some(number as i64);
    let number = value.as_i64().or_else(|| of_float(value.as_f64()?))?;
    (-MAX_INTEGER..=MAX_INTEGER).contains(&number).then_some(number)
}

fn invalid(pointer: String, detail: String) -> Problem {
    Problem { kind: ProblemKind::InvalidEvent, pointer, detail }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
