//! CloudEvents 1.0 as audit events. `data` is the event; the context attributes fill what it leaves out, and one that
//! was not needed stands in `attributes` as `ce_<name>`, so that nothing is lost.
//!
//! Source: CloudEvents 1.0.2, its JSON format and HTTP binding; extensions Distributed Tracing and Auth Context. The
//! SDK of the same name leaves header values percent-encoded and says not where a fault stands, so it is not used.

use audit_event::{EventId, TenantId, TraceContext};
use axum::http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value, json};
use service_kit::Problem;

use crate::answer::invalid_event;
use crate::stable_id::stable_id;

pub const SPECVERSION_HEADER: &str = "ce-specversion";
const HEADER_PREFIX: &str = "ce-";
const SPECVERSION: &str = "1.0";

/// Where the attributes of a CloudEvent stand, which decides how a fault is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Structured,
    Binary,
}

/// A CloudEvent on its way to be an event.
#[derive(Debug)]
pub struct CloudEvent {
    /// In the form of our own JSON.
    pub event: Value,
    /// Used where neither `data` nor `id` holds a UUID: the same for every copy, since source and id name an event.
    pub assigned_id: EventId,
    pub trace: Option<TraceContext>,
    mode: Mode,
    /// Fields of the event that came from an attribute, and from which.
    filled: Vec<(&'static str, &'static str)>,
}

impl CloudEvent {
    /// Reads a JSON object with attributes and `data`.
    pub fn structured(value: &Value, tenant_id: &TenantId) -> Result<Self, Problem> {
        let Value::Object(object) = value else {
            return Err(invalid_event("a CloudEvent is a JSON object", ""));
        };
        if object.contains_key("data_base64") {
            return Err(invalid_event(
                "data_base64 is not taken; send the event as JSON in data",
                "/data_base64",
            ));
        }
        let mut attributes = object.clone();
        let data = attributes.remove("data").filter(|data| !data.is_null());
        Self::read(Mode::Structured, attributes, data, tenant_id)
    }

    /// Reads the attributes out of headers; the body is `data`.
    pub fn binary(headers: &HeaderMap, data: Option<Value>, tenant_id: &TenantId) -> Result<Self, Problem> {
        let mut attributes = Map::new();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) else { continue };
            let text = value.to_str().ok().and_then(|text| percent_decode_str(text).decode_utf8().ok());
            let text = text.ok_or_else(|| {
                invalid_event(format!("the header ce-{name} is not percent-encoded UTF-8"), "")
            })?;
            attributes.insert(name.to_owned(), Value::String(text.into_owned()));
        }
        Self::read(Mode::Binary, attributes, data, tenant_id)
    }

    fn read(
        mode: Mode,
        attributes: Map<String, Value>,
        data: Option<Value>,
        tenant_id: &TenantId,
    ) -> Result<Self, Problem> {
        let mut attributes = Attributes { mode, map: attributes };
        attributes.check_version()?;
        let (id, source) = (attributes.required("id")?, attributes.required("source")?);
        attributes.required("type")?;
        attributes.check_data_is_json()?;
        let data = match data {
            None => Map::new(),
            Some(Value::Object(data)) => data,
            Some(_) => return Err(invalid_event("data must be an object, the event", mode.data_pointer(""))),
        };
        let trace = attributes.take_trace();
        let mut event = Self {
            event: Value::Null,
            assigned_id: stable_id(&[
                b"cloudevents",
                tenant_id.as_str().as_bytes(),
                source.as_bytes(),
                id.as_bytes(),
            ]),
            trace,
            mode,
            filled: Vec::new(),
        };
        event.event = Value::Object(event.fill(data, attributes));
        Ok(event)
    }

    /// Moves attributes into the fields that `data` leaves out, and the rest into `attributes`.
    fn fill(&mut self, mut data: Map<String, Value>, mut attributes: Attributes) -> Map<String, Value> {
        if attributes.text("id").is_some_and(|id| id.parse::<EventId>().is_ok()) {
            self.move_field(&mut data, "event_id", &mut attributes, "id", Value::String);
        }
        self.move_field(&mut data, "event_type", &mut attributes, "type", Value::String);
        self.move_field(&mut data, "occurred_at", &mut attributes, "time", Value::String);
        self.move_field(
            &mut data,
            "targets",
            &mut attributes,
            "subject",
            |id| json!([{"type": "subject", "id": id}]),
        );
        let kind = attributes.text("authtype").map(str::to_owned);
        let has_actor = is_set(&data, "actor");
        self.move_field(&mut data, "actor", &mut attributes, "authid", |id| json!({"id": id, "type": kind}));
        if !has_actor && is_set(&data, "actor") {
            attributes.map.remove("authtype");
        }
        fill_service(&mut data, &mut attributes);
        keep_rest(&mut data, attributes);
        data
    }

    fn move_field(
        &mut self,
        data: &mut Map<String, Value>,
        field: &'static str,
        attributes: &mut Attributes,
        attribute: &'static str,
        value: impl FnOnce(String) -> Value,
    ) {
        if is_set(data, field) {
            return;
        }
        if let Some(text) = attributes.take_text(attribute) {
            data.insert(field.to_owned(), value(text));
            self.filled.push((field, attribute));
        }
    }

    /// Where a fault at `pointer` of the event stands in what the caller sent.
    pub fn pointer(&self, pointer: &str) -> String {
        let field = pointer.split('/').nth(1).unwrap_or_default();
        match (self.filled.iter().find(|(filled, _)| *filled == field), self.mode) {
            (Some((_, attribute)), Mode::Structured) => format!("/{attribute}"),
            // a header has no JSON pointer
            (Some(_), Mode::Binary) => String::new(),
            (None, mode) => mode.data_pointer(pointer),
        }
    }
}

