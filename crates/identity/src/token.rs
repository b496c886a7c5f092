//! One token: its form and its signature, before any claim is looked at.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use audit_event::Timestamp;
use audit_event::control::ControlState;
use audit_event::credential::Caller;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, crypto};
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::Notify;

use crate::algorithms::named;
use crate::config::Rules;
use crate::error::TokenError;
use crate::jwks::KeySet;

/// The longest token that is looked at, in bytes.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Tokens of one issuer, and its keys as they were read last.
pub(crate) struct Tokens {
    pub rules: Rules,
    keys: ArcSwapOption<KeySet>,
    /// Asks the refresher for the keys.
    pub nudge: Notify,
}

/// What of the header counts (RFC 7515, section 4.1). Keys that a token brings along (`jwk`, `jku`, `x5u`, `x5c`) do not.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl Tokens {
    pub fn new(rules: Rules) -> Self {
        Self { rules, keys: ArcSwapOption::empty(), nudge: Notify::new() }
    }

    pub fn replace_keys(&self, keys: KeySet) {
        self.keys.store(Some(Arc::new(keys)));
    }

    pub fn has_keys(&self) -> bool {
        self.keys.load().is_some()
    }

    /// The caller that the token speaks for. Neither waits nor does I/O.
    pub fn caller(&self, token: &str, state: &ControlState, now: Timestamp) -> Result<Caller, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let keys = self.keys.load();
        let keys = keys.as_deref().ok_or(TokenError::NotRead)?;
        let claims = verify(token, keys).inspect_err(|error| {
            if matches!(error.fault, TokenError::UnknownKey) || error.may_be_a_new_key {
                self.nudge.notify_one();
            }
        });
        self.rules.judge(&claims.map_err(|error| error.fault)?, state, now)
    }
}

struct Unverified {
    fault: TokenError,
    /// A token without `kid` shows a change of keys by its signature only.
    may_be_a_new_key: bool,
}

impl From<TokenError> for Unverified {
    fn from(fault: TokenError) -> Self {
        Self { fault, may_be_a_new_key: false }
    }
}

/// The payload of a token that one of the keys has signed.
fn verify(token: &str, keys: &KeySet) -> Result<Vec<u8>, Unverified> {
    let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
    if payload.contains('.') {
        return Err(TokenError::Malformed.into());
    }
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| Unverified::from(TokenError::Malformed))?;
    if header.crit.is_some() {
        return Err(TokenError::Critical.into());
    }
    let algorithm = named(&header.alg).ok_or(TokenError::Algorithm)?;
    let candidates = keys.find(header.kid.as_deref(), algorithm)?;
    let is_signed_by = |key: &DecodingKey| {
        crypto::verify(signature, message.as_bytes(), key, algorithm).is_ok_and(|fits| fits)
    };
    if !candidates.iter().any(|key| is_signed_by(&key.decoding)) {
        let may_be_a_new_key = header.kid.is_none();
        return Err(Unverified { fault: TokenError::Signature, may_be_a_new_key });
    }
    Ok(decode(payload)?)
}

fn decode(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
