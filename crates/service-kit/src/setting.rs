//! What a service can be told: each setting with its kind, bounds, unit and sentence, read from the `Config` structs
//! themselves (doc comments and `schemars` attributes), so that the reference and the checks cannot differ from them.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;

/// A group of settings: one struct, or the settings that stand alone.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The first part of the keys; empty for those that stand alone.
    pub name: String,
    pub about: String,
    pub settings: Vec<Setting>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The path, such as `kafka.brokers`.
    pub key: String,
    pub kind: Kind,
    pub unit: Option<String>,
    pub default: Value,
    pub about: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Any text; the format says which, such as `address`.
    Text {
        format: Option<String>,
    },
    OneOf(Vec<Choice>),
    Number {
        least: Option<f64>,
        most: Option<f64>,
    },
    Flag,
    /// Texts.
    List,
    Table,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    pub value: String,
    pub about: String,
}

impl Kind {
    /// Whether a value of the environment is taken as it is written.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text { .. } | Self::OneOf(_))
    }
}

/// All settings of a service, in groups, sorted by key.
pub fn groups<C: JsonSchema + Default + Serialize>() -> Vec<Group> {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<C>().to_value();
    let defaults = serde_json::to_value(C::default()).unwrap_or_default();
    let mut alone = Group { name: String::new(), about: String::new(), settings: Vec::new() };
    let mut groups = Vec::new();
    for (name, schema) in fields(&schema) {
        let default = defaults.get(name).unwrap_or(&Value::Null);
        let mut found = Vec::new();
        collect(name, schema, default, &mut found);
        if schema.get("properties").is_some() {
            groups.push(Group { name: name.clone(), about: about(schema), settings: found });
        } else {
            alone.settings.append(&mut found);
        }
    }
    if !alone.settings.is_empty() {
        groups.insert(0, alone);
    }
    groups
}

/// All settings of a service.
pub fn all<C: JsonSchema + Default + Serialize>() -> Vec<Setting> {
    groups::<C>().into_iter().flat_map(|group| group.settings).collect()
}

fn collect(key: &str, schema: &Value, default: &Value, into: &mut Vec<Setting>) {
    if schema.get("properties").is_some() {
        for (name, schema) in fields(schema) {
            collect(&format!("{key}.{name}"), schema, default.get(name).unwrap_or(&Value::Null), into);
        }
        return;
    }
    into.push(Setting {
        key: key.to_owned(),
        kind: kind(key, schema),
        unit: unit(key, schema),
        default: default.clone(),
        about: about(schema),
    });
}

