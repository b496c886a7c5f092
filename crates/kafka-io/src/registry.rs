//! The schema registry: what this build writes is registered once, what others wrote is looked up by id.

use std::time::Duration;

use audit_event::SchemaId;
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// "Schema not found" in Confluent's list of error codes.
const SCHEMA_NOT_FOUND: u32 = 40403;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    pub url: String,
    pub timeout_ms: u64,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self { url: "http://127.0.0.1:8085".to_owned(), timeout_ms: 3_000 }
    }
}

#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("the registry refuses the schema: {0}")]
    Refused(String),
    #[error("the registry knows no schema {0}")]
    UnknownId(SchemaId),
    #[error("the registry does not answer as it should; is it up? {0}")]
    Unavailable(String),
}

/// A client of any registry that speaks Confluent's protocol.
pub struct SchemaRegistry {
    settings: SrSettings,
}

impl SchemaRegistry {
    pub fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        let settings = SrSettings::new_builder(config.url.clone())
            .set_timeout(Duration::from_millis(config.timeout_ms))
            .build()
            .map_err(|e| RegistryError::Unavailable(describe(&e)))?;
        Ok(Self { settings })
    }

    /// Registers the schema under the subject, or finds it there; answers its id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        match post_schema(&self.settings, subject.to_owned(), supplied).await {
            Ok(registered) => Ok(SchemaId(registered.id)),
            Err(error) => match status_of(&error) {
                Some(409 | 422) => Err(RegistryError::Refused(describe(&error))),
                _ => Err(RegistryError::Unavailable(describe(&error))),
            },
        }
    }

    /// The text of a schema. Schemas are immutable, so the caller may keep it.
    pub async fn schema(&self, id: SchemaId) -> Result<String, RegistryError> {
        match get_schema_by_id(id.0, &self.settings).await {
            Ok(registered) => Ok(registered.schema),
            Err(error) => match status_of(&error) {
                // a 404 of anything else than the registry's own would make dead letters of good records
                Some(404) if code_of(&error) == Some(SCHEMA_NOT_FOUND) => Err(RegistryError::UnknownId(id)),
                _ => Err(RegistryError::Unavailable(describe(&error))),
            },
        }
    }
}

/// The HTTP status, which the client keeps in its message only.
fn status_of(error: &SRCError) -> Option<u16> {
    let (_, rest) = error.error.split_once("failed with status ")?;
    rest.get(..3)?.parse().ok()
}

fn code_of(error: &SRCError) -> Option<u32> {
    std::error::Error::source(error)?.downcast_ref::<RawError>().map(|raw| raw.error_code)
}

fn describe(error: &SRCError) -> String {
    match &error.cause {
        Some(cause) => format!("{}: {cause}", error.error),
        None => error.error.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_out_of_the_clients_message() {
        let error = |text: &str| SRCError::new(text, None, false);
        assert_eq!(
            status_of(&error("HTTP request to schema registry failed with status 404 Not Found")),
            Some(404)
        );
        assert_eq!(status_of(&error("could not parse")), None);
    }
}
