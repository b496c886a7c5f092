//! The records of `_schemas`, in the layout Confluent's own registry writes, so that either can read the other's topic.

use serde::{Deserialize, Serialize};

use super::compatibility::Level;

/// One change of the registry: one record of the topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A version as it now is, also when it is soft-deleted.
    Version { subject: String, version: u32, id: u32, text: String, deleted: bool },
    /// A version is gone for good.
    Forget { subject: String, version: u32 },
    /// Every version up to this one is soft-deleted; read only, Confluent's way to delete a subject.
    DeleteUpTo { subject: String, version: u32 },
    /// The level of a subject, or the global one; none is back to the default.
    Level { subject: Option<String>, level: Option<Level> },
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("not the json of a registry record: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("{0} is missing")]
    Missing(&'static str),
    #[error(transparent)]
    Level(#[from] super::compatibility::UnknownLevel),
    #[error("schema type {0} is not kept here, only AVRO")]
    NotAvro(String),
}

#[derive(Serialize)]
struct SchemaKey<'a> {
    keytype: &'static str,
    subject: &'a str,
    version: u32,
    magic: u8,
}

#[derive(Serialize)]
struct ConfigKey<'a> {
    keytype: &'static str,
    subject: Option<&'a str>,
    magic: u8,
}

#[derive(Deserialize)]
struct AnyKey {
    keytype: String,
    subject: Option<String>,
    version: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct SchemaValue {
    subject: String,
    version: u32,
    id: u32,
    #[serde(rename = "schemaType", skip_serializing_if = "Option::is_none", default)]
    schema_type: Option<String>,
    schema: String,
    #[serde(default)]
    deleted: bool,
}

#[derive(Serialize, Deserialize)]
struct ConfigValue {
    #[serde(rename = "compatibilityLevel")]
    level: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct DeleteValue {
    subject: String,
    version: u32,
}

/// Key and value as they are written; no value is a tombstone, which compaction turns into nothing.
pub fn encode(change: &Change) -> Result<(Vec<u8>, Option<Vec<u8>>), serde_json::Error> {
    let schema_key =
        |subject, version| serde_json::to_vec(&SchemaKey { keytype: "SCHEMA", subject, version, magic: 1 });
    let subject_key = |keytype, subject| serde_json::to_vec(&ConfigKey { keytype, subject, magic: 0 });
    Ok(match change {
        Change::Version { subject, version, id, text, deleted } => {
            let value = SchemaValue {
                subject: subject.clone(),
                version: *version,
                id: *id,
                schema_type: None,
                schema: text.clone(),
                deleted: *deleted,
            };
            (schema_key(subject, *version)?, Some(serde_json::to_vec(&value)?))
        }
        Change::Forget { subject, version } => (schema_key(subject, *version)?, None),
        Change::DeleteUpTo { subject, version } => {
            let value = DeleteValue { subject: subject.clone(), version: *version };
            (subject_key("DELETE_SUBJECT", Some(subject))?, Some(serde_json::to_vec(&value)?))
        }
        Change::Level { subject, level } => {
            let value = level
                .map(|level| serde_json::to_vec(&ConfigValue { level: Some(level.as_str().to_owned()) }));
            (subject_key("CONFIG", subject.as_deref())?, value.transpose()?)
        }
    })
}

/// None for the kinds of record that say nothing here (no-ops, modes, contexts).
pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Change>, RecordError> {
    let key: AnyKey = serde_json::from_slice(key)?;
    let change = match (key.keytype.as_str(), value) {
        ("SCHEMA", None) => Change::Forget {
            subject: key.subject.ok_or(RecordError::Missing("subject"))?,
            version: key.version.ok_or(RecordError::Missing("version"))?,
        },
        ("SCHEMA", Some(value)) => {
            let value: SchemaValue = serde_json::from_slice(value)?;
            if let Some(other) = value.schema_type.filter(|kind| kind != "AVRO") {
                return Err(RecordError::NotAvro(other));
            }
            Change::Version {
                subject: value.subject,
                version: value.version,
                id: value.id,
                text: value.schema,
                deleted: value.deleted,
            }
        }
        ("CONFIG", value) => {
            let level = match value {
                Some(value) => serde_json::from_slice::<ConfigValue>(value)?.level,
                None => None,
            };
            Change::Level { subject: key.subject, level: level.map(|level| level.parse()).transpose()? }
        }
        ("DELETE_SUBJECT", Some(value)) => {
            let value: DeleteValue = serde_json::from_slice(value)?;
            Change::DeleteUpTo { subject: value.subject, version: value.version }
        }
        _ => return Ok(None),
    };
    Ok(Some(change))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(change: &Change) -> (String, Option<String>) {
        let (key, value) = encode(change).expect("json");
        let text = |bytes| String::from_utf8(bytes).expect("utf-8");
        (text(key), value.map(text))
    }

    #[test]
    fn records_have_the_known_layout_and_come_back() {
        let version = Change::Version {
            subject: "s".into(),
            version: 2,
            id: 7,
            text: "\"int\"".into(),
            deleted: false,
        };
        let level = Change::Level { subject: None, level: Some(Level::Full) };
        assert_eq!(
            text(&version),
            (
                r#"{"keytype":"SCHEMA","subject":"s","version":2,"magic":1}"#.to_owned(),
                Some(r#"{"subject":"s","version":2,"id":7,"schema":"\"int\"","deleted":false}"#.to_owned())
            )
        );
        assert_eq!(
            text(&level),
            (
                r#"{"keytype":"CONFIG","subject":null,"magic":0}"#.to_owned(),
                Some(r#"{"compatibilityLevel":"FULL"}"#.to_owned())
            )
        );
        let forget = Change::Forget { subject: "s".into(), version: 2 };
        let up_to = Change::DeleteUpTo { subject: "s".into(), version: 2 };
        for change in [version, level, forget, up_to] {
            let (key, value) = encode(&change).expect("json");
            assert_eq!(decode(&key, value.as_deref()).expect("readable"), Some(change));
        }
    }

    #[test]
    fn foreign_records_are_passed_over_and_broken_ones_reported() {
        assert!(matches!(decode(br#"{"keytype":"NOOP","magic":0}"#, None), Ok(None)));
        assert!(decode(b"no json", None).is_err());
        assert!(decode(br#"{"keytype":"SCHEMA","magic":1}"#, None).is_err());
    }
}
