//! Where the issuer's keys are read: over HTTP, or from a file that somebody else keeps up to date.

use std::path::PathBuf;
use std::time::Duration;

use client_security::client_config;
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use thiserror::Error;
use tokio::io::AsyncReadExt;

use crate::config::{TokenConfig, TokenConfigError};

/// The largest key set that is read.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

#[derive(Debug, Error)]
pub(crate) enum SourceError {
    #[error("{0}")]
    Http(String),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it is larger than {MAX_BODY_BYTES} bytes")]
    TooLarge,
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("no answer in time; see tokens.jwks_timeout_ms")]
    Slow,
}

/// A place of keys.
pub(crate) struct Source {
    place: Place,
    timeout: Duration,
}

enum Place {
    Http { client: Client, url: Url },
    File(PathBuf),
}

impl Source {
    pub fn new(location: &str, config: &TokenConfig) -> Result<Self, TokenConfigError> {
        let timeout = Duration::from_millis(config.jwks_timeout_ms);
        let scheme = location.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let place = match scheme.as_deref() {
            None => Place::File(PathBuf::from(location)),
            Some("http" | "https") => {
                let url: Url = location.parse().map_err(|_| TokenConfigError::Scheme)?;
                if !url.username().is_empty() || url.password().is_some() {
                    return Err(TokenConfigError::LoginInUrl);
                }
                Place::Http { client: client(config)?, url }
            }
            Some(_) => return Err(TokenConfigError::Scheme),
        };
        Ok(Self { place, timeout })
    }

    /// The key set as it is there, bounded in size and time.
    pub async fn read(&self) -> Result<Vec<u8>, SourceError> {
        let read = async {
            match &self.place {
                Place::Http { client, url } => fetch(client, url.clone()).await,
                Place::File(path) => {
                    let file = tokio::fs::File::open(path).await?;
                    let mut body = Vec::new();
                    // one byte more shows that it is too large
                    file.take(MAX_BODY_BYTES as u64 + 1).read_to_end(&mut body).await?;
                    if body.len() > MAX_BODY_BYTES { Err(SourceError::TooLarge) } else { Ok(body) }
                }
            }
        };
        tokio::time::timeout(self.timeout, read).await.unwrap_or(Err(SourceError::Slow))
    }
}

fn client(config: &TokenConfig) -> Result<Client, TokenConfigError> {
    let tls = client_config("tokens.ca_file", config.ca_file.as_deref())?;
    let builder = Client::builder().tls_backend_preconfigured(tls);
    // a redirect could lead from https to http, and to whoever answers there
    builder.redirect(Policy::none()).build().map_err(|e| TokenConfigError::Client(describe(&e)))
}

async fn fetch(client: &Client, url: Url) -> Result<Vec<u8>, SourceError> {
    let http = |error: reqwest::Error| SourceError::Http(describe(&error.without_url()));
    let mut answer = client.get(url).send().await.map_err(http)?;
    if answer.status() != StatusCode::OK {
        return Err(SourceError::Status(answer.status()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(http)? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(SourceError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// With all causes: the client's own text ends before the word that matters.
fn describe(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
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
    fn a_place_is_a_url_or_a_path_and_holds_no_login() {
        let made = |location: &str| Source::new(location, &TokenConfig::default()).map(|s| s.place);
        assert!(matches!(made("https://idp.example/keys"), Ok(Place::Http { .. })));
        assert!(matches!(made("HTTP://127.0.0.1:1/keys"), Ok(Place::Http { .. })));
        assert!(matches!(made("/etc/sealtrail/keys.json"), Ok(Place::File(_))));
        assert!(matches!(made("ftp://idp.example/keys"), Err(TokenConfigError::Scheme)));
        let said = made("https://ada:hunter2@idp.example/keys").err().expect("refused").to_string();
        assert!(said.contains("tokens.jwks_url") && !said.contains("hunter2"), "{said}");
    }

    #[test]
    fn an_authority_that_is_not_there_is_named() {
        let config = TokenConfig { ca_file: Some("/nowhere/ca.pem".into()), ..TokenConfig::default() };
        let said = Source::new("https://idp.example/keys", &config).err().expect("refused").to_string();
        assert!(said.contains("tokens.ca_file"), "{said}");
    }
}
