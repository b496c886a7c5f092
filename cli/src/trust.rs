//! Whom this command trusts when it speaks HTTPS, said once for all of its connections: `--ca-file`.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use client_security::client_config;

static CA_FILE: OnceLock<PathBuf> = OnceLock::new();

/// Called once, before anything is connected. An empty path is none: an environment can hardly take a variable back.
pub fn set(ca_file: Option<String>) {
    if let Some(path) = ca_file.filter(|path| !path.is_empty()) {
        let _set_before = CA_FILE.set(path.into());
    }
}

pub fn ca_file() -> Option<&'static Path> {
    CA_FILE.get().map(PathBuf::as_path)
}

/// A client of any of our services, or of the registry.
pub fn http_client(timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let tls = client_config("--ca-file", ca_file())?;
    Ok(reqwest::Client::builder().timeout(timeout).tls_backend_preconfigured(tls).build()?)
}
