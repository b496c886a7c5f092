//! API keys: `stk_<key_id>_<secret>`, stored as HMAC-SHA256 under a pepper, compared in constant time.

use std::collections::BTreeSet;
use std::fmt;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use thiserror::Error;

use crate::control::{ApiKeyRecord, ControlState, Role, Scope};
use crate::ids::TenantId;
use crate::timestamp::Timestamp;

type HmacSha256 = Hmac<Sha256>;

const PREFIX: &str = "stk";
/// How every API key begins.
pub const API_KEY_PREFIX: &str = "stk_";
/// The longest API key that is looked at, in bytes.
pub const MAX_API_KEY_BYTES: usize = 256;

/// The secret under which keys are hashed. Never printed.
#[derive(Clone)]
pub struct Pepper(Vec<u8>);

impl Pepper {
    /// The fewest bytes that make a pepper.
    pub const MIN_BYTES: usize = 16;

    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, CredentialError> {
        let bytes = bytes.into();
        if bytes.len() < Self::MIN_BYTES { Err(CredentialError::ShortPepper) } else { Ok(Self(bytes)) }
    }

    fn mac(&self, api_key: &str) -> HmacSha256 {
        let mut mac = HmacSha256::new_from_slice(&self.0).expect("hmac takes keys of any length");
        mac.update(api_key.as_bytes());
        mac
    }

    /// What is stored of a key, in lower-case hex.
    pub fn hash(&self, api_key: &str) -> String {
        let digest = self.mac(api_key).finalize().into_bytes();
        digest.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn matches(&self, api_key: &str, stored_hex: &str) -> bool {
        let Some(stored) = decode_hex(stored_hex) else { return false };
        // verify_slice compares in constant time
        self.mac(api_key).verify_slice(&stored).is_ok()
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CredentialError {
    #[error("the pepper is shorter than {} bytes; make a new one", Pepper::MIN_BYTES)]
    ShortPepper,
    #[error("send `Authorization: Bearer <api key>`")]
    Missing,
    #[error("the api key is not valid")]
    Invalid,
    /// Told only to who has the secret.
    #[error("the api key has expired; use the one that replaces it")]
    Expired,
    #[error("the api key was revoked")]
    Revoked,
}

/// Who is calling, once the credential was believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub tenant_id: TenantId,
    pub role: Role,
    /// Of an API key its id, of a token `jwt:` and its subject.
    pub key_id: String,
    scopes: BTreeSet<Scope>,
}

impl Caller {
    /// One who may do all that the role allows.
    pub fn new(tenant_id: TenantId, role: Role, key_id: String) -> Self {
        Self { tenant_id, role, key_id, scopes: role.scopes().iter().copied().collect() }
    }

    fn of(record: &ApiKeyRecord) -> Self {
        let scopes = record.role.scopes().iter().copied().filter(|scope| record.may(*scope)).collect();
        Self { scopes, ..Self::new(record.tenant_id.clone(), record.role, record.key_id.clone()) }
    }

    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.contains(&scope)
    }
}

/// Writes a key out of its parts; both are random texts of letters and digits.
pub fn format_api_key(key_id: &str, secret: &str) -> String {
    format!("{PREFIX}_{key_id}_{secret}")
}

/// What an `Authorization` header brings, if it brings anything of this kind.
pub fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, value) = authorization?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| value.trim())
}

/// Finds the caller behind an `Authorization` header.
pub fn authenticate(
    state: &ControlState,
    pepper: &Pepper,
    authorization: Option<&str>,
    now: Timestamp,
) -> Result<Caller, CredentialError> {
    let api_key = bearer(authorization).ok_or(CredentialError::Missing)?;
    if api_key.len() > MAX_API_KEY_BYTES {
        return Err(CredentialError::Invalid);
    }
    let mut parts = api_key.splitn(3, '_');
    let (Some(PREFIX), Some(key_id), Some(_secret)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(CredentialError::Invalid);
    };
    let record = state.api_keys.get(key_id).ok_or(CredentialError::Invalid)?;
    if !pepper.matches(api_key, &record.secret_hmac) {
        return Err(CredentialError::Invalid);
    }
    if record.revoked_at.is_some() {
        return Err(CredentialError::Revoked);
    }
    if record.expires_at.is_some_and(|end| end <= now) {
        return Err(CredentialError::Expired);
    }
    Ok(Caller::of(record))
}

