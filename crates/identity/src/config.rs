//! The settings of tokens, and what they become once they were found to go together.

use std::path::PathBuf;
use std::time::Duration;

use client_security::TrustError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::algorithms::Algorithms;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenConfig {
    /// Who issues the tokens, exactly as their claim `iss` says it. Without it tokens are off: only API keys are taken.
    pub issuer: Option<String>,
    /// Whom the tokens must be for: their claim `aud` is this text, or a list with it. Required with an issuer.
    pub audience: Option<String>,
    /// Where the issuer's public keys (a JSON Web Key Set) are read. Required with an issuer.
    #[schemars(extend("format" = "http or https URL, or path"))]
    pub jwks_url: Option<String>,
    /// File with the certificate authorities to trust for `jwks_url`, in PEM; without it those of the system.
    pub ca_file: Option<PathBuf>,
    /// What tokens may be signed by: `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`, `ES384`, `EdDSA`.
    pub algorithms: Algorithms,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// The claim that names the role.
    pub role_claim: String,
    /// How far the clocks of issuer and service may differ.
    #[schemars(range(min = 0, max = 300))]
    pub leeway_s: u32,
    /// How often the keys are read again. A token under an unknown key has them read at once, within bounds.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub jwks_refresh_ms: u64,
    /// The longest wait for the keys.
    #[schemars(range(min = 1, max = 60_000))]
    pub jwks_timeout_ms: u64,
}

impl Default for TokenConfig {
    fn default() -> Self {
        Self {
            issuer: None,
            audience: None,
            jwks_url: None,
            ca_file: None,
            algorithms: Algorithms::default(),
            tenant_claim: "tenant_id".to_owned(),
            role_claim: "role".to_owned(),
            leeway_s: 30,
            jwks_refresh_ms: 300_000,
            jwks_timeout_ms: 5_000,
        }
    }
}

/// Settings that contradict each other, or name what is not there.
#[derive(Debug, Error)]
pub enum TokenConfigError {
    #[error("tokens.{set} is set and tokens.{missing} is not; issuer, audience and jwks_url go together")]
    Half { set: &'static str, missing: &'static str },
    #[error("tokens.{0} is empty; name a claim")]
    NoClaim(&'static str),
    #[error("tokens.jwks_url is neither an http or https URL nor a path")]
    Scheme,
    #[error("tokens.jwks_url holds a login, which would be logged; the keys are public, take it out")]
    LoginInUrl,
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("tokens: the http client cannot be made: {0}")]
    Client(String),
}

/// What a token must be, once tokens are on.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub issuer: String,
    pub audience: String,
    pub algorithms: Algorithms,
    pub tenant_claim: String,
    pub role_claim: String,
    pub leeway: Duration,
}

impl TokenConfig {
    /// The rules and where the keys are; `None` where tokens are off.
    pub(crate) fn rules(&self) -> Result<Option<(Rules, &str)>, TokenConfigError> {
        // an empty variable of the environment counts as none
        let texts = [("issuer", &self.issuer), ("audience", &self.audience), ("jwks_url", &self.jwks_url)];
        let [issuer, audience, jwks_url] =
            texts.map(|(name, text)| (name, text.as_deref().filter(|text| !text.is_empty())));
        let given = [issuer, audience, jwks_url];
        let Some((set, _)) = given.iter().find(|(_, text)| text.is_some()) else { return Ok(None) };
        let needed =
            |(missing, text): (&'static str, Option<_>)| text.ok_or(TokenConfigError::Half { set, missing });
        for (name, claim) in [("tenant_claim", &self.tenant_claim), ("role_claim", &self.role_claim)] {
            if claim.is_empty() {
                return Err(TokenConfigError::NoClaim(name));
            }
        }
        let rules = Rules {
            issuer: needed(issuer)?.to_owned(),
            audience: needed(audience)?.to_owned(),
            algorithms: self.algorithms.clone(),
            tenant_claim: self.tenant_claim.clone(),
            role_claim: self.role_claim.clone(),
            leeway: Duration::from_secs(self.leeway_s.into()),
        };
        Ok(Some((rules, needed(jwks_url)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_off_without_an_issuer_and_the_settings_go_together() {
        assert!(TokenConfig::default().rules().expect("sound").is_none());
        let with = |texts: [&str; 3]| {
            let [issuer, audience, jwks_url] = texts.map(|text| Some(text.to_owned()));
            let config = TokenConfig { issuer, audience, jwks_url, ..TokenConfig::default() };
            config.rules().map(|on| on.is_some()).map_err(|e| e.to_string())
        };
        assert_eq!(with(["", "", ""]), Ok(false));
        assert_eq!(with(["i", "a", "/keys.json"]), Ok(true));
        for half in [["i", "", "/keys.json"], ["i", "a", ""], ["", "a", ""], ["", "", "/keys.json"]] {
            assert!(with(half).is_err_and(|said| said.contains("go together")), "{half:?}");
        }
    }

    #[test]
    fn a_claim_has_a_name() {
        let text = || Some("x".to_owned());
        let config = TokenConfig {
            issuer: text(),
            audience: text(),
            jwks_url: text(),
            role_claim: String::new(),
            ..TokenConfig::default()
        };
        assert!(config.rules().is_err_and(|e| e.to_string().contains("tokens.role_claim")));
    }
}
