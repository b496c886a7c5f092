//! Producers' signatures: over the Avro datum of the event without its `signature` field. A tenant's policy names the keys
//! and says whether an event without a good signature is taken.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use thiserror::Error;

use crate::credential::Pepper;
use crate::event::Signature;
use crate::ids::TenantId;
use crate::timestamp::Timestamp;

/// What a tenant's policy says of signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signatures {
    /// Whether the gateway takes only events with a good one. If not, signatures are kept and not looked at.
    pub required: bool,
    /// By key id. Several at once make a rotation with overlap.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, SignatureKey>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignatureKey {
    pub algorithm: SignatureAlgorithm,
    /// Of Ed25519, in base64. The secret of an HMAC key is stored nowhere: it is derived from the pepper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
    /// From then on it verifies nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// As `signature.algorithm` of an event names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignatureAlgorithm {
    /// RFC 2104, RFC 6234; the key is the secret's text.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// RFC 8032.
    Ed25519,
}

impl SignatureAlgorithm {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "HMAC-SHA256",
            Self::Ed25519 => "Ed25519",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SignatureFault {
    #[error("the tenant's policy asks for a signature; sign the event, such as with `sealtrail sign`")]
    Missing,
    #[error("the policy knows no signature key of this id")]
    UnknownKey,
    #[error("the signature key has ended; sign with the one that replaces it")]
    Ended,
    #[error("the key is one for {}", .0.as_str())]
    Algorithm(SignatureAlgorithm),
    #[error("the value is not the signature in base64")]
    Form,
    #[error(
        "the signature does not fit the event: it is made over the avro datum without `signature`, with event_id, tenant_id \
         and every default filled in"
    )]
    Wrong,
}

impl Signatures {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Judges the signature of an event. `datum` is the event in Avro without it.
    pub fn check(
        &self,
        tenant: &TenantId,
        signature: Option<&Signature>,
        pepper: &Pepper,
        now: Timestamp,
        datum: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), SignatureFault> {
        if !self.required {
            return Ok(());
        }
        let Signature { key_id, algorithm, value } = signature.ok_or(SignatureFault::Missing)?;
        let key = self.keys.get(key_id).ok_or(SignatureFault::UnknownKey)?;
        if key.ends_at.is_some_and(|end| end <= now) {
            return Err(SignatureFault::Ended);
        }
        if key.algorithm.as_str() != algorithm {
            return Err(SignatureFault::Algorithm(key.algorithm));
        }
        let value = STANDARD.decode(value).map_err(|_| SignatureFault::Form)?;
        let datum = datum();
        let is_good = match key.algorithm {
            SignatureAlgorithm::HmacSha256 => {
                // verify_slice compares in constant time
                hmac_of(&signing_secret(pepper, tenant, key_id), &datum).verify_slice(&value).is_ok()
            }
            SignatureAlgorithm::Ed25519 => key.verifies(&datum, &value),
        };
        if is_good { Ok(()) } else { Err(SignatureFault::Wrong) }
    }
}

impl SignatureKey {
    pub fn ed25519(public_key: [u8; 32]) -> Self {
        Self {
            algorithm: SignatureAlgorithm::Ed25519,
            public_key: Some(STANDARD.encode(public_key)),
            ends_at: None,
        }
    }

    pub fn hmac_sha256() -> Self {
        Self { algorithm: SignatureAlgorithm::HmacSha256, public_key: None, ends_at: None }
    }

    fn verifying_key(&self) -> Option<VerifyingKey> {
        let bytes = STANDARD.decode(self.public_key.as_deref()?).ok()?;
        VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()
    }

    fn verifies(&self, datum: &[u8], value: &[u8]) -> bool {
        let signature = ed25519_dalek::Signature::from_slice(value);
        match (self.verifying_key(), signature) {
            // strict: no key of small order, and one signature has one spelling
            (Some(key), Ok(signature)) => key.verify_strict(datum, &signature).is_ok(),
            _ => false,
        }
    }

    /// Whether it can verify anything at all.
    pub fn is_sound(&self) -> bool {
        match self.algorithm {
            SignatureAlgorithm::HmacSha256 => self.public_key.is_none(),
            SignatureAlgorithm::Ed25519 => self.verifying_key().is_some_and(|key| !key.is_weak()),
        }
    }
}

/// The secret of an HMAC key, as its holder has it.
pub fn signing_secret(pepper: &Pepper, tenant: &TenantId, key_id: &str) -> String {
    pepper.hash(&format!("signing-key\n{tenant}\n{key_id}"))
}

