//! Whom a client trusts: the certificate authorities of the system, or those of one file and no other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use thiserror::Error;

#[derive(Debug, Error)]
pub enum TrustError {
    #[error("{key}: {path} cannot be read as certificates in PEM: {cause}", path = path.display())]
    File { key: &'static str, path: PathBuf, cause: String },
    #[error("{key}: {path} holds no certificate; give a file with certificates in PEM", path = path.display())]
    Empty { key: &'static str, path: PathBuf },
}

/// A client's TLS settings. `key` names the setting that `ca_file` comes from.
///
/// A machine without any certificate authority is no error here: a client that speaks plain HTTP needs none, and one
/// that speaks HTTPS then trusts nobody.
pub fn client_config(key: &'static str, ca_file: Option<&Path>) -> Result<ClientConfig, TrustError> {
    let roots = match ca_file {
        Some(path) => roots_of(key, path)?,
        None => roots_of_the_system(),
    };
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has TLS 1.2 and 1.3");
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(key: &'static str, path: &Path) -> Result<RootCertStore, TrustError> {
    let fault = |cause: String| TrustError::File { key, path: path.to_owned(), cause };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fault(e.to_string()))? {
        let certificate = certificate.map_err(|e| fault(e.to_string()))?;
        roots.add(certificate).map_err(|e| fault(e.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TrustError::Empty { key, path: path.to_owned() });
    }
    Ok(roots)
}

fn roots_of_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // what cannot be parsed is passed over: systems carry certificates that no client of today takes
    let _passed_over = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_there_or_holds_no_certificate_is_named() {
        let missing = client_config("registry.ca_file", Some(Path::new("/nowhere/ca.pem")));
        let said = missing.expect_err("no such file").to_string();
        assert!(said.contains("registry.ca_file") && said.contains("/nowhere/ca.pem"), "{said}");
        let empty = client_config("registry.ca_file", Some(Path::new("/dev/null")));
        assert!(matches!(empty, Err(TrustError::Empty { .. })));
    }

    #[test]
    fn without_a_file_the_systems_authorities_count() {
        assert!(client_config("registry.ca_file", None).is_ok());
    }
}
