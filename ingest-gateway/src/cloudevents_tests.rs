use axum::http::{HeaderName, HeaderValue};

use super::*;

fn tenant() -> TenantId {
    "demo".parse().expect("a tenant")
}

fn base() -> Value {
    json!({
        "specversion": "1.0", "id": "A-17", "source": "/billing", "type": "user.login",
        "time": "2026-11-02T10:00:00Z", "data": {"actor": {"id": "ada"}},
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut event = base();
    event[name] = value;
    event
}

fn read(value: &Value) -> CloudEvent {
    CloudEvent::structured(value, &tenant()).expect("a CloudEvent")
}

#[test]
fn attributes_fill_what_data_leaves_out() {
    let event = read(&with("subject", json!("invoice/7"))).event;
    assert_eq!(
        event,
        json!({
            "event_type": "user.login", "occurred_at": "2026-11-02T10:00:00Z", "actor": {"id": "ada"},
            "targets": [{"type": "subject", "id": "invoice/7"}],
            "source": {"service": "/billing"}, "attributes": {"ce_id": "A-17"},
        })
    );
}

#[test]
fn data_goes_before_and_no_attribute_is_lost() {
    let mut sent = with("subject", json!("invoice/7"));
    sent["data"] = json!({
        "event_type": "invoice.paid", "actor": {"id": "ada"}, "targets": [], "source": {"service": "till"},
        "attributes": {"ce_subject": "mine", "n": 1},
    });
    sent["sequence"] = json!(12);
    sent["authid"] = json!("eve");
    sent["dataschema"] = json!("https://example.com/s");
    let event = read(&sent).event;
    assert_eq!(event["event_type"], "invoice.paid");
    assert_eq!(event["actor"], json!({"id": "ada"}));
    assert_eq!(event["source"], json!({"service": "till"}));
    assert_eq!(
        event["attributes"],
        json!({
            "ce_subject": "mine", "n": 1, "ce_id": "A-17", "ce_type": "user.login", "ce_source": "/billing",
            "ce_sequence": 12, "ce_authid": "eve", "ce_dataschema": "https://example.com/s",
        })
    );
}

#[test]
fn an_id_that_is_a_uuid_is_the_event_id_and_any_other_gives_a_stable_one() {
    let id = "0190b3a1-7c1d-7e8f-9a2b-3c4d5e6f7a8b";
    assert_eq!(read(&with("id", json!(id))).event["event_id"], id);
    let (first, again) = (read(&base()), read(&base()));
    assert!(first.event.get("event_id").is_none());
    assert_eq!(first.assigned_id, again.assigned_id);
    assert_ne!(first.assigned_id, read(&with("source", json!("/other"))).assigned_id);
    assert_ne!(first.assigned_id, read(&with("id", json!("A-18"))).assigned_id);
    let other = CloudEvent::structured(&base(), &"acme".parse().expect("a tenant")).expect("a CloudEvent");
    assert_ne!(first.assigned_id, other.assigned_id, "tenants never meet");
}

#[test]
fn the_auth_context_is_the_actor_where_data_names_none() {
    let mut sent = with("authid", json!("ada"));
    sent["authtype"] = json!("service_account");
    sent["data"] = Value::Null;
    let event = read(&sent).event;
    assert_eq!(event["actor"], json!({"id": "ada", "type": "service_account"}));
    assert!(event["attributes"].get("ce_authtype").is_none());
}

#[test]
fn a_trace_travels_beside_the_event() {
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let event = read(&with("traceparent", json!(parent)));
    assert_eq!(event.trace.expect("a trace").parent.as_str(), parent);
    assert!(event.event["attributes"].get("ce_traceparent").is_none());
}

#[test]
fn faults_are_named_where_they_stand() {
    let pointer = |value: &Value| CloudEvent::structured(value, &tenant()).expect_err("a fault").pointer;
    for (name, value) in [
        ("specversion", json!("0.3")),
        ("id", json!("")),
        ("source", Value::Null),
        ("type", json!(7)),
        ("datacontenttype", json!("text/xml")),
        ("data", json!("text")),
        ("data_base64", json!("e30=")),
    ] {
        assert_eq!(pointer(&with(name, value)), Some(format!("/{name}")), "{name}");
    }
    assert_eq!(pointer(&json!([])), Some(String::new()));
    let event = read(&base());
    assert_eq!(event.pointer("/event_type"), "/type");
    assert_eq!(event.pointer("/actor/id"), "/data/actor/id");
}

#[test]
fn headers_are_percent_decoded() {
    let headers = |subject: &'static str| {
        let pairs = [
            ("ce-specversion", "1.0"),
            ("ce-id", "A-17"),
            ("ce-source", "/billing"),
            ("ce-type", "user.login"),
            ("ce-subject", subject),
            ("content-type", "application/json"),
        ];
        pairs.into_iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    };
    let data = json!({"actor": {"id": "ada"}});
    let event =
        CloudEvent::binary(&headers("Euro%20%E2%82%AC"), Some(data), &tenant()).expect("a CloudEvent");
    assert_eq!(event.event["targets"][0]["id"], "Euro €");
    assert_eq!((event.pointer("/event_type"), event.pointer("/actor")), (String::new(), "/actor".to_owned()));
    assert!(CloudEvent::binary(&headers("%FF"), None, &tenant()).is_err());
    assert!(CloudEvent::binary(&HeaderMap::new(), None, &tenant()).is_err());
}
