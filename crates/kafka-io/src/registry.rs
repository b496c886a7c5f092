//! The schema registry: what this build writes is registered once, what others wrote is looked up by id.

use std::path::PathBuf;
use std::time::Duration;

use audit_event::SchemaId;
use client_security::secret::{Secret, SecretError, resolve};
use client_security::{TrustError, client_config};
use schema_registry_converter::async_impl::schema_registry::{SrSettings, get_schema_by_id, post_schema};
use schema_registry_converter::error::SRCError;
use schema_registry_converter::schema_registry_common::{RawError, SchemaType, SuppliedSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// "Schema not found" in Confluent's list of error codes.
const SCHEMA_NOT_FOUND: u32 = 40403;

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// Its address, http or https; Confluent's protocol.
    #[schemars(extend("format" = "URL"))]
    pub url: String,
    /// File with the certificate authorities to trust, in PEM; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// The user's name at the registry (HTTP Basic).
    pub username: Option<String>,
    /// The user's password; or `password_file`.
    pub password: Option<Secret>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// The longest wait for its answer.
    #[schemars(range(min = 1, max = 600_000))]
    pub timeout_ms: u64,
}

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8085".to_owned(),
            ca_file: None,
            username: None,
            password: None,
            password_file: None,
            timeout_ms: 3_000,
        }
    }
}

#[derive(Debug, Error)]
pub enum RegistryError {
    #[error("the registry refuses the schema: {0}")]
    Refused(String),
    #[error("the registry knows no schema {0}")]
    UnknownId(SchemaId),
    #[error("the registry does not let us in, check registry.username and registry.password: {0}")]
    Denied(String),
    #[error("the registry does not answer as it should; is it up? {0}")]
    Unavailable(String),
    #[error(transparent)]
    Settings(#[from] RegistrySettingsError),
}

/// Settings that contradict each other, or name what is not there.
#[derive(Debug, Error)]
pub enum RegistrySettingsError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error(transparent)]
    Password(#[from] SecretError),
    #[error("registry.username and registry.password go together; set both or neither")]
    HalfALogin,
    #[error("registry.url holds a password; put it into registry.username and registry.password")]
    PasswordInUrl,
    #[error("the http client cannot be made: {0}")]
    Client(String),
}

impl RegistryConfig {
    fn settings(&self) -> Result<SrSettings, RegistrySettingsError> {
        // the URL is shown in logs and errors
        if self.url.contains('@') {
            return Err(RegistrySettingsError::PasswordInUrl);
        }
        let tls = client_config("registry.ca_file", self.ca_file.as_deref())?;
        let password = resolve("registry.password", self.password.as_ref(), self.password_file.as_ref())?;
        let mut builder = SrSettings::new_builder(self.url.clone());
        builder.set_timeout(Duration::from_millis(self.timeout_ms));
        match (&self.username, &password) {
            (Some(username), Some(password)) => {
                builder.set_basic_authorization(username, Some(password.expose()));
            }
            (None, None) => {}
            _ => return Err(RegistrySettingsError::HalfALogin),
        }
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls);
        builder.build_with(client).map_err(|e| RegistrySettingsError::Client(describe(&e)))
    }
}

/// A client of any registry that speaks Confluent's protocol.
pub struct SchemaRegistry {
    settings: SrSettings,
}

impl SchemaRegistry {
    pub fn new(config: &RegistryConfig) -> Result<Self, RegistryError> {
        Ok(Self { settings: config.settings()? })
    }

    /// Registers the schema under the subject, or finds it there; answers its id.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<SchemaId, RegistryError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        match post_schema(&self.settings, subject.to_owned(), supplied).await {
            Ok(registered) => Ok(SchemaId(registered.id)),
            Err(error) => match status_of(&error) {
                Some(409 | 422) => Err(RegistryError::Refused(describe(&error))),
                Some(401 | 403) => Err(RegistryError::Denied(describe(&error))),
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
                Some(401 | 403) => Err(RegistryError::Denied(describe(&error))),
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

/// With all causes: reqwest's own text ends at "error sending request", before the word that matters.
fn describe(error: &SRCError) -> String {
    let mut text = error.error.clone();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
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

    #[test]
    fn a_login_is_whole_and_never_in_the_url() {
        let registry = |url: &str, username: Option<&str>| RegistryConfig {
            url: url.to_owned(),
            username: username.map(ToOwned::to_owned),
            ..RegistryConfig::default()
        };
        let fault = |config: RegistryConfig| config.settings().expect_err("refused").to_string();
        let in_url = fault(registry("http://ada:hunter2@127.0.0.1:8085", None));
        assert!(in_url.contains("registry.password") && !in_url.contains("hunter2"), "{in_url}");
        assert!(fault(registry("http://127.0.0.1:8085", Some("ada"))).contains("go together"));
        assert!(registry("http://127.0.0.1:8085", None).settings().is_ok());
    }
}
