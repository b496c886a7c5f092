//! The issuer's public keys: read out of a JSON Web Key Set (RFC 7517), each with the algorithms that fit it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::algorithms::named;
use crate::error::TokenError;

/// The most keys in one set; one of more is not taken.
pub(crate) const MAX_KEYS: usize = 100;
/// What the cryptography below takes, in bytes of the modulus.
const RSA_MODULUS_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
const ED25519_BYTES: usize = 32;

/// A set that is not taken. The one before it stays.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum KeySetError {
    #[error("it is not a json web key set")]
    Form,
    #[error("it has {0} keys, at most {MAX_KEYS} are taken")]
    TooMany(usize),
    #[error("none of its {0} keys fits tokens.algorithms")]
    NoneFits(usize),
}

/// One public key and what it may verify.
#[derive(Clone)]
pub(crate) struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    pub decoding: DecodingKey,
}

/// All keys that tokens may be signed by.
#[derive(Clone)]
pub(crate) struct KeySet {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// Reads a set. A key that is of no use here is passed over, as RFC 7517, section 5 wants.
    pub fn read(body: &[u8], allowed: &[Algorithm]) -> Result<Self, KeySetError> {
        let set: Set = serde_json::from_slice(body).map_err(|_| KeySetError::Form)?;
        let found = set.keys.len();
        if found > MAX_KEYS {
            return Err(KeySetError::TooMany(found));
        }
        let jwks = set.keys.into_iter().filter_map(|value| serde_json::from_value::<Jwk>(value).ok());
        let keys: Vec<_> = jwks.filter_map(|jwk| jwk.key(allowed)).collect();
        if keys.is_empty() { Err(KeySetError::NoneFits(found)) } else { Ok(Self { keys }) }
    }

    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// The keys that a token with this header may be signed by. Ids may stand twice, for keys of two kinds.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<Vec<&Key>, TokenError> {
        let of_this_id: Vec<_> = match id {
            Some(id) => self.keys.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
            None if self.keys.len() == 1 => self.keys.iter().collect(),
            None => return Err(TokenError::NoKeyId),
        };
        if of_this_id.is_empty() {
            return Err(TokenError::UnknownKey);
        }
        let fitting: Vec<_> =
            of_this_id.into_iter().filter(|key| key.algorithms.contains(&algorithm)).collect();
        if fitting.is_empty() { Err(TokenError::Algorithm) } else { Ok(fitting) }
    }
}

impl Jwk {
    fn key(self, allowed: &[Algorithm]) -> Option<Key> {
        if !self.is_for_signatures() {
            return None;
        }
        let (decoding, family): (_, &[Algorithm]) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) => (self.rsa()?, AlgorithmFamily::Rsa.algorithms()),
            ("EC", Some("P-256")) => (self.ec(32)?, &[Algorithm::ES256]),
            ("EC", Some("P-384")) => (self.ec(48)?, &[Algorithm::ES384]),
            ("OKP", Some("Ed25519")) => (self.ed()?, &[Algorithm::EdDSA]),
            // a symmetric key above all
            _ => return None,
        };
        let own = match self.alg.as_deref() {
            Some(name) => Some(named(name)?),
            None => None,
        };
        let fits =
            |algorithm: &Algorithm| allowed.contains(algorithm) && own.is_none_or(|own| own == *algorithm);
        let algorithms: Vec<_> = family.iter().copied().filter(fits).collect();
        (!algorithms.is_empty()).then_some(Key { id: self.kid, algorithms, decoding })
    }

    fn is_for_signatures(&self) -> bool {
        let by_use = self.usage.as_deref().is_none_or(|usage| usage == "sig");
        by_use && self.key_ops.as_ref().is_none_or(|ops| ops.iter().any(|op| op == "verify"))
    }

    fn rsa(&self) -> Option<DecodingKey> {
        let (modulus, exponent) = (decode(self.n.as_ref())?, decode(self.e.as_ref())?);
        RSA_MODULUS_BYTES
            .contains(&modulus.len())
            .then(|| DecodingKey::from_rsa_raw_components(&modulus, &exponent))
    }

    /// An uncompressed point, whose coordinates have their full length (RFC 7518, section 6.2.1.2).
    fn ec(&self, coordinate_bytes: usize) -> Option<DecodingKey> {
        let (x, y) = (decode(self.x.as_ref())?, decode(self.y.as_ref())?);
        if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
            return None;
        }
        Some(DecodingKey::from_ec_der(&[&[4], x.as_slice(), y.as_slice()].concat()))
    }

    fn ed(&self) -> Option<DecodingKey> {
        let x = decode(self.x.as_ref())?;
        (x.len() == ED25519_BYTES).then(|| DecodingKey::from_ed_der(&x))
    }
}

fn decode(text: Option<&String>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

#[cfg(test)]
#[path = "jwks_tests.rs"]
mod tests;
