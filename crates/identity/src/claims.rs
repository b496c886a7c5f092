//! What a signed token says: each claim with its own type, and only what concerns us.

use audit_event::control::{ControlState, Role};
use audit_event::credential::Caller;
use audit_event::{TenantId, Timestamp};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};
use serde_json::{Map, Value};

use crate::config::Rules;
use crate::error::{MAX_SUBJECT_BYTES, TokenError};

/// Before the subject, so that no log and no rate takes it for the id of an API key.
const CALLER_PREFIX: &str = "jwt:";
const MICROS_PER_S: f64 = 1_000_000.0;

/// The claims of one token.
struct Claims(Map<String, Value>);

impl Rules {
    /// The caller behind the claims, whose signature was verified before.
    pub fn judge(&self, payload: &[u8], state: &ControlState, now: Timestamp) -> Result<Caller, TokenError> {
        let claims = Claims(serde_json::from_slice(payload).map_err(|_| TokenError::Malformed)?);
        self.check_times(&claims, now)?;
        if claims.text("iss")? != self.issuer {
            return Err(TokenError::Issuer);
        }
        if !claims.audiences()?.contains(&self.audience.as_str()) {
            return Err(TokenError::Audience);
        }
        let subject = claims.subject()?;
        let tenant: TenantId = claims
            .text(&self.tenant_claim)?
            .parse()
            .map_err(|_| fault(&self.tenant_claim, "the id of a tenant"))?;
        let role = role_named(claims.text(&self.role_claim)?)?;
        if !state.tenants.contains_key(&tenant) {
            return Err(TokenError::UnknownTenant);
        }
        Ok(Caller::new(tenant, role, format!("{CALLER_PREFIX}{subject}")))
    }

    fn check_times(&self, claims: &Claims, now: Timestamp) -> Result<(), TokenError> {
        // microseconds of this century fit into the 53 bits
        let now_s = now.micros() as f64 / MICROS_PER_S;
        let leeway_s = self.leeway.as_secs_f64();
        let expires_s = claims.time("exp")?.ok_or_else(|| fault("exp", "a number"))?;
        if now_s >= expires_s + leeway_s {
            return Err(TokenError::Expired);
        }
        match claims.time("nbf")? {
            Some(begins_s) if now_s + leeway_s < begins_s => Err(TokenError::NotYetValid),
            _ => Ok(()),
        }
    }
}

impl Claims {
    fn get(&self, claim: &str, form: &'static str) -> Result<&Value, TokenError> {
        self.0.get(claim).ok_or_else(|| fault(claim, form))
    }

    fn text(&self, claim: &str) -> Result<&str, TokenError> {
        const FORM: &str = "a text";
        self.get(claim, FORM)?.as_str().ok_or_else(|| fault(claim, FORM))
    }

    /// Seconds since 1970 (`NumericDate`, RFC 7519, section 2); parts of a second are allowed.
    fn time(&self, claim: &str) -> Result<Option<f64>, TokenError> {
        let Some(value) = self.0.get(claim) else { return Ok(None) };
        value.as_f64().filter(|seconds| seconds.is_finite()).map(Some).ok_or_else(|| fault(claim, "a number"))
    }

    fn audiences(&self) -> Result<Vec<&str>, TokenError> {
        const FORM: &str = "a text or a list of texts";
        let texts: Option<Vec<&str>> = match self.get("aud", FORM)? {
            Value::String(one) => Some(vec![one]),
            Value::Array(several) => several.iter().map(Value::as_str).collect(),
            _ => None,
        };
        texts.ok_or_else(|| fault("aud", FORM))
    }

    fn subject(&self) -> Result<&str, TokenError> {
        let subject = self.text("sub")?;
        let is_sane = (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) && !subject.contains(char::is_control);
        if is_sane { Ok(subject) } else { Err(fault("sub", "a text of 1 to 255 bytes on one line")) }
    }
}

/// By the names that the control topic has. Read from a text: an object with one field would be a name to serde, too.
fn role_named(name: &str) -> Result<Role, TokenError> {
    let name: StrDeserializer<'_, Error> = name.into_deserializer();
    Role::deserialize(name).map_err(|_| TokenError::UnknownRole)
}

fn fault(claim: &str, form: &'static str) -> TokenError {
    TokenError::Claim { claim: claim.to_owned(), form }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
