//! Values that never reach a log: read from the configuration or from a file, printed as an ellipsis.

use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

/// A secret text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; name the place where it is needed, and keep it out of messages.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // any: a fault of another type must come here, where its message does not hold the value
        deserializer.deserialize_any(SecretVisitor)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "secret" })
    }
}

struct SecretVisitor;

/// What serde would say of another type names the value: "invalid type: integer `4711`".
fn not_a_text<E: de::Error>() -> E {
    E::custom("expected a text; put a value that looks like a number or a boolean into quotes")
}

impl Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        Ok(Secret::new(text))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(not_a_text())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(not_a_text())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(not_a_text())
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Secret, E> {
        Err(not_a_text())
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Secret, E> {
        Err(not_a_text())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(not_a_text())
    }
}

#[derive(Debug, Error)]
pub enum SecretError {
    #[error("set {key} or {key}_file")]
    Missing { key: &'static str },
    #[error("set only one of {key} and {key}_file")]
    Both { key: &'static str },
    #[error("{key}_file {path} is empty; write the secret into it", path = path.display())]
    Empty { key: &'static str, path: PathBuf },
    #[error("{key}_file {path}: {cause}", path = path.display())]
    File { key: &'static str, path: PathBuf, cause: std::io::Error },
}

/// Takes a secret from its value or its file; a line end behind the file's text does not count.
pub fn resolve(
    key: &'static str,
    value: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Option<Secret>, SecretError> {
    match (value, file) {
        (Some(_), Some(_)) => Err(SecretError::Both { key }),
        (Some(value), None) => Ok(Some(value.clone())),
        (None, None) => Ok(None),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => match text.trim_end_matches(['\r', '\n']) {
                "" => Err(SecretError::Empty { key, path: path.clone() }),
                text => Ok(Some(Secret::new(text))),
            },
            Err(cause) => Err(SecretError::File { key, path: path.clone(), cause }),
        },
    }
}

pub fn require(
    key: &'static str,
    value: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Secret, SecretError> {
    resolve(key, value, file)?.ok_or(SecretError::Missing { key })
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::Error;

    use super::*;

    #[test]
    fn a_secret_is_never_shown() {
        let secret = Secret::new("hunter2");
        assert!(!format!("{secret:?}").contains("hunter2"));
        let of_a_number: Result<Secret, Error> = Secret::deserialize(4711_u64.into_deserializer());
        let said = of_a_number.expect_err("not a text").to_string();
        assert!(!said.contains("4711") && said.contains("quotes"), "{said}");
    }
}
