//! A small file in MaxMind's format, written here: one record for one network of IPv4. Source of the format:
//! <https://maxmind.github.io/MaxMind-DB/>, version 2.0.

use serde_json::{Value, json};

pub const BUILT_S: i64 = 1_790_000_000;
/// The network is `81.0.0.0/8`: a path of one node for each of its bits.
const NETWORK: u8 = 81;
const NODES: u32 = 8;
const SEPARATOR_BYTES: u32 = 16;
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";

const STRING: u8 = 2;
const DOUBLE: u8 = 3;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

pub fn mmdb(database_type: &str, record: &Value) -> Vec<u8> {
    let mut file = Vec::new();
    for bit in 0..NODES {
        let next = if bit + 1 < NODES { bit + 1 } else { NODES + SEPARATOR_BYTES };
        let goes_right = NETWORK & (0x80 >> bit) != 0;
        let branches = if goes_right { [NODES, next] } else { [next, NODES] };
        for branch in branches {
            file.extend_from_slice(&branch.to_be_bytes()[1..]);
        }
    }
    file.extend_from_slice(&[0; SEPARATOR_BYTES as usize]);
    encode(record, &mut file);
    file.extend_from_slice(MARKER);
    metadata(database_type, &mut file);
    file
}

/// The numbers of the metadata have types of their own.
fn metadata(database_type: &str, out: &mut Vec<u8>) {
    control(MAP, 9, out);
    for (name, number) in [
        ("binary_format_major_version", 2_u16),
        ("binary_format_minor_version", 0),
        ("ip_version", 4),
        ("record_size", 24),
    ] {
        encode(&json!(name), out);
        control(UINT16, 2, out);
        out.extend_from_slice(&number.to_be_bytes());
    }
    for (name, value) in [
        ("database_type", json!(database_type)),
        ("description", json!({"en": "made by a test"})),
        ("languages", json!(["en"])),
        ("node_count", json!(NODES)),
    ] {
        encode(&json!(name), out);
        encode(&value, out);
    }
    encode(&json!("build_epoch"), out);
    control(UINT64, 8, out);
    out.extend_from_slice(&BUILT_S.to_be_bytes());
}

fn encode(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::String(text) => {
            control(STRING, text.len(), out);
            out.extend_from_slice(text.as_bytes());
        }
        Value::Number(number) if number.is_f64() => {
            control(DOUBLE, 8, out);
            out.extend_from_slice(&number.as_f64().unwrap().to_be_bytes());
        }
        Value::Number(number) => {
            control(UINT32, 4, out);
            out.extend_from_slice(&u32::try_from(number.as_u64().unwrap()).unwrap().to_be_bytes());
        }
        Value::Object(fields) => {
            control(MAP, fields.len(), out);
            for (name, field) in fields {
                encode(&json!(name), out);
                encode(field, out);
            }
        }
        Value::Array(items) => {
            control(ARRAY, items.len(), out);
            items.iter().for_each(|item| encode(item, out));
        }
        Value::Null | Value::Bool(_) => panic!("not written by tests"),
    }
}

/// Type and size; types above 7 have a byte of their own.
fn control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let size = u8::try_from(size).unwrap();
    let (size, further) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    out.push(if kind <= 7 { kind << 5 | size } else { size });
    if kind > 7 {
        out.push(kind - 7);
    }
    out.extend(further);
}