fn decode_hex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::VALUE_VERSION;

    const NOW: Timestamp = Timestamp::from_micros(1_000);

    fn state(pepper: &Pepper, key: &str) -> ControlState {
        let mut state = ControlState::default();
        let record = ApiKeyRecord {
            v: VALUE_VERSION,
            key_id: "k1".into(),
            tenant_id: "demo".parse().expect("a tenant"),
            role: Role::Producer,
            secret_hmac: pepper.hash(key),
            created_at: String::new(),
            scopes: None,
            expires_at: None,
            revoked_at: None,
        };
        state.api_keys.insert("k1".into(), record);
        state
    }

    #[test]
    fn only_the_whole_key_opens() {
        let pepper = Pepper::new(*b"0123456789abcdef").expect("long enough");
        let key = format_api_key("k1", "s3cr_et");
        let state = state(&pepper, &key);
        let open = |header: &str| authenticate(&state, &pepper, Some(header), NOW);
        assert_eq!(open(&format!("Bearer {key}")).expect("opens").tenant_id.as_str(), "demo");
        assert!(open(&format!("bearer  {key}")).is_ok());
        for bad in ["stk_k1_s3cr_eT", "stk_k2_s3cr_et", "stk_k1", "xyz_k1_s3cr_et", "", "stk_k1_s3cr_et_"] {
            assert_eq!(open(&format!("Bearer {bad}")), Err(CredentialError::Invalid), "{bad}");
        }
        assert_eq!(open("Basic abc"), Err(CredentialError::Missing));
        assert_eq!(authenticate(&state, &pepper, None, NOW), Err(CredentialError::Missing));
        let other = Pepper::new(*b"fedcba9876543210").expect("long enough");
        assert!(authenticate(&state, &other, Some(&format!("Bearer {key}")), NOW).is_err());
    }

    #[test]
    fn a_key_ends_and_says_so_to_who_has_its_secret_only() {
        let pepper = Pepper::new(*b"0123456789abcdef").expect("long enough");
        let key = format_api_key("k1", "secret");
        let mut state = state(&pepper, &key);
        let open = |state: &ControlState, key: &str, now: i64| {
            authenticate(state, &pepper, Some(&format!("Bearer {key}")), Timestamp::from_micros(now))
                .map(|_| ())
        };
        state.api_keys.get_mut("k1").expect("the key").expires_at = Some(Timestamp::from_micros(5_000));
        assert_eq!(open(&state, &key, 4_999), Ok(()));
        assert_eq!(open(&state, &key, 5_000), Err(CredentialError::Expired));
        assert_eq!(open(&state, "stk_k1_guessed", 5_000), Err(CredentialError::Invalid));
        state.api_keys.get_mut("k1").expect("the key").revoked_at = Some(NOW);
        assert_eq!(open(&state, &key, 1), Err(CredentialError::Revoked));
    }

    #[test]
    fn scopes_narrow_a_role_and_never_widen_it() {
        let pepper = Pepper::new(*b"0123456789abcdef").expect("long enough");
        let key = format_api_key("k1", "secret");
        let mut state = state(&pepper, &key);
        let record = state.api_keys.get_mut("k1").expect("the key");
        record.role = Role::Auditor;
        record.scopes = Some([Scope::Read, Scope::Write].into());
        let header = format!("Bearer {key}");
        let caller = authenticate(&state, &pepper, Some(&header), NOW).expect("opens");
        let may = [Scope::Write, Scope::Read, Scope::Export, Scope::Verify].map(|scope| caller.may(scope));
        assert_eq!(may, [false, true, false, false]);
    }

    #[test]
    fn a_pepper_is_not_printed() {
        let pepper = Pepper::new(*b"0123456789abcdef").expect("long enough");
        assert_eq!(format!("{pepper:?}"), "Pepper(…)");
    }
}