impl Mode {
    fn data_pointer(self, pointer: &str) -> String {
        match self {
            Self::Structured => format!("/data{pointer}"),
            Self::Binary => pointer.to_owned(),
        }
    }
}

struct Attributes {
    mode: Mode,
    map: Map<String, Value>,
}

impl Attributes {
    fn text(&self, name: &str) -> Option<&str> {
        self.map.get(name).and_then(Value::as_str)
    }

    fn take_text(&mut self, name: &str) -> Option<String> {
        self.text(name)?;
        self.map.remove(name).and_then(|value| value.as_str().map(str::to_owned))
    }

    fn fault(&self, name: &str, detail: &str) -> Problem {
        match self.mode {
            Mode::Structured => invalid_event(format!("{name} {detail}"), format!("/{name}")),
            Mode::Binary => invalid_event(format!("the header ce-{name} {detail}"), ""),
        }
    }

    fn required(&self, name: &str) -> Result<String, Problem> {
        let text = self.text(name).filter(|text| !text.is_empty());
        text.map(str::to_owned).ok_or_else(|| self.fault(name, "is required by CloudEvents"))
    }

    fn check_version(&mut self) -> Result<(), Problem> {
        match self.map.remove("specversion") {
            Some(Value::String(version)) if version == SPECVERSION => Ok(()),
            _ => Err(self.fault("specversion", "must be 1.0")),
        }
    }

    fn check_data_is_json(&mut self) -> Result<(), Problem> {
        let is_json = |media: &str| {
            let essence = media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            essence.ends_with("/json") || essence.ends_with("+json")
        };
        match self.map.remove("datacontenttype") {
            None | Some(Value::Null) => Ok(()),
            Some(Value::String(media)) if is_json(&media) => Ok(()),
            Some(_) => Err(self.fault("datacontenttype", "must be application/json: data is the event")),
        }
    }

    fn take_trace(&mut self) -> Option<TraceContext> {
        let state = self.take_text("tracestate");
        TraceContext::read(&self.take_text("traceparent")?, state.as_deref()).ok()
    }
}

/// A null is as good as nothing.
fn is_set(data: &Map<String, Value>, field: &str) -> bool {
    data.get(field).is_some_and(|value| !value.is_null())
}

/// `source` of a CloudEvent is who sends it, which our `source.service` is.
fn fill_service(data: &mut Map<String, Value>, attributes: &mut Attributes) {
    if !is_set(data, "source") {
        data.insert("source".to_owned(), json!({}));
    }
    let Some(Value::Object(source)) = data.get_mut("source") else { return };
    if !is_set(source, "service")
        && let Some(text) = attributes.take_text("source")
    {
        source.insert("service".to_owned(), Value::String(text));
    }
}

fn keep_rest(data: &mut Map<String, Value>, attributes: Attributes) {
    let rest: Vec<_> = attributes.map.into_iter().filter(|(_, value)| !value.is_null()).collect();
    if rest.is_empty() {
        return;
    }
    if !is_set(data, "attributes") {
        data.insert("attributes".to_owned(), json!({}));
    }
    // anything but an object is a fault that the event's own reading names
    let Some(Value::Object(kept)) = data.get_mut("attributes") else { return };
    for (name, value) in rest {
        kept.entry(format!("ce_{name}")).or_insert(value);
    }
}

#[cfg(test)]
#[path = "cloudevents_tests.rs"]
mod tests;
