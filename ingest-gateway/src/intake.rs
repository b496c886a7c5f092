//! From a body to events, each item read on its own.

use std::fmt;

use audit_event::control::ControlState;
use audit_event::credential::{Caller, Pepper};
use audit_event::json::{Surroundings, TypeDefaults, parse_event};
use audit_event::policy::{Decision, DropReason};
use audit_event::{AuditEvent, EventId, TraceContext};
use axum::http::HeaderMap;
use schemas::{avro, catalogue};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use service_kit::{Problem, clock};
use uuid::Uuid;

use crate::answer::{bad_signature, event_problem, not_json, too_large, unsupported_media};
use crate::cloudevents::CloudEvent;
use crate::config::Limits;
use crate::form::Form;
use crate::stable_id::stable_id;

/// The longest `Idempotency-Key`, in bytes.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// An event that will be produced, and the trace that it belongs to.
pub struct Taken {
    pub event: AuditEvent,
    pub trace: Option<TraceContext>,
}

/// What an item of a request turned out to be.
pub enum Item {
    Event(Box<Taken>),
    Dropped(EventId, DropReason),
    Rejected(Option<EventId>, Problem),
}

/// The items of a batch that is one JSON text, each still a text: of what they become, one at a time is held.
pub fn batch_items<'b>(form: Form, body: &'b [u8], limits: &Limits) -> Result<Vec<&'b RawValue>, Problem> {
    match form {
        Form::Json | Form::CloudEventBatch => {}
        Form::CloudEvent | Form::CloudEventBinary => {
            return Err(unsupported_media(
                "send one CloudEvent to /v1/events, or several as application/cloudevents-batch+json",
            ));
        }
        Form::NdJson => return Err(unsupported_media("lines are taken as they come")),
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let items = AtMost(limits.max_batch_events).deserialize(&mut reader);
    let items = items.and_then(|items| reader.end().map(|()| items));
    match items.map_err(|error| not_json(format!("a batch is a JSON array of events: {error}")))? {
        Some(items) => Ok(items),
        None => Err(too_large(format!("at most {} events in a batch", limits.max_batch_events))),
    }
}

/// Reads an array of so many items; `None` if there are more, none of which is kept.
struct AtMost(usize);

impl<'de> DeserializeSeed<'de> for AtMost {
    type Value = Option<Vec<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for AtMost {
    type Value = Option<Vec<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array, or one event a line as NDJSON")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            if items.len() == self.0 {
                while array.next_element::<IgnoredAny>()?.is_some() {}
                return Ok(None);
            }
            items.push(item);
        }
        Ok(Some(items))
    }
}

/// Reads events for one caller.
pub struct Reader<'a> {
    pub caller: &'a Caller,
    pub control: &'a ControlState,
    /// Under which the secrets of producers' HMAC keys were derived.
    pub pepper: &'a Pepper,
    pub idempotency_key: Option<&'a str>,
    /// The request's own trace, for events that bring none.
    pub trace: Option<TraceContext>,
}

impl<'a> Reader<'a> {
    pub fn new(
        caller: &'a Caller,
        control: &'a ControlState,
        pepper: &'a Pepper,
        headers: &'a HeaderMap,
        trace: Option<TraceContext>,
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
        Ok(Self { caller, control, pepper, idempotency_key, trace })
    }

    /// Reads a request of one event.
    pub fn read_one(&self, form: Form, headers: &HeaderMap, body: &[u8]) -> Result<Item, Problem> {
        let parse = || serde_json::from_slice(body).map_err(|error| not_json(error.to_string()));
        match form {
            Form::Json | Form::CloudEvent => Ok(self.read(0, form, &parse()?)),
            Form::CloudEventBinary => {
                let data = if body.is_empty() { None } else { Some(parse()?) };
                Ok(self.read_cloud_event(CloudEvent::binary(headers, data, &self.caller.tenant_id)))
            }
            Form::NdJson | Form::CloudEventBatch => {
                Err(unsupported_media("send one event here; several go to /v1/events/batch"))
            }
        }
    }

    /// Reads an item of a request.
    pub fn read_text(&self, index: usize, form: Form, text: &[u8]) -> Item {
        match serde_json::from_slice(text) {
            Ok(value) => self.read(index, form, &value),
            Err(error) => Item::Rejected(None, not_json(error.to_string())),
        }
    }

    fn read(&self, index: usize, form: Form, value: &Value) -> Item {
        match form {
            Form::CloudEvent | Form::CloudEventBatch => {
                self.read_cloud_event(CloudEvent::structured(value, &self.caller.tenant_id))
            }
            _ => {
                let brings_one = value.get("event_id").is_some_and(Value::is_string);
                // a random id asks the system, which is not worth it where it is thrown away
                let assigned_id = if brings_one { EventId(Uuid::nil()) } else { self.assign_id(index) };
                self.read_event(value, assigned_id, self.trace.clone(), str::to_owned)
            }
        }
    }

    fn read_cloud_event(&self, event: Result<CloudEvent, Problem>) -> Item {
        match event {
            Err(problem) => Item::Rejected(None, problem),
            Ok(event) => {
                let trace = event.trace.clone().or_else(|| self.trace.clone());
                self.read_event(&event.event, event.assigned_id, trace, |pointer| event.pointer(pointer))
            }
        }
    }

