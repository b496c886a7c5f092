//! The settings of an HTTP listener.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::http::{cors, tls};

/// The HTTP listener and its bounds.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Address and port; `0.0.0.0` or `[::]` for all of the machine's addresses.
    #[schemars(with = "String", extend("format" = "address:port"))]
    pub listen: SocketAddr,
    /// Certificate and key of the listener. Without both it speaks plain HTTP.
    pub tls: TlsConfig,
    /// Origins whose pages may call the API from a browser, such as `https://console.example.org`. Without any, no
    /// answer has a header of CORS.
    pub cors_origins: Vec<String>,
    /// Connections at once; one more waits in the listener's backlog.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "connections"))]
    pub max_connections: usize,
    /// Connections at once from one address; one more is closed. A proxy that stands before the service is one address.
    #[schemars(range(min = 1, max = 1_000_000), extend("unit" = "connections"))]
    pub max_connections_per_peer: usize,
    /// How long a client may take over its headers, and over the TLS handshake before the first ones.
    #[schemars(range(min = 1, max = 600_000))]
    pub header_timeout_ms: u64,
    /// How long a connection may rest between two requests, and a client over reading on in its answer.
    #[schemars(range(min = 1, max = 3_600_000))]
    pub idle_timeout_ms: u64,
    /// The longest that a request may take; it is then dropped with its work.
    #[schemars(range(min = 1, max = 600_000))]
    pub request_timeout_ms: u64,
    /// How long new requests are still taken after a stop was asked for, so that whoever balances the load reads in
    /// `/readyz` that it should look elsewhere. Make it longer than the time between two of its looks.
    #[schemars(range(min = 0, max = 600_000))]
    pub stop_grace_ms: u64,
    /// How long requests in flight may go on after that.
    #[schemars(range(min = 0, max = 600_000))]
    pub drain_timeout_ms: u64,
}

/// Certificate and key of the listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// The certificate and those that lead from it to its authority, in PEM.
    pub certificate_file: Option<PathBuf>,
    /// The certificate's private key, in PEM and without a passphrase.
    pub key_file: Option<PathBuf>,
    /// How often both files are looked at: a new certificate is taken up without a restart.
    #[schemars(range(min = 10, max = 86_400_000))]
    pub reload_ms: u64,
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self { certificate_file: None, key_file: None, reload_ms: 10_000 }
    }
}

impl HttpConfig {
    pub fn on(listen: SocketAddr) -> Self {
        Self {
            listen,
            tls: TlsConfig::default(),
            cors_origins: Vec::new(),
            max_connections: 10_000,
            max_connections_per_peer: 5_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            request_timeout_ms: 30_000,
            stop_grace_ms: 500,
            drain_timeout_ms: 10_000,
        }
    }

    /// What the bounds of single settings cannot say.
    pub fn check(&self) -> Result<(), ConfigError> {
        let alone = |set: &str, missing: &str| {
            Err(ConfigError::Rule(format!(
                "{set} is set and {missing} is not; set both, or neither for plain HTTP"
            )))
        };
        match (&self.tls.certificate_file, &self.tls.key_file) {
            (Some(_), None) => return alone(tls::CERTIFICATE_KEY, tls::KEY_KEY),
            (None, Some(_)) => return alone(tls::KEY_KEY, tls::CERTIFICATE_KEY),
            _ => {}
        }
        cors::fault(&self.cors_origins).map_or(Ok(()), |fault| Err(ConfigError::Rule(fault)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_its_key_is_refused_and_a_key_alone_too() {
        let with = |certificate: Option<&str>, key: Option<&str>| {
            let mut config = HttpConfig::on(([127, 0, 0, 1], 0).into());
            config.tls.certificate_file = certificate.map(PathBuf::from);
            config.tls.key_file = key.map(PathBuf::from);
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(with(None, None), Ok(()));
        assert_eq!(with(Some("c.pem"), Some("k.pem")), Ok(()));
        let said = with(Some("c.pem"), None).expect_err("refused");
        assert!(said.contains("http.tls.key_file is not; set both, or neither"), "{said}");
        let said = with(None, Some("k.pem")).expect_err("refused");
        assert!(said.contains("http.tls.key_file is set and http.tls.certificate_file is not"), "{said}");
    }
}
