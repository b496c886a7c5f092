//! Compatibility levels, and whether a schema may follow the ones before it.
//!
//! Levels and their meaning: Confluent Schema Registry REST API, "compatibility". Avro's resolution rules themselves
//! come from apache-avro.

use std::fmt;
use std::str::FromStr;

use apache_avro::Schema;
use apache_avro::error::CompatibilityError;
use apache_avro::schema::RecordSchema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};

use super::schema::AvroSchema;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    None,
    Backward,
    BackwardTransitive,
    Forward,
    ForwardTransitive,
    Full,
    FullTransitive,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not a compatibility level; use NONE, BACKWARD, FORWARD or FULL, the last three also with _TRANSITIVE"
)]
pub struct UnknownLevel(pub String);

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Backward => "BACKWARD",
            Self::BackwardTransitive => "BACKWARD_TRANSITIVE",
            Self::Forward => "FORWARD",
            Self::ForwardTransitive => "FORWARD_TRANSITIVE",
            Self::Full => "FULL",
            Self::FullTransitive => "FULL_TRANSITIVE",
        }
    }

    fn transitive(self) -> bool {
        matches!(self, Self::BackwardTransitive | Self::ForwardTransitive | Self::FullTransitive)
    }

    /// The new schema must read what the earlier one wrote.
    fn backward(self) -> bool {
        matches!(self, Self::Backward | Self::BackwardTransitive | Self::Full | Self::FullTransitive)
    }

    /// The earlier schema must read what the new one writes.
    fn forward(self) -> bool {
        matches!(self, Self::Forward | Self::ForwardTransitive | Self::Full | Self::FullTransitive)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        [
            Self::None,
            Self::Backward,
            Self::BackwardTransitive,
            Self::Forward,
            Self::ForwardTransitive,
            Self::Full,
            Self::FullTransitive,
        ]
        .into_iter()
        .find(|level| level.as_str().eq_ignore_ascii_case(text))
        .ok_or_else(|| UnknownLevel(text.to_owned()))
    }
}

/// What stands against `new` after `earlier` (version and text, oldest first); nothing means compatible.
pub fn obstacles<'a>(
    level: Level,
    new: &AvroSchema,
    earlier: impl DoubleEndedIterator<Item = (u32, &'a str)>,
) -> Vec<String> {
    if level == Level::None {
        return Vec::new();
    }
    let compared = if level.transitive() { usize::MAX } else { 1 };
    let mut found = Vec::new();
    for (version, text) in earlier.rev().take(compared) {
        let old = match AvroSchema::parse(text) {
            Ok(old) => old,
            Err(error) => {
                found.push(format!("version {version} cannot be compared: {error}"));
                continue;
            }
        };
        if level.backward()
            && let Some(why) = unreadable(&old.expanded, &new.expanded)
        {
            found.push(format!("the new schema cannot read version {version}: {why}"));
        }
        if level.forward()
            && let Some(why) = unreadable(&new.expanded, &old.expanded)
        {
            found.push(format!("version {version} cannot read the new schema: {why}"));
        }
    }
    found
}

/// A partial match is refused as well: "can be read unless it holds this symbol" breaks on the first such record.
fn unreadable(writer: &Schema, reader: &Schema) -> Option<String> {
    match SchemaCompatibility::can_read(writer, reader) {
        Ok(Compatibility::Full) => None,
        Ok(Compatibility::Partial) => Some(partial(writer, reader)),
        Err(error) => Some(describe(&error)),
    }
}

fn partial(writer: &Schema, reader: &Schema) -> String {
    if let (Schema::Record(writer), Schema::Record(reader)) = (writer, reader) {
        for field in &reader.fields {
            if let Some(written) = written_field(writer, &field.name, &field.aliases)
                && let Some(why) = unreadable(written, &field.schema)
            {
                return format!("field \"{}\": {why}", field.name);
            }
        }
    }
    "the writer has enum symbols or union branches that the reader lacks, and the reader's enum has no default".to_owned()
}

fn written_field<'a>(writer: &'a RecordSchema, name: &str, aliases: &[String]) -> Option<&'a Schema> {
    std::iter::once(name)
        .chain(aliases.iter().map(String::as_str))
        .find_map(|name| writer.fields.iter().find(|field| field.name == name))
        .map(|field| &field.schema)
}

