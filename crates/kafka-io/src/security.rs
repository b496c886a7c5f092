//! How a client shows a broker who it is, and how it knows the broker: `kafka.security.*`.

use std::path::{Path, PathBuf};

use client_security::secret::{Secret, SecretError, resolve};
use rdkafka::ClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The way to the brokers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither TLS nor a password.
    #[default]
    Plaintext,
    /// TLS; the client may show a certificate.
    Ssl,
    /// A password without TLS, for a network that is private anyway.
    SaslPlaintext,
    /// TLS, and a password.
    SaslSsl,
}

/// How the password is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mechanism {
    /// The password itself is sent: only under TLS.
    Plain,
    #[serde(rename = "scram_sha_256")]
    ScramSha256,
    #[serde(rename = "scram_sha_512")]
    ScramSha512,
}

/// Who the brokers are, and who we are for them.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityConfig {
    /// The way to the brokers.
    pub protocol: Protocol,
    /// File with the certificate authorities to trust, in PEM; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// How the password is shown; the `sasl_…` protocols need it.
    pub mechanism: Option<Mechanism>,
    /// The user's name at the brokers.
    pub username: Option<String>,
    /// The user's password; or `password_file`.
    pub password: Option<Secret>,
    /// The file that holds the password.
    pub password_file: Option<PathBuf>,
    /// The client's own certificate and its chain, in PEM.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the client's certificate, in PEM and without a passphrase.
    pub key_file: Option<PathBuf>,
}

/// Settings that contradict each other, or name what is not there.
#[derive(Debug, Error)]
pub enum SecurityError {
    #[error(
        "kafka.security.{setting} is set, and kafka.security.protocol is {protocol}, which would not use it; \
         set the protocol to {needed}"
    )]
    Unused { setting: &'static str, protocol: &'static str, needed: &'static str },
    #[error("kafka.security.{setting} is missing; kafka.security.protocol {protocol} needs it")]
    Missing { setting: &'static str, protocol: &'static str },
    #[error("kafka.security.certificate_file and kafka.security.key_file go together; set both or neither")]
    HalfAKeyPair,
    #[error("kafka.security.{setting}: {path} cannot be read: {cause}", path = path.display())]
    File { setting: &'static str, path: PathBuf, cause: std::io::Error },
    #[error(transparent)]
    Password(#[from] SecretError),
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }

    fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    fn has_password(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

impl Mechanism {
    /// As librdkafka names it.
    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl SecurityConfig {
    /// Adds what a client needs. Files are read here, so that a client made anew sees a new password.
    pub(crate) fn apply(&self, client: &mut ClientConfig) -> Result<(), SecurityError> {
        client.set("security.protocol", self.protocol.name());
        self.apply_tls(client)?;
        self.apply_password(client)
    }

    fn apply_tls(&self, client: &mut ClientConfig) -> Result<(), SecurityError> {
        let files = [
            ("ca_file", "ssl.ca.location", &self.ca_file),
            ("certificate_file", "ssl.certificate.location", &self.certificate_file),
            ("key_file", "ssl.key.location", &self.key_file),
        ];
        for (setting, property, file) in files {
            let Some(path) = file else { continue };
            if !self.protocol.has_tls() {
                return Err(self.unused(setting, "ssl or sasl_ssl"));
            }
            client.set(property, readable(setting, path)?);
        }
        if self.certificate_file.is_some() != self.key_file.is_some() {
            return Err(SecurityError::HalfAKeyPair);
        }
        if self.protocol.has_tls() && self.ca_file.is_none() {
            // the OpenSSL that is built in does not know where the system keeps its authorities
            client.set("ssl.ca.location", "probe");
        }
        Ok(())
    }

    fn apply_password(&self, client: &mut ClientConfig) -> Result<(), SecurityError> {
        let password =
            resolve("kafka.security.password", self.password.as_ref(), self.password_file.as_ref())?;
        let password = password.as_ref().map(Secret::expose).filter(|text| !text.is_empty());
        let mechanism = self.mechanism.map(Mechanism::name);
        let username = self.username.as_deref().filter(|text| !text.is_empty());
        let wanted = [
            ("mechanism", "sasl.mechanism", mechanism),
            ("username", "sasl.username", username),
            ("password", "sasl.password", password),
        ];
        for (setting, property, value) in wanted {
            match (self.protocol.has_password(), value) {
                (true, Some(value)) => client.set(property, value),
                (true, None) => {
                    return Err(SecurityError::Missing { setting, protocol: self.protocol.name() });
                }
                (false, Some(_)) => return Err(self.unused(setting, "sasl_ssl")),
                (false, None) => continue,
            };
        }
        Ok(())
    }

    fn unused(&self, setting: &'static str, needed: &'static str) -> SecurityError {
        SecurityError::Unused { setting, protocol: self.protocol.name(), needed }
    }
}

/// The path as librdkafka takes it, of a file that can be read now.
fn readable(setting: &'static str, path: &Path) -> Result<String, SecurityError> {
    match std::fs::File::open(path) {
        Ok(_) => Ok(path.to_string_lossy().into_owned()),
        Err(cause) => Err(SecurityError::File { setting, path: path.to_owned(), cause }),
    }
}

#[cfg(test)]
#[path = "security_tests.rs"]
mod tests;
