//! One CloudTrail record as one event.

use std::net::IpAddr;

use audit_event::event_type::MAX_EVENT_TYPE_BYTES;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::operation::{operation, outcome};
use super::targets::targets;
use super::{short_service, snake_case, text};

/// Why a record is no event. Names the field by its place in the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MapError {
    #[error("the record is not an object")]
    NotAnObject,
    #[error("{field} is missing")]
    Missing { field: &'static str },
    #[error("{field} is not a text")]
    NotText { field: &'static str },
    #[error("{field} is not a uuid")]
    NotUuid { field: &'static str },
    #[error("{field} is not an rfc 3339 time")]
    NotTime { field: &'static str },
}

/// Maps one record of a CloudTrail file to the JSON that the gateway takes.
pub fn map_record(record: &Value) -> Result<Value, MapError> {
    let fields = record.as_object().ok_or(MapError::NotAnObject)?;
    let event_id = Uuid::parse_str(required(record, "/eventID")?)
        .map_err(|_| MapError::NotUuid { field: "/eventID" })?;
    let occurred_at = DateTime::parse_from_rfc3339(required(record, "/eventTime")?)
        .map_err(|_| MapError::NotTime { field: "/eventTime" })?;
    let event_source = required(record, "/eventSource")?;
    let event_name = required(record, "/eventName")?;

    let event_kind = text(record, "/eventType").unwrap_or_default();
    let operation = operation(event_name, event_kind, read_only(record));
    let outcome = outcome(record, event_name);
    let event_type = event_type(event_source, event_name);
    let actor = actor(record.get("userIdentity"));
    let mut attributes = attributes(fields);
    if !event_type.ends_with(&format!(".{event_name}")) {
        insert_free(&mut attributes, "event_name", event_name.to_owned());
    }

    let mut event = json!({
        "event_id": event_id.to_string(),
        "occurred_at": occurred_at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        "event_type": event_type,
        "operation": operation,
        "outcome": outcome,
        "message": message(record, &actor, outcome, short_service(event_source), event_name),
        "actor": actor,
        "targets": targets(record, event_name, event_source, operation),
        "source": source(record, event_source),
        "attributes": attributes,
    });
    // Success keeps the default of its type; what did not work is worth more attention than that.
    match outcome {
        "denied" => event["severity"] = json!("warning"),
        "failure" => event["severity"] = json!("notice"),
        _ => {}
    }
    Ok(event)
}

fn is_type_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// `aws.<service>.<eventName>`. Names of third parties may hold anything, hence the replacement and the cut; the attribute
/// `event_name` keeps what they changed.
fn event_type(event_source: &str, event_name: &str) -> String {
    let clean = |part: &str| part.chars().map(|c| if is_type_char(c) { c } else { '_' }).collect::<String>();
    let mut event_type = format!("aws.{}.", clean(short_service(event_source)));
    // Leaves at least half of the room to the name.
    event_type.truncate(MAX_EVENT_TYPE_BYTES / 2);
    if !event_type.ends_with('.') {
        event_type.push('.');
    }
    event_type.push_str(&clean(event_name));
    event_type.truncate(MAX_EVENT_TYPE_BYTES);
    event_type
}

fn required<'a>(record: &'a Value, field: &'static str) -> Result<&'a str, MapError> {
    match record.pointer(field) {
        None | Some(Value::Null) => Err(MapError::Missing { field }),
        Some(Value::String(found)) if found.is_empty() => Err(MapError::Missing { field }),
        Some(Value::String(found)) => Ok(found),
        Some(_) => Err(MapError::NotText { field }),
    }
}

/// Some exports of CloudTrail write the flag as text.
fn read_only(record: &Value) -> Option<bool> {
    match record.get("readOnly")? {
        Value::Bool(flag) => Some(*flag),
        Value::String(flag) => flag.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

fn actor(identity: Option<&Value>) -> Value {
    let Some(identity) = identity.filter(|found| found.is_object()) else {
        return json!({"id": "unknown", "type": "unknown"});
    };
    // The later ones are all that anonymous, cross-account and identity-center callers have.
    const IDS: [&str; 7] = [
        "/arn",
        "/principalId",
        "/invokedBy",
        "/onBehalfOf/userId",
        "/credentialId",
        "/userName",
        "/accountId",
    ];
    let (place, id) = IDS
        .into_iter()
        .find_map(|place| text(identity, place).map(|id| (place, id)))
        .unwrap_or(("", "unknown"));
    let mut actor = json!({"id": id});
    match text(identity, "/type") {
        Some(kind) => actor["type"] = json!(snake_case(kind)),
        // Events of a service's own name it and give no type.
        None if place == "/invokedBy" => actor["type"] = json!("aws_service"),
        None => actor["type"] = json!("unknown"),
    }
    let issuer = "/sessionContext/sessionIssuer";
    if let Some(name) = text(identity, "/userName").or_else(|| text(identity, &format!("{issuer}/userName")))
    {
        actor["name"] = json!(name);
    }
    if let Some(key) = text(identity, "/accessKeyId") {
        actor["session_id"] = json!(key);
    }
    // Who acts with a role's rights acts on the role's behalf.
    if let Some(behalf) =
        text(identity, &format!("{issuer}/arn")).or_else(|| text(identity, "/onBehalfOf/userId"))
    {
        actor["on_behalf_of"] = json!(behalf);
    }
    actor
}

fn source(record: &Value, event_source: &str) -> Value {
    let mut source = json!({"service": event_source});
    if let Some(address) = text(record, "/sourceIPAddress") {
        // Calls from within AWS have "AWS Internal" or a service's host name in place of an address.
        let field = if address.parse::<IpAddr>().is_ok() { "ip" } else { "host" };
        source[field] = json!(address);
    }
    if let Some(agent) = text(record, "/userAgent") {
        source["user_agent"] = json!(agent);
    }
    if let Some(request) = text(record, "/requestID") {
        source["request_id"] = json!(request);
    }
    source
}

/// Everything without a field of its own, and what is kept whole beside the field made from a part of it.
fn attributes(fields: &Map<String, Value>) -> Map<String, Value> {
    let mut attributes = Map::new();
    for (key, value) in fields {
        let has_own_field = match key.as_str() {
            "eventID" | "eventTime" | "eventSource" | "eventName" => true,
            "sourceIPAddress" | "userAgent" | "requestID" => {
                value.as_str().is_some_and(|text| !text.is_empty())
            }
            _ => false,
        };
        if has_own_field || value.is_null() {
            continue;
        }
        let name = match key.as_str() {
            "recipientAccountId" => "account_id".to_owned(),
            // "event_type" is the trail's own word for something else.
            "eventType" => "event_kind".to_owned(),
            // Not the trail's mark for sensitive events, which only the producer of an event may set.
            _ => match snake_case(key).as_str() {
                "data_class" => "aws_data_class".to_owned(),
                "" => "_".to_owned(),
                name => name.to_owned(),
            },
        };
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        insert_free(&mut attributes, &name, value);
    }
    attributes
}

/// Two keys of a record may come to the same name; neither may push the other out.
fn insert_free(attributes: &mut Map<String, Value>, name: &str, value: String) {
    let mut name = name.to_owned();
    while attributes.contains_key(&name) {
        name.push('_');
    }
    attributes.insert(name, Value::String(value));
}

/// "iam_user alice called s3.GetObject: AccessDenied".
fn message(record: &Value, actor: &Value, outcome: &str, service: &str, event_name: &str) -> String {
    let kind = text(actor, "/type").unwrap_or("unknown");
    let who = text(actor, "/name").or_else(|| text(actor, "/id")).unwrap_or("unknown");
    let mut sentence = if kind == who {
        format!("{who} called {service}.{event_name}")
    } else {
        format!("{kind} {who} called {service}.{event_name}")
    };
    if outcome != "success" {
        let why = text(record, "/errorCode").or_else(|| text(record, "/errorMessage")).unwrap_or("failed");
        sentence.push_str(": ");
        sentence.push_str(why);
    }
    sentence
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
