use std::collections::BTreeMap;

use audit_event::{
    Actor, Change, EventId, Operation, Outcome, Severity, Signature, Source, Target, Timestamp, Trace,
};
use proptest::prelude::*;

use super::*;

const ID: SchemaId = SchemaId(7);

fn text() -> impl Strategy<Value = String> {
    "\\PC{0,12}"
}

fn maybe() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text())
}

prop_compose! {
    fn actor()(id in text(), kind in text(), name in maybe(), session_id in maybe(), on_behalf_of in maybe()) -> Actor {
        Actor { id, kind, name, session_id, on_behalf_of }
    }
}

prop_compose! {
    fn source()(ip in maybe(), user_agent in maybe(), service in maybe(), host in maybe(), request_id in maybe()) -> Source {
        Source { ip, user_agent, service, host, request_id }
    }
}

prop_compose! {
    fn lists()(
        targets in proptest::collection::vec((text(), text(), maybe()), 0..4),
        changes in proptest::collection::vec((text(), maybe(), maybe()), 0..4),
        attributes in proptest::collection::btree_map(text(), text(), 0..5),
    ) -> (Vec<Target>, Vec<Change>, BTreeMap<String, String>) {
        (
            targets.into_iter().map(|(id, kind, name)| Target { id, kind, name }).collect(),
            changes.into_iter().map(|(path, before, after)| Change { path, before, after }).collect(),
            attributes,
        )
    }
}