fn hmac_of(secret: &str, datum: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("hmac takes keys of any length");
    mac.update(datum);
    mac
}

/// A producer's own half: how it signs.
pub enum Signer {
    HmacSha256 { secret: String },
    Ed25519 { key: Box<ed25519_dalek::SigningKey> },
}

impl Signer {
    pub fn sign(&self, key_id: &str, datum: &[u8]) -> Signature {
        use ed25519_dalek::Signer as _;
        let (algorithm, value) = match self {
            Self::HmacSha256 { secret } => {
                (SignatureAlgorithm::HmacSha256, hmac_of(secret, datum).finalize().into_bytes().to_vec())
            }
            Self::Ed25519 { key } => (SignatureAlgorithm::Ed25519, key.sign(datum).to_vec()),
        };
        Signature {
            key_id: key_id.to_owned(),
            algorithm: algorithm.as_str().to_owned(),
            value: STANDARD.encode(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_000_000);
    const DATUM: &[u8] = b"datum";

    fn tenant() -> TenantId {
        "demo".parse().expect("a tenant")
    }

    fn pepper() -> Pepper {
        Pepper::new("0123456789abcdef").expect("a pepper")
    }

    fn both() -> (Signatures, [Signer; 2]) {
        let ed25519 = ed25519_dalek::SigningKey::from_bytes(&[5; 32]);
        let keys = [
            ("hmac".to_owned(), SignatureKey::hmac_sha256()),
            ("ed".to_owned(), SignatureKey::ed25519(ed25519.verifying_key().to_bytes())),
        ];
        let secret = signing_secret(&pepper(), &tenant(), "hmac");
        let signers = [Signer::HmacSha256 { secret }, Signer::Ed25519 { key: Box::new(ed25519) }];
        (Signatures { required: true, keys: keys.into() }, signers)
    }

    fn check(policy: &Signatures, signature: Option<&Signature>, datum: &[u8]) -> Result<(), SignatureFault> {
        policy.check(&tenant(), signature, &pepper(), NOW, || datum.to_vec())
    }

    #[test]
    fn a_good_signature_passes_and_no_other_event_does_under_it() {
        let (policy, signers) = both();
        for (key_id, signer) in ["hmac", "ed"].into_iter().zip(&signers) {
            let signature = signer.sign(key_id, DATUM);
            assert_eq!(check(&policy, Some(&signature), DATUM), Ok(()), "{key_id}");
            assert_eq!(check(&policy, Some(&signature), b"another"), Err(SignatureFault::Wrong), "{key_id}");
        }
    }

    #[test]
    fn every_fault_has_its_name() {
        let (mut policy, [hmac, ed25519]) = both();
        let good = hmac.sign("hmac", DATUM);
        let with = |change: &dyn Fn(&mut Signature)| {
            let mut signature = good.clone();
            change(&mut signature);
            check(&policy, Some(&signature), DATUM)
        };
        assert_eq!(check(&policy, None, DATUM), Err(SignatureFault::Missing));
        assert_eq!(with(&|s| s.key_id = "x".into()), Err(SignatureFault::UnknownKey));
        assert_eq!(with(&|s| s.value = "?".into()), Err(SignatureFault::Form));
        assert_eq!(with(&|s| s.value = String::new()), Err(SignatureFault::Wrong));
        // a public key must not serve as an hmac secret
        let confused = Signature { key_id: "ed".into(), ..good.clone() };
        let expected = Err(SignatureFault::Algorithm(SignatureAlgorithm::Ed25519));
        assert_eq!(check(&policy, Some(&confused), DATUM), expected);
        let other_tenant =
            policy.check(&"x".parse().expect("a tenant"), Some(&good), &pepper(), NOW, || DATUM.to_vec());
        assert_eq!(other_tenant, Err(SignatureFault::Wrong));
        policy.keys.get_mut("hmac").expect("there").ends_at = Some(NOW);
        assert_eq!(check(&policy, Some(&good), DATUM), Err(SignatureFault::Ended));
        assert_eq!(check(&policy, Some(&ed25519.sign("ed", DATUM)), DATUM), Ok(()), "the other one goes on");
        policy.required = false;
        assert_eq!(check(&policy, None, DATUM), Ok(()));
    }

    #[test]
    fn a_weak_or_broken_public_key_is_not_sound() {
        assert!(!SignatureKey::ed25519([0; 32]).is_sound());
        let broken = SignatureKey { public_key: Some("AAAA".into()), ..SignatureKey::ed25519([0; 32]) };
        assert!(!broken.is_sound());
        assert!(both().0.keys.values().all(SignatureKey::is_sound));
    }
}