    fn read_event(
        &self,
        value: &Value,
        assigned_id: EventId,
        trace: Option<TraceContext>,
        pointer: impl Fn(&str) -> String,
    ) -> Item {
        let surroundings = Surroundings {
            tenant_id: &self.caller.tenant_id,
            assigned_id,
            defaults_of: &|name| self.defaults_of(name),
        };
        match parse_event(value, &surroundings) {
            Ok(event) => self.judge(event, trace, pointer),
            Err(problem) => {
                let event_id = value.get("event_id").and_then(|id| id.as_str()?.parse().ok());
                Item::Rejected(event_id, event_problem(&problem, pointer(&problem.pointer)))
            }
        }
    }

    /// The catalogue's, or the tenant's own.
    fn defaults_of(&self, name: &str) -> Option<TypeDefaults> {
        let own = || self.control.own_event_type(&self.caller.tenant_id, name);
        let of_own = || own().map(|own| TypeDefaults { operation: own.operation, severity: own.severity });
        catalogue::defaults_of(name).or_else(of_own)
    }

    /// By the tenant's policy.
    fn judge(
        &self,
        event: AuditEvent,
        trace: Option<TraceContext>,
        pointer: impl Fn(&str) -> String,
    ) -> Item {
        let policy = self.control.policy_of(&event.tenant_id);
        if let Decision::Drop(reason) = policy.decide(&event) {
            return Item::Dropped(event.event_id, reason);
        }
        let signature = event.signature.as_ref();
        let datum = || avro::unsigned_datum(&event);
        match policy.signatures.check(&event.tenant_id, signature, self.pepper, clock::now(), datum) {
            Ok(()) => Item::Event(Box::new(Taken { event, trace })),
            Err(fault) => {
                let mut problem = bad_signature(fault.to_string());
                problem.pointer = Some(pointer("/signature"));
                Item::Rejected(Some(event.event_id), problem)
            }
        }
    }

    /// A retry under the same `Idempotency-Key` gets the same id, and so the same partition, and is deduplicated.
    fn assign_id(&self, index: usize) -> EventId {
        let Some(key) = self.idempotency_key else { return EventId(Uuid::now_v7()) };
        stable_id(&[self.caller.tenant_id.as_str().as_bytes(), key.as_bytes(), &(index as u64).to_be_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use audit_event::control::{PolicyRecord, Role};
    use audit_event::policy::{AuditLevel, Policy, SignatureKey, Signer, signing_secret};
    use serde_json::json;

    use super::*;

    static PEPPER: LazyLock<Pepper> = LazyLock::new(|| Pepper::new("0123456789abcdef").expect("a pepper"));

    fn reader<'a>(caller: &'a Caller, control: &'a ControlState, key: Option<&'a str>) -> Reader<'a> {
        Reader { caller, control, pepper: &PEPPER, idempotency_key: key, trace: None }
    }

    fn caller() -> Caller {
        Caller::new("demo".parse().expect("a tenant"), Role::Producer, "k".into())
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
    fn a_batch_is_an_array_of_so_many() {
        let limits = Limits { max_batch_events: 3, ..Limits::default() };
        let status = |body: &'static [u8]| {
            batch_items(Form::Json, body, &limits).map(|items| items.len()).map_err(|problem| problem.status)
        };
        assert_eq!(status(b" [1, {}, 3] "), Ok(3));
        assert_eq!(status(b"[]"), Ok(0));
        for (body, wanted) in [
            (&b"{}"[..], 400),
            (b"", 400),
            (b"[1,2,3,4]", 413),
            (b"[1,2,3,4", 400),
            (b"[1] [2]", 400),
            (b"[{\"a\":}]", 400),
        ] {
            assert_eq!(status(body), Err(wanted), "{}", String::from_utf8_lossy(body));
        }
    }

    /// A producer signs what the gateway will encode.
    #[test]
    fn an_event_of_a_tenant_that_signs_is_taken_with_its_signature_only() {
        let caller = caller();
        let mut policy = Policy::of_level(AuditLevel::All);
        policy.signatures.required = true;
        policy.signatures.keys.insert("k".to_owned(), SignatureKey::hmac_sha256());
        let mut control = ControlState::default();
        let record = PolicyRecord { v: 1, tenant_id: caller.tenant_id.clone(), policy };
        let record = serde_json::to_vec(&record).expect("json");
        control.apply("policy/demo", Some(&record)).expect("a policy");
        let read = |value: &Value| reader(&caller, &control, None).read(0, Form::Json, value);
        let mut value = json!({
            "event_id": "0192f0c1-2345-7abc-8def-0123456789ab", "event_type": "user.login",
            "occurred_at": "2026-11-02T10:00:00Z", "actor": {"id": "alice"},
        });
        let Item::Rejected(_, problem) = read(&value) else { panic!("taken without a signature") };
        assert_eq!((problem.status, problem.pointer.as_deref()), (403, Some("/signature")));
        let unsigned = ControlState::default();
        let defaults = Surroundings {
            tenant_id: &caller.tenant_id,
            assigned_id: EventId(Uuid::nil()),
            defaults_of: &catalogue::defaults_of,
        };
        let event = parse_event(&value, &defaults).expect("an event");
        let signer = Signer::HmacSha256 { secret: signing_secret(&PEPPER, &caller.tenant_id, "k") };
        value["signature"] =
            serde_json::to_value(signer.sign("k", &avro::unsigned_datum(&event))).expect("json");
        assert!(matches!(read(&value), Item::Event(_)));
        value["actor"]["id"] = json!("mallory");
        assert!(matches!(read(&value), Item::Rejected(..)), "another event under the signature");
        let free = reader(&caller, &unsigned, None).read(0, Form::Json, &value);
        assert!(matches!(free, Item::Event(_)), "who asks for none keeps what comes");
    }
}
