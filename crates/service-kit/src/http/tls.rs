//! A listener's TLS: certificate and key from two files, which are read again while the service runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

use crate::config::TlsConfig;

pub const CERTIFICATE_KEY: &str = "http.tls.certificate_file";
pub const KEY_KEY: &str = "http.tls.key_file";

/// The only protocol that is spoken inside.
const ALPN: &[u8] = b"http/1.1";

/// Why a listener has no TLS. No variant holds what stands in a file.
#[derive(Debug, Error)]
pub enum TlsError {
    #[error("{key}: {path} cannot be read: {cause}", path = path.display())]
    File { key: &'static str, path: PathBuf, cause: std::io::Error },
    #[error("{CERTIFICATE_KEY}: {path} cannot be read as certificates in PEM: {cause}", path = path.display())]
    Certificate { path: PathBuf, cause: pem::Error },
    #[error("{CERTIFICATE_KEY}: {path} holds no certificate; give a file with certificates in PEM", path = path.display())]
    NoCertificate { path: PathBuf },
    #[error("{KEY_KEY}: {path} holds no private key in PEM without a passphrase: {cause}", path = path.display())]
    Key { path: PathBuf, cause: pem::Error },
    #[error(
        "{CERTIFICATE_KEY} and {KEY_KEY} do not go together: {0}; give the key that the certificate was made for"
    )]
    Pair(rustls::Error),
}

/// Where the two stand, once both are known to be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
    reload: Duration,
}

impl TlsFiles {
    /// `None` for a listener without TLS; [`HttpConfig::check`](crate::config::HttpConfig::check) has refused one
    /// without the other.
    pub fn of(config: &TlsConfig) -> Option<Self> {
        let (certificate, key) = (config.certificate_file.clone()?, config.key_file.clone()?);
        Some(Self { certificate, key, reload: Duration::from_millis(config.reload_ms) })
    }

    async fn read(&self) -> Result<Pem, TlsError> {
        let (certificates, key) =
            (read(CERTIFICATE_KEY, &self.certificate).await?, read(KEY_KEY, &self.key).await?);
        Ok(Pem { certificates, key })
    }

    fn server_config(&self, pem: &Pem) -> Result<ServerConfig, TlsError> {
        let path = || self.certificate.clone();
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem.certificates)
            .collect::<Result<_, _>>()
            .map_err(|cause| TlsError::Certificate { path: path(), cause })?;
        if certificates.is_empty() {
            return Err(TlsError::NoCertificate { path: path() });
        }
        let key = PrivateKeyDer::from_pem_slice(&pem.key)
            .map_err(|cause| TlsError::Key { path: self.key.clone(), cause })?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(config)
    }
}

async fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    tokio::fs::read(path).await.map_err(|cause| TlsError::File { key, path: path.to_owned(), cause })
}

/// What the files held, to see whether they changed.
#[derive(PartialEq, Eq)]
struct Pem {
    certificates: Vec<u8>,
    key: Vec<u8>,
}

/// The TLS that new connections get.
#[derive(Debug, Clone)]
pub struct Tls {
    files: TlsFiles,
    current: Arc<ArcSwap<ServerConfig>>,
}

impl Tls {
    pub async fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let config = files.server_config(&files.read().await?)?;
        Ok(Self { files, current: Arc::new(ArcSwap::from_pointee(config)) })
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Takes up a new certificate without a restart. While what the files hold is of no use, the last good one stays;
    /// a fault is told once, not at each look. A pair is seldom replaced at one stroke, so a fault may mend itself.
    pub async fn follow(self) {
        let mut seen = None;
        loop {
            let found = self.files.read().await.map_err(|fault| fault.to_string());
            if seen.as_ref() != Some(&found) {
                let is_first = seen.is_none();
                match found.as_ref().map_err(Clone::clone).and_then(|pem| self.take_up(pem)) {
                    Ok(()) if is_first => {}
                    Ok(()) => tracing::info!("new connections get the new certificate"),
                    Err(fault) => tracing::error!(fault, "the certificate that was there before stays"),
                }
                seen = Some(found);
            }
            tokio::time::sleep(self.files.reload).await;
        }
    }

    fn take_up(&self, pem: &Pem) -> Result<(), String> {
        let config = self.files.server_config(pem).map_err(|fault| fault.to_string())?;
        self.current.store(Arc::new(config));
        Ok(())
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