fn describe(error: &CompatibilityError) -> String {
    use CompatibilityError as E;
    match error {
        E::WrongType { writer_schema_type, reader_schema_type } => {
            format!("the writer has {}, the reader {}", kind(writer_schema_type), kind(reader_schema_type))
        }
        E::FieldTypeMismatch(field, inner) => format!("field \"{field}\": {}", describe(inner)),
        E::MissingDefaultValue(field) => {
            format!("field \"{field}\" is not in the writer's schema; give it a default in the reader's")
        }
        E::MissingSymbols => "the reader's enum has none of the writer's symbols".to_owned(),
        E::MissingUnionElements | E::SchemaMismatchAllUnionElements => {
            "no branch of the union matches".to_owned()
        }
        E::FixedMismatch => "the fixed types differ in size".to_owned(),
        E::NameMismatch { writer_name, reader_name } => {
            format!("the writer's type is named {writer_name}, the reader's {reader_name}")
        }
        other => other.to_string(),
    }
}

/// The library reports a whole schema in its debug form, pages long; its first word is the type.
fn kind(debug: &str) -> String {
    let word = debug.split(|c: char| !c.is_alphanumeric()).next();
    word.unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
    const WITH_DEFAULT: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":"int"},{"name":"b","type":"string","default":""}]}"#;
    const WITHOUT_DEFAULT: &str = r#"{"type":"record","name":"R","fields":[
        {"name":"a","type":"int"},{"name":"b","type":"string"}]}"#;

    fn fits(level: Level, new: &str, earlier: &[&str]) -> bool {
        let new = AvroSchema::parse(new).expect("a schema");
        obstacles(level, &new, (1..).zip(earlier.iter().copied()).collect::<Vec<_>>().into_iter()).is_empty()
    }

    #[test]
    fn levels_look_in_their_direction() {
        assert!(fits(Level::Full, WITH_DEFAULT, &[BASE]));
        assert!(!fits(Level::Backward, WITHOUT_DEFAULT, &[BASE]));
        assert!(fits(Level::Forward, WITHOUT_DEFAULT, &[BASE]));
        assert!(fits(Level::Backward, BASE, &[WITHOUT_DEFAULT]));
        assert!(!fits(Level::Full, BASE, &[WITHOUT_DEFAULT]));
        assert!(fits(Level::None, r#""string""#, &[BASE]));
    }

    #[test]
    fn transitive_levels_look_at_every_version() {
        let earlier = [BASE, WITH_DEFAULT];
        assert!(fits(Level::Backward, WITHOUT_DEFAULT, &earlier));
        assert!(!fits(Level::BackwardTransitive, WITHOUT_DEFAULT, &earlier));
    }

    #[test]
    fn an_enum_grows_only_with_a_default() {
        let with = |symbols: &str, default: &str| {
            format!(
                r#"{{"type":"record","name":"R","fields":[{{"name":"e","type":
                    {{"type":"enum","name":"E","symbols":[{symbols}]{default}}}}}]}}"#
            )
        };
        let small = with(r#""x","y""#, "");
        let grown = with(r#""x","y","z""#, "");
        assert!(fits(Level::Backward, &grown, &[&small]));
        assert!(!fits(Level::Full, &grown, &[&small]));
        let default = r#","default":"x""#;
        assert!(fits(Level::Full, &with(r#""x","y","z""#, default), &[&with(r#""x","y""#, default)]));
        let why = obstacles(
            Level::Forward,
            &AvroSchema::parse(&grown).expect("a schema"),
            [(7, small.as_str())].into_iter(),
        );
        assert!(why[0].starts_with("version 7 cannot read the new schema: field \"e\""), "{why:?}");
    }

    #[test]
    fn a_definition_may_move_to_another_field() {
        let first = r#"{"type":"record","name":"R","fields":[
            {"name":"a","type":{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}},
            {"name":"b","type":"P"}]}"#;
        let moved = r#"{"type":"record","name":"R","fields":[
            {"name":"b","type":{"type":"record","name":"P","fields":[{"name":"x","type":"int"}]}},
            {"name":"a","type":"P"}]}"#;
        assert!(fits(Level::FullTransitive, moved, &[first]));
    }

    #[test]
    fn names_are_read_and_written_the_same() {
        assert_eq!("full_transitive".parse(), Ok(Level::FullTransitive));
        assert_eq!("FORWARD".parse::<Level>().map(Level::as_str), Ok("FORWARD"));
        assert!("SIDEWAYS".parse::<Level>().is_err());
    }
}
