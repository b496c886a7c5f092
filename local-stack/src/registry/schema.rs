//! Avro schema text: read, bounded, and brought into the form in which two texts are the same schema.

use std::collections::{BTreeMap, HashMap};

use apache_avro::Schema;
use apache_avro::schema::{Name, UnionSchema};
use serde_json::{Map, Value};

/// A chain of named types can be short as text and huge when written out; these bound what one check may cost.
const MAX_NODES: usize = 20_000;
const MAX_DEPTH: usize = 128;

/// Why a text isn't a schema this registry keeps.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the schema is empty; send avro schema json as a string in \"schema\"")]
    Empty,
    #[error("the schema is not json: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("the schema is not valid avro: {0}")]
    NotAvro(#[from] apache_avro::Error),
    #[error(
        "the schema, with its named types written out, exceeds {MAX_NODES} types or {MAX_DEPTH} levels; split it"
    )]
    TooLarge,
}

/// A valid Avro schema.
#[derive(Debug)]
pub struct AvroSchema {
    /// As it was sent: what readers of the registry get back.
    pub text: String,
    /// Equal for two texts of the same schema.
    pub canonical: String,
    /// Parsed, with named types written out at each use: the compatibility check compares a definition only with a
    /// definition, and a later version may well move a definition from one field to another.
    pub expanded: Schema,
}

impl AvroSchema {
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        if text.trim().is_empty() {
            return Err(SchemaError::Empty);
        }
        let json: Value = serde_json::from_str(text)?;
        let schema = Schema::parse(&json)?;
        let mut definitions = HashMap::new();
        define(&schema, &mut definitions);
        let mut expansion = Expansion { definitions: &definitions, open: Vec::new(), nodes: 0 };
        let expanded = expansion.expand(schema.clone(), 0)?;
        Ok(Self { text: text.to_owned(), canonical: canonical_json(&json).to_string(), expanded })
    }
}

/// The canonical form of a stored text; a text that isn't JSON (another registry wrote it) only equals itself.
pub fn canonical(text: &str) -> String {
    serde_json::from_str(text)
        .map(|json| canonical_json(&json).to_string())
        .unwrap_or_else(|_| text.to_owned())
}

/// Not Avro's Parsing Canonical Form: that one drops defaults, docs and aliases, and a schema with another default is
/// another schema here. White space, the order of keys and `{"type": "x"}` for `"x"` don't matter.
fn canonical_json(json: &Value) -> Value {
    match json {
        Value::Object(object) => match object.get("type") {
            Some(inner) if object.len() == 1 => canonical_json(inner),
            _ => Value::Object(sorted(object, |key, value| match key {
                "type" | "items" | "values" | "fields" => canonical_json(value),
                _ => sorted_json(value),
            })),
        },
        Value::Array(items) => items.iter().map(canonical_json).collect(),
        other => other.clone(),
    }
}

fn sorted_json(json: &Value) -> Value {
    match json {
        Value::Object(object) => Value::Object(sorted(object, |_, value| sorted_json(value))),
        Value::Array(items) => items.iter().map(sorted_json).collect(),
        other => other.clone(),
    }
}

fn sorted(object: &Map<String, Value>, each: impl Fn(&str, &Value) -> Value) -> Map<String, Value> {
    let keys: BTreeMap<_, _> = object.iter().collect();
    keys.into_iter().map(|(key, value)| (key.clone(), each(key, value))).collect()
}

fn define<'a>(schema: &'a Schema, definitions: &mut HashMap<&'a Name, &'a Schema>) {
    match schema {
        Schema::Ref { .. } => return,
        Schema::Array(array) => define(&array.items, definitions),
        Schema::Map(map) => define(&map.types, definitions),
        Schema::Union(union) => {
            for variant in union.variants() {
                define(variant, definitions);
            }
        }
        Schema::Record(record) => {
            for field in &record.fields {
                define(&field.schema, definitions);
            }
        }
        _ => {}
    }
    if let Some(name) = schema.name() {
        definitions.insert(name, schema);
    }
}

struct Expansion<'a> {
    definitions: &'a HashMap<&'a Name, &'a Schema>,
    /// The records we are inside of: a recursive use stays a reference.
    open: Vec<Name>,
    nodes: usize,
}

impl Expansion<'_> {
    fn expand(&mut self, schema: Schema, depth: usize) -> Result<Schema, SchemaError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(SchemaError::TooLarge);
        }
        let schema = match schema {
            Schema::Ref { name } if !self.open.contains(&name) => match self.definitions.get(&name) {
                Some(definition) => (*definition).clone(),
                None => Schema::Ref { name },
            },
            other => other,
        };
        Ok(match schema {
            Schema::Array(mut array) => {
                array.items = Box::new(self.expand(*array.items, depth + 1)?);
                Schema::Array(array)
            }
            Schema::Map(mut map) => {
                map.types = Box::new(self.expand(*map.types, depth + 1)?);
                Schema::Map(map)
            }
            Schema::Union(union) => {
                let variants = union.variants().iter().cloned();
                let variants = variants.map(|variant| self.expand(variant, depth + 1));
                Schema::Union(UnionSchema::new(variants.collect::<Result<_, _>>()?)?)
            }
            Schema::Record(mut record) => {
                self.open.push(record.name.clone());
                for field in &mut record.fields {
                    let inner = std::mem::replace(&mut field.schema, Schema::Null);
                    field.schema = self.expand(inner, depth + 1)?;
                }
                self.open.pop();
                Schema::Record(record)
            }
            other => other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_does_not_make_another_schema_but_a_default_does() {
        let plain = canonical(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#);
        let moved =
            canonical(r#"{ "name":"R", "fields":[{"type":{"type":"int"},"name":"a"}], "type":"record" }"#);
        let other =
            canonical(r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1}]}"#);
        assert_eq!(plain, moved);
        assert_ne!(plain, other);
    }

    #[test]
    fn what_is_no_schema_is_refused() {
        assert!(matches!(AvroSchema::parse(" "), Err(SchemaError::Empty)));
        assert!(matches!(AvroSchema::parse("{"), Err(SchemaError::NotJson(_))));
        assert!(matches!(AvroSchema::parse(r#"{"type":"nope"}"#), Err(SchemaError::NotAvro(_))));
    }

    #[test]
    fn recursive_types_are_fine_and_exploding_ones_are_refused() {
        let list = r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#;
        AvroSchema::parse(list).expect("a list");
        let mut fields = String::new();
        for level in 1..30 {
            let below = level - 1;
            fields.push_str(&format!(
                r#",{{"name":"f{level}","type":{{"type":"record","name":"R{level}","fields":[
                    {{"name":"a","type":"R{below}"}},{{"name":"b","type":"R{below}"}}]}}}}"#
            ));
        }
        let bomb = format!(
            r#"{{"type":"record","name":"Top","fields":[{{"name":"f0","type":
                {{"type":"record","name":"R0","fields":[]}}}}{fields}]}}"#
        );
        assert!(matches!(AvroSchema::parse(&bomb), Err(SchemaError::TooLarge)));
    }
}