fn fields(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

fn about(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(key: &str, schema: &Value) -> Kind {
    // what may be absent is a union with null
    let present = schema["anyOf"].as_array().and_then(|of| of.iter().find(|s| s["type"] != "null"));
    let schema = present.unwrap_or(schema);
    let choices = choices(schema);
    if !choices.is_empty() {
        return Kind::OneOf(choices);
    }
    let is = |name: &str| match &schema["type"] {
        Value::Array(types) => types.iter().any(|t| t == name),
        single => single == name,
    };
    if is("integer") || is("number") {
        Kind::Number { least: schema["minimum"].as_f64(), most: schema["maximum"].as_f64() }
    } else if is("boolean") {
        Kind::Flag
    } else if is("array") {
        Kind::List
    } else if is("object") {
        Kind::Table
    } else {
        let by_name = key.ends_with("_file").then_some("path");
        Kind::Text { format: schema["format"].as_str().or(by_name).map(ToOwned::to_owned) }
    }
}

/// A variant with a doc comment is a `const` in `oneOf`; those without one share an `enum`, there or alone.
fn choices(schema: &Value) -> Vec<Choice> {
    let alone = std::iter::once(schema);
    alone.chain(schema["oneOf"].as_array().into_iter().flatten()).flat_map(choices_of).collect()
}

fn choices_of(schema: &Value) -> Vec<Choice> {
    let choice = |value: &str, about| Choice { value: value.to_owned(), about };
    if let Some(value) = schema["const"].as_str() {
        return vec![choice(value, about(schema))];
    }
    let plain = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    plain.map(|value| choice(value, String::new())).collect()
}

/// The unit stands at the end of the name, or in the attribute `extend("unit" = "…")`.
fn unit(key: &str, schema: &Value) -> Option<String> {
    const BY_NAME: [(&str, &str); 5] =
        [("_ms", "ms"), ("_s", "s"), ("_bytes", "bytes"), ("_kib", "KiB"), ("_mib", "MiB")];
    let by_name = || BY_NAME.iter().find(|(end, _)| key.ends_with(end)).map(|(_, unit)| *unit);
    schema["unit"].as_str().or_else(by_name).map(ToOwned::to_owned)
}

/// The first number outside its bounds, as a sentence.
pub fn out_of_bounds(settings: &[Setting], values: &Value) -> Option<String> {
    settings.iter().find_map(|setting| {
        let Kind::Number { least, most } = setting.kind else { return None };
        let value = setting.key.split('.').try_fold(values, |at, part| at.get(part))?.as_f64()?;
        let fits = least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most);
        (!fits).then(|| format!("{} is {value}, it must be {}", setting.key, bounds(least, most)))
    })
}

/// Such as `1 to 500000`.
pub fn bounds(least: Option<f64>, most: Option<f64>) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("at least {least}"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "any number".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[derive(Default, Serialize, JsonSchema)]
    struct Sample {
        /// A group.
        pool: Pool,
        /// A text
        /// of two lines.
        key_file: Option<std::path::PathBuf>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Pool {
        /// How long.
        #[schemars(range(min = 1, max = 9))]
        wait_ms: u64,
        /// How many.
        #[schemars(range(min = 0, max = 3), extend("unit" = "pools"))]
        depth: Option<u8>,
        /// Which.
        mode: Option<Mode>,
        /// Others.
        others: BTreeMap<String, String>,
        on: bool,
    }

    impl Default for Pool {
        fn default() -> Self {
            Self { wait_ms: 5, depth: None, mode: Some(Mode::B), others: BTreeMap::new(), on: false }
        }
    }

    #[expect(dead_code, reason = "only the schema names them")]
    #[derive(Serialize, JsonSchema)]
    enum Mode {
        /// The first.
        A,
        B,
        C,
    }

    #[test]
    fn structs_become_groups_of_settings() {
        let groups = groups::<Sample>();
        let names: Vec<_> = groups.iter().map(|g| (g.name.as_str(), g.about.as_str())).collect();
        assert_eq!(names, [("", ""), ("pool", "A group.")]);
        assert_eq!(groups[0].settings[0].about, "A text of two lines.");
        assert_eq!(groups[0].settings[0].kind, Kind::Text { format: Some("path".to_owned()) });
        let found = |key: &str| groups[1].settings.iter().find(|s| s.key == key).expect("there").clone();
        let wait = found("pool.wait_ms");
        assert_eq!((wait.unit.as_deref(), &wait.default), (Some("ms"), &Value::from(5)));
        assert_eq!(wait.kind, Kind::Number { least: Some(1.0), most: Some(9.0) });
        assert_eq!(found("pool.depth").unit.as_deref(), Some("pools"));
        assert_eq!(found("pool.depth").kind, Kind::Number { least: Some(0.0), most: Some(3.0) });
        assert_eq!(found("pool.others").kind, Kind::Table);
        assert_eq!(found("pool.on").kind, Kind::Flag);
        let Kind::OneOf(choices) = found("pool.mode").kind else { panic!("choices") };
        let choices: Vec<_> = choices.iter().map(|c| (c.value.as_str(), c.about.as_str())).collect();
        assert_eq!(choices, [("B", ""), ("C", ""), ("A", "The first.")]);
    }

    #[test]
    fn a_number_outside_its_bounds_is_named() {
        let settings = all::<Sample>();
        let with = |wait_ms: u64| serde_json::json!({ "pool": { "wait_ms": wait_ms, "depth": null } });
        assert_eq!(out_of_bounds(&settings, &with(9)), None);
        let said = out_of_bounds(&settings, &with(10));
        assert_eq!(said.as_deref(), Some("pool.wait_ms is 10, it must be 1 to 9"));
    }
}
