//! The example records: each of `schemas/examples/`, as this build writes it and as a newer producer would.

use std::path::Path;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use audit_event::json::{Surroundings, parse_event};
use audit_event::{EventId, SchemaId};
use schemas::avro::{SCHEMA_TEXT, encode, own_schema};
use schemas::{catalogue, wire};

pub const ID: SchemaId = SchemaId(7);
/// Fewer examples than this and somebody has lost them.
const LEAST_EXAMPLES: usize = 12;

pub struct Example {
    pub name: String,
    /// The record's value: frame and datum.
    pub value: Vec<u8>,
}

pub fn under_own_schema() -> Vec<Example> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut examples: Vec<_> = std::fs::read_dir(dir)
        .expect("the directory of examples")
        .map(|entry| example(&entry.expect("an example").path()))
        .collect();
    examples.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(examples.len() >= LEAST_EXAMPLES, "{} examples", examples.len());
    examples
}

fn example(path: &Path) -> Example {
    let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
    let text = std::fs::read_to_string(path).expect("text");
    let surroundings = Surroundings {
        tenant_id: &"demo".parse().expect("a tenant"),
        assigned_id: EventId(uuid::Uuid::nil()),
        defaults_of: &catalogue::defaults_of,
    };
    let json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
    let event = parse_event(&json, &surroundings).unwrap_or_else(|problem| panic!("{name}: {problem}"));
    Example { name, value: encode(&event, ID).expect("encodes") }
}

/// What later versions may add under FULL_TRANSITIVE, one field of each kind that a datum can hold.
const NEWER_FIELDS: &str = r#"[
    {"name": "x_flag", "type": "boolean", "default": false},
    {"name": "x_number", "type": "double", "default": 0},
    {"name": "x_bytes", "type": "bytes", "default": ""},
    {"name": "x_hash", "type": {"type": "fixed", "name": "Hash", "size": 32}, "default": "00000000000000000000000000000000"},
    {"name": "x_map", "type": {"type": "map", "values": {"type": "array", "items": "long"}}, "default": {}},
    {"name": "x_kind", "type": {"type": "enum", "name": "Kind", "symbols": ["a", "b"], "default": "a"}, "default": "a"},
    {"name": "x_union", "type": ["null", "int", "float", "string", "Hash"], "default": null},
    {"name": "x_list", "type": {"type": "array", "items": {"type": "record", "name": "Extra", "fields": [
        {"name": "id", "type": "string"}, {"name": "more", "type": ["null", {"type": "map", "values": "bytes"}]}
    ]}}, "default": []}
]"#;

pub fn newer_schema_text() -> String {
    let mut schema: serde_json::Value = serde_json::from_str(SCHEMA_TEXT).expect("json");
    let more: Vec<serde_json::Value> = serde_json::from_str(NEWER_FIELDS).expect("json");
    schema["fields"].as_array_mut().expect("fields").extend(more);
    schema.to_string()
}

/// The same events with something in each of the newer fields.
pub fn under_newer_schema() -> Vec<Example> {
    let newer = Schema::parse_str(&newer_schema_text()).expect("parses");
    let reader = GenericDatumReader::builder(own_schema()).build().expect("a reader");
    let writer = GenericDatumWriter::builder(&newer).build().expect("a writer");
    let newer_example = |Example { name, value }| {
        let read = reader.read_value(&mut &value[wire::HEADER_BYTES..]).expect("reads");
        let Value::Record(mut fields) = read else { panic!("{name} is no record") };
        fields.extend(newer_values());
        let datum = writer.write_value_to_vec(Value::Record(fields)).expect("writes");
        Example { name, value: [&value[..wire::HEADER_BYTES], &datum].concat() }
    };
    under_own_schema().into_iter().map(newer_example).collect()
}

fn newer_values() -> Vec<(String, Value)> {
    let text = |text: &str| Value::String(text.to_owned());
    let map = Value::Map([("k".to_owned(), Value::Bytes(vec![1, 2, 3]))].into());
    let extra = Value::Record(vec![
        ("id".to_owned(), text("e")),
        ("more".to_owned(), Value::Union(1, Box::new(map))),
    ]);
    let numbers = Value::Array(vec![Value::Long(i64::MIN), Value::Long(1), Value::Long(i64::MAX)]);
    [
        ("x_flag", Value::Boolean(true)),
        ("x_number", Value::Double(-0.5)),
        ("x_bytes", Value::Bytes(vec![0, 255])),
        ("x_hash", Value::Fixed(32, vec![9; 32])),
        ("x_map", Value::Map([("m".to_owned(), numbers)].into())),
        ("x_kind", Value::Enum(1, "b".to_owned())),
        ("x_union", Value::Union(3, Box::new(text("u")))),
        ("x_list", Value::Array(vec![extra.clone(), extra])),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}
