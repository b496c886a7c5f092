//! Values that never reach a log: read from the configuration or from a file, printed as an ellipsis.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

/// A secret text.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
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

#[derive(Debug, Error)]
pub enum SecretError {
    #[error("set {key} or {key}_file")]
    Missing { key: &'static str },
    #[error("set only one of {key} and {key}_file")]
    Both { key: &'static str },
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
            Ok(text) => Ok(Some(Secret::new(text.trim_end_matches(['\r', '\n'])))),
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
