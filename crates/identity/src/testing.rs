//! Keys, tokens and a control state for the tests of this crate.

use std::sync::LazyLock;

use audit_event::control::{ControlState, TenantRecord, VALUE_VERSION};
use audit_event::{TenantId, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use crate::config::{Rules, TokenConfig};

pub(crate) const ISSUER: &str = "https://idp.example/";
pub(crate) const AUDIENCE: &str = "sealtrail";
pub(crate) const NOW_S: i64 = 1_800_000_000;
pub(crate) const NOW: Timestamp = Timestamp::from_micros(NOW_S * 1_000_000);

pub(crate) static RSA: LazyLock<TestKey> = LazyLock::new(TestKey::rsa);
pub(crate) static OTHER_RSA: LazyLock<TestKey> = LazyLock::new(TestKey::rsa);
pub(crate) static EC: LazyLock<TestKey> = LazyLock::new(TestKey::ec);
pub(crate) static ED: LazyLock<TestKey> = LazyLock::new(TestKey::ed);

/// A private key with its public side as a JWK.
pub(crate) struct TestKey {
    pub signing: EncodingKey,
    pub algorithm: Algorithm,
    public: Value,
}

impl TestKey {
    pub fn rsa() -> Self {
        /// Before the key itself, in PKCS#8 of an RSA key of 2048 bits.
        const PKCS8_HEADER_BYTES: usize = 26;
        let pair = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
        let signing = EncodingKey::from_rsa_der(&pair.serialize_der()[PKCS8_HEADER_BYTES..]);
        let jwk = Jwk::from_encoding_key(&signing, Algorithm::RS256).expect("a public key");
        let jwk = serde_json::to_value(jwk).expect("json");
        let public = json!({"kty": "RSA", "n": jwk["n"], "e": jwk["e"]});
        Self { signing, algorithm: Algorithm::RS256, public }
    }

    pub fn ec() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
        let signing = EncodingKey::from_ec_der(&pair.serialize_der());
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let public = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
        Self { signing, algorithm: Algorithm::ES256, public }
    }

    pub fn ed() -> Self {
        let pair = KeyPair::generate_for(&PKCS_ED25519).expect("a key");
        let signing = EncodingKey::from_ed_der(&pair.serialize_der());
        let public = json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key_raw())});
        Self { signing, algorithm: Algorithm::EdDSA, public }
    }

    /// The public key under an id, as an issuer shows it.
    pub fn jwk(&self, kid: &str) -> Value {
        self.jwk_with(kid, &json!({}))
    }

    /// The same with further members, or others.
    pub fn jwk_with(&self, kid: &str, members: &Value) -> Value {
        let mut jwk = self.public.clone();
        jwk["kid"] = json!(kid);
        merge(&mut jwk, members);
        jwk
    }

    /// A token as the issuer writes it.
    pub fn token(&self, kid: &str, claims: &Value) -> String {
        self.sign(&json!({"alg": self.algorithm, "typ": "JWT", "kid": kid}), claims)
    }

    /// A token with any header.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        sign(header, claims, &self.signing, self.algorithm)
    }
}

pub(crate) fn sign(header: &Value, claims: &Value, key: &EncodingKey, algorithm: Algorithm) -> String {
    let message = unsigned(header, claims);
    let signature = crypto::sign(message.as_bytes(), key, algorithm).expect("signed");
    format!("{message}.{signature}")
}

/// Header and claims, without a signature.
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn jwks(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// Claims that are good in every respect.
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": NOW_S + 600, "nbf": NOW_S - 600, "iat": NOW_S - 600,
        "tenant_id": "demo", "role": "admin",
    })
}

/// The good claims with others in their place; null takes one away.
pub(crate) fn claims_with(others: &Value) -> Value {
    let mut claims = claims();
    merge(&mut claims, others);
    claims
}

fn merge(into: &mut Value, others: &Value) {
    let into = into.as_object_mut().expect("an object");
    for (name, value) in others.as_object().expect("an object") {
        if value.is_null() {
            into.remove(name);
        } else {
            into.insert(name.clone(), value.clone());
        }
    }
}

pub(crate) fn config() -> TokenConfig {
    TokenConfig {
        issuer: Some(ISSUER.to_owned()),
        audience: Some(AUDIENCE.to_owned()),
        jwks_url: Some("/nowhere".to_owned()),
        ..TokenConfig::default()
    }
}

pub(crate) fn rules() -> Rules {
    config().rules().expect("sound").expect("on").0
}

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().expect("a tenant")
}

/// Two tenants and no key.
pub(crate) fn state() -> ControlState {
    let mut state = ControlState::default();
    for tenant_id in [tenant("demo"), tenant("other")] {
        let record =
            TenantRecord { v: VALUE_VERSION, tenant_id: tenant_id.clone(), created_at: String::new() };
        state.tenants.insert(tenant_id, record);
    }
    state
}