prop_compose! {
    fn event()(
        id in any::<u128>(), occurred_at in any::<i64>(), event_type in text(),
        (operation, outcome, severity) in (
            proptest::sample::select(Operation::ALL),
            proptest::sample::select(Outcome::ALL),
            proptest::sample::select(Severity::ALL),
        ),
        actor in actor(), source in source(), (targets, changes, attributes) in lists(),
        trace in proptest::option::of((text(), text())),
        duration_ms in any::<Option<i64>>(), batch_id in maybe(), message in maybe(),
        signature in proptest::option::of((text(), text(), text())),
    ) -> AuditEvent {
        AuditEvent {
            event_id: EventId(uuid::Uuid::from_u128(id)),
            tenant_id: "demo".parse().expect("a tenant"),
            occurred_at: Timestamp::from_micros(occurred_at),
            event_type, operation, outcome, severity, actor, targets, source,
            trace: trace.map(|(trace_id, span_id)| Trace { trace_id, span_id }),
            duration_ms, batch_id, message, changes, attributes,
            signature: signature.map(|(key_id, algorithm, value)| Signature { key_id, algorithm, value }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_event_comes_back_and_encodes_to_the_same_bytes(event in event()) {
        let value = encode(&event, ID).expect("encodes");
        let (id, datum) = wire::split(&value).expect("a frame");
        prop_assert_eq!(id, ID);
        let back = WriterSchema::own().decode(datum).expect("decodes");
        prop_assert_eq!(&back, &event);
        prop_assert_eq!(encode(&back, ID).expect("encodes"), value);
    }

    #[test]
    fn every_proper_prefix_is_refused_and_no_changed_byte_panics(event in event(), flip in 1_u8..) {
        let value = encode(&event, ID).expect("encodes");
        let datum = &value[wire::HEADER_BYTES..];
        let schema = WriterSchema::own();
        for end in 0..datum.len() {
            prop_assert!(schema.decode(&datum[..end]).is_err(), "prefix of {} bytes", end);
        }
        for at in 0..datum.len() {
            let mut changed = datum.to_vec();
            changed[at] ^= flip;
            let _decoded_or_refused = schema.decode(&changed);
        }
    }
}

/// Every example in `examples/` is an event, comes back from its bytes, and is refused when cut anywhere.
#[test]
fn examples_are_events() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut seen = 0;
    for entry in std::fs::read_dir(dir).expect("the examples").filter_map(Result::ok) {
        let name = entry.file_name();
        let text = std::fs::read_to_string(entry.path()).expect("text");
        let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name:?}: {e}"));
        let surroundings = audit_event::json::Surroundings {
            tenant_id: &"demo".parse().expect("a tenant"),
            assigned_id: EventId(uuid::Uuid::nil()),
            defaults_of: &crate::catalogue::defaults_of,
        };
        let event = audit_event::json::parse_event(&json, &surroundings)
            .unwrap_or_else(|problem| panic!("{name:?}: {} {problem}", problem.pointer));
        let value = encode(&event, ID).expect("encodes");
        let datum = &value[wire::HEADER_BYTES..];
        let schema = WriterSchema::own();
        assert_eq!(schema.decode(datum).expect("decodes"), event, "{name:?}");
        assert!((0..datum.len()).all(|end| schema.decode(&datum[..end]).is_err()), "{name:?}");
        seen += 1;
    }
    assert!(seen >= 12, "{seen} examples");
}

#[test]
fn trailing_bytes_are_refused() {
    let mut value = encode(&sample(), ID).expect("encodes");
    value.push(0);
    let error = WriterSchema::own().decode(&value[wire::HEADER_BYTES..]).expect_err("refused");
    assert!(matches!(error, CodecError::TrailingBytes { bytes: 1 }));
}

/// The mandated library, by its own generic reader, sees what we wrote: the serde path writes Avro and not a dialect.
#[test]
fn the_generic_reader_agrees() {
    let value = encode(&sample(), ID).expect("encodes");
    let mut datum = &value[wire::HEADER_BYTES..];
    let generic = GenericDatumReader::builder(own_schema()).build().expect("a reader");
    let read = generic.read_value(&mut datum).expect("reads");
    assert!(datum.is_empty());
    let apache_avro::types::Value::Record(fields) = read else { panic!("not a record") };
    let operation = fields.iter().find(|(name, _)| name == "operation").expect("the field");
    assert_eq!(operation.1, apache_avro::types::Value::Enum(2, "update".into()));
}

/// A newer producer may add fields and symbols (FULL_TRANSITIVE); this build reads around them.
#[test]
fn a_newer_schema_is_read() {
    let mut newer: serde_json::Value = serde_json::from_str(SCHEMA_TEXT).expect("json");
    let fields = newer["fields"].as_array_mut().expect("fields");
    fields[4]["type"]["symbols"].as_array_mut().expect("symbols").insert(0, "teleport".into());
    fields.insert(3, serde_json::json!({"name": "extra", "type": ["null", {"type": "map", "values": "long"}], "default": null}));
    let schema = Schema::parse_str(&newer.to_string()).expect("parses");
    let older = GenericDatumReader::builder(own_schema()).build().expect("a reader");
    let value = encode(&sample(), ID).expect("encodes");
    let generic = older.read_value(&mut &value[wire::HEADER_BYTES..]).expect("reads");
    let apache_avro::types::Value::Record(mut fields) = generic else { panic!("not a record") };
    let extra = apache_avro::types::Value::Map([("n".to_owned(), apache_avro::types::Value::Long(5))].into());
    fields.insert(3, ("extra".into(), apache_avro::types::Value::Union(1, Box::new(extra))));
    fields[5].1 = apache_avro::types::Value::Enum(0, "teleport".into());
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let datum = writer.write_value_to_vec(apache_avro::types::Value::Record(fields)).expect("writes");
    let event = WriterSchema::parse(&newer.to_string()).expect("parses").decode(&datum).expect("decodes");
    assert_eq!(event, AuditEvent { operation: Operation::Other, ..sample() });
}

/// A compatible schema may leave out what has a default (FULL_TRANSITIVE); it is read as the schema's own default.
#[test]
fn a_schema_without_the_fields_that_have_a_default_is_read() {
    let mut leaner: serde_json::Value = serde_json::from_str(SCHEMA_TEXT).expect("json");
    leaner["fields"].as_array_mut().expect("fields").retain(|field| field.get("default").is_none());
    let kept: Vec<_> =
        leaner["fields"].as_array().expect("fields").iter().map(|field| field["name"].clone()).collect();
    assert_eq!(kept, ["event_id", "tenant_id", "occurred_at", "event_type", "actor"]);
    let schema = Schema::parse_str(&leaner.to_string()).expect("parses");
    let value = encode(&sample(), ID).expect("encodes");
    let datum = &mut &value[wire::HEADER_BYTES..];
    let reader = GenericDatumReader::builder(own_schema()).build().expect("a reader");
    let apache_avro::types::Value::Record(mut fields) = reader.read_value(datum).expect("reads") else {
        panic!("not a record")
    };
    fields.retain(|(name, _)| kept.contains(&serde_json::Value::from(name.as_str())));
    let writer = GenericDatumWriter::builder(&schema).build().expect("a writer");
    let datum = writer.write_value_to_vec(apache_avro::types::Value::Record(fields)).expect("writes");
    let event = WriterSchema::parse(&leaner.to_string()).expect("parses").decode(&datum).expect("decodes");
    // what the library fills in from the schemas alone
    let resolving =
        GenericDatumReader::builder(&schema).reader_schema(own_schema()).build().expect("a reader");
    let resolved = resolving.read_value(&mut datum.as_slice()).expect("reads");
    let filled = GenericDatumWriter::builder(own_schema()).build().expect("a writer");
    let filled = filled.write_value_to_vec(resolved).expect("writes");
    assert_eq!(event, WriterSchema::own().decode(&filled).expect("decodes"));
    assert_eq!((event.outcome, event.severity), (Outcome::Unknown, Severity::Info));
}

fn sample() -> AuditEvent {
    AuditEvent {
        event_id: "0192f0c1-2345-7abc-8def-0123456789ab".parse().expect("an id"),
        tenant_id: "demo".parse().expect("a tenant"),
        occurred_at: Timestamp::from_micros(1_793_000_000_000_001),
        event_type: "user.updated".into(),
        operation: Operation::Update,
        outcome: Outcome::Success,
        severity: Severity::Notice,
        actor: Actor {
            id: "ada".into(),
            kind: "user".into(),
            name: None,
            session_id: None,
            on_behalf_of: None,
        },
        targets: vec![Target { id: "t".into(), kind: "user".into(), name: Some(String::new()) }],
        source: Source { ip: Some("192.0.2.1".into()), ..Source::default() },
        trace: None,
        duration_ms: Some(-1),
        batch_id: None,
        message: Some("hello".into()),
        changes: vec![],
        attributes: BTreeMap::from([("a".into(), "b".into())]),
        signature: None,
    }
}
