use super::*;
use crate::avro::{CodecError, SCHEMA_TEXT, WriterSchema};

/// This build's schema with one field more, of this type.
fn with_field(kind: &str) -> String {
    let mut schema: serde_json::Value = serde_json::from_str(SCHEMA_TEXT).expect("json");
    let kind: serde_json::Value = serde_json::from_str(kind).expect("json");
    schema["fields"].as_array_mut().expect("fields").push(serde_json::json!({"name": "x", "type": kind}));
    schema.to_string()
}

fn check_text(text: &str) -> Result<(), SchemaFault> {
    check(&Schema::parse_str(text).expect("parses"))
}

#[test]
fn a_schema_whose_small_datum_can_do_large_harm_is_refused() {
    let nulls = r#"{"type": "array", "items": "null"}"#;
    assert_eq!(check_text(&with_field(nulls)), Err(SchemaFault::EmptyItems));
    let empty_records = r#"{"type": "array", "items": {"type": "record", "name": "E", "fields": [
        {"name": "n", "type": "null"}, {"name": "z", "type": {"type": "fixed", "name": "Z", "size": 0}}
    ]}}"#;
    assert_eq!(check_text(&with_field(empty_records)), Err(SchemaFault::EmptyItems));
    let itself =
        r#"["null", {"type": "record", "name": "N", "fields": [{"name": "n", "type": ["null", "N"]}]}]"#;
    assert!(matches!(check_text(&with_field(itself)), Err(SchemaFault::Recursive(_))));
    let large = r#"["null", {"type": "fixed", "name": "F", "size": 100000000000000}]"#;
    assert_eq!(check_text(&with_field(large)), Err(SchemaFault::LargeFixed(100_000_000_000_000)));
    assert_eq!(check_text(&with_field(&doubling(40))), Err(SchemaFault::TooManyValues));
}

/// Each record holds the one before it twice: 2^depth values out of no bytes at all.
fn doubling(depth: u32) -> String {
    (0..depth).fold(r#""null""#.to_owned(), |inner, level| {
        let again = if level == 0 { inner.clone() } else { format!("\"R{}\"", level - 1) };
        format!(
            r#"{{"type": "record", "name": "R{level}", "fields": [{{"name": "a", "type": {inner}}}, {{"name": "b", "type": {again}}}]}}"#
        )
    })
}

#[test]
fn what_versions_may_add_is_read() {
    assert_eq!(check_text(SCHEMA_TEXT), Ok(()));
    for kind in [
        r#"{"type": "array", "items": ["null", "long"]}"#,
        r#"{"type": "map", "values": "null"}"#,
        r#"{"type": "array", "items": "Target"}"#,
        r#"["null", "Severity", {"type": "fixed", "name": "Hash", "size": 32}]"#,
        &doubling(8),
    ] {
        assert_eq!(check_text(&with_field(kind)), Ok(()), "{kind}");
    }
}

#[test]
fn a_refused_schema_says_why() {
    let refused = WriterSchema::parse(&with_field(r#"{"type": "array", "items": "null"}"#));
    let Err(CodecError::Schema(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("may take no bytes"), "{why}");
}
