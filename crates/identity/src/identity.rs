//! The one way in, for every service: API key or token, and the tenant that an operator names.

use std::sync::Arc;
use std::time::Duration;

use audit_event::Timestamp;
use audit_event::control::ControlState;
use audit_event::credential::{API_KEY_PREFIX, Caller, Pepper, authenticate, bearer};
use reqwest::header::{AUTHORIZATION, HeaderMap};
use tokio_util::sync::CancellationToken;

use crate::acting::acting;
use crate::config::{TokenConfig, TokenConfigError};
use crate::error::{IdentityError, TokenError};
use crate::refresher::{NUDGE_GAP, Refresher};
use crate::source::Source;
use crate::token::Tokens;

/// Tells who is calling.
#[derive(Clone)]
pub struct Identity {
    pepper: Pepper,
    tokens: Option<Arc<Tokens>>,
}

impl Identity {
    /// Begins to read the issuer's keys in the background, until `stop`; an issuer that is away is waited for, and API
    /// keys are good meanwhile. To be called inside a runtime.
    pub fn start(
        pepper: Pepper,
        config: &TokenConfig,
        stop: CancellationToken,
    ) -> Result<Self, TokenConfigError> {
        let Some((rules, location)) = config.rules()? else { return Ok(Self { pepper, tokens: None }) };
        let source = Source::new(location, config)?;
        let tokens = Arc::new(Tokens::new(rules));
        let every = Duration::from_millis(config.jwks_refresh_ms);
        let refresher = Refresher { tokens: tokens.clone(), source, every, nudge_gap: NUDGE_GAP };
        tokio::spawn(refresher.run(stop));
        Ok(Self { pepper, tokens: Some(tokens) })
    }

    /// The caller behind a request's headers. Neither waits nor does I/O.
    pub fn caller(
        &self,
        headers: &HeaderMap,
        state: &ControlState,
        now: Timestamp,
    ) -> Result<Caller, IdentityError> {
        let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let caller = match bearer(authorization).filter(|value| is_token(value)) {
            Some(token) => self.tokens.as_ref().ok_or(TokenError::Off)?.caller(token, state, now)?,
            None => authenticate(state, &self.pepper, authorization, now)?,
        };
        acting(caller, headers, state)
    }
}

/// An API key has a prefix of its own, a signed token two dots. All else is told to be no key, as before.
fn is_token(value: &str) -> bool {
    !value.starts_with(API_KEY_PREFIX) && value.bytes().filter(|byte| *byte == b'.').count() == 2
}

#[cfg(test)]
#[path = "identity_tests.rs"]
mod tests;
