use serde_json::json;

use super::*;
use crate::algorithms::Algorithms;
use crate::testing::{EC, ED, RSA, encode, jwks};

fn read(keys: &[Value]) -> Result<KeySet, KeySetError> {
    KeySet::read(&jwks(keys), Algorithms::default().as_slice())
}

fn algorithms(jwk: Value, allowed: &str) -> Vec<Algorithm> {
    let allowed: Algorithms = serde_json::from_value(json!(allowed)).expect("a list");
    let set = KeySet::read(&jwks(&[jwk]), allowed.as_slice());
    set.map(|set| set.keys[0].algorithms.clone()).unwrap_or_default()
}

#[test]
fn a_key_has_the_algorithms_of_its_type_its_own_word_and_the_settings() {
    assert_eq!(algorithms(RSA.jwk("a"), "RS256,PS512,ES256"), [Algorithm::RS256, Algorithm::PS512]);
    assert_eq!(algorithms(RSA.jwk_with("a", &json!({"alg": "PS512"})), "RS256,PS512"), [Algorithm::PS512]);
    assert_eq!(algorithms(EC.jwk("a"), "ES256,ES384,RS256"), [Algorithm::ES256]);
    assert_eq!(algorithms(ED.jwk("a"), "EdDSA"), [Algorithm::EdDSA]);
    assert_eq!(algorithms(ED.jwk("a"), "RS256"), []);
    // what contradicts itself fits nothing
    assert_eq!(algorithms(EC.jwk_with("a", &json!({"alg": "RS256"})), "RS256,ES256"), []);
    assert_eq!(algorithms(RSA.jwk_with("a", &json!({"alg": "HS256"})), "RS256"), []);
    assert_eq!(algorithms(RSA.jwk_with("a", &json!({"alg": "none"})), "RS256"), []);
}

#[test]
fn a_key_that_is_of_no_use_is_passed_over() {
    let good = EC.jwk("good");
    let short = encode([7; 31]);
    let useless = [
        RSA.jwk_with("a", &json!({"use": "enc"})),
        RSA.jwk_with("a", &json!({"use": "SIG"})),
        RSA.jwk_with("a", &json!({"key_ops": ["encrypt"]})),
        RSA.jwk_with("a", &json!({"key_ops": []})),
        RSA.jwk_with("a", &json!({"alg": "RSA-OAEP"})),
        RSA.jwk_with("a", &json!({"n": null})),
        RSA.jwk_with("a", &json!({"n": "not base64!"})),
        // 1024 bits
        RSA.jwk_with("a", &json!({"n": encode([0xff; 128])})),
        RSA.jwk_with("a", &json!({"kty": "oct", "k": "c2VjcmV0"})),
        RSA.jwk_with("a", &json!({"kid": 7})),
        EC.jwk_with("a", &json!({"crv": "P-384"})),
        EC.jwk_with("a", &json!({"crv": "secp256k1"})),
        EC.jwk_with("a", &json!({"x": short})),
        ED.jwk_with("a", &json!({"crv": "X25519"})),
        ED.jwk_with("a", &json!({"x": short})),
        json!("a text"),
        json!({}),
    ];
    for jwk in useless {
        assert_eq!(
            read(std::slice::from_ref(&jwk)).map(|set| set.len()),
            Err(KeySetError::NoneFits(1)),
            "{jwk}"
        );
        assert_eq!(read(&[jwk.clone(), good.clone()]).map(|set| set.len()), Ok(1), "{jwk}");
    }
    let usual = json!({"use": "sig", "key_ops": ["verify"], "alg": "ES256", "x5t": "…", "ext": true});
    assert!(read(&[EC.jwk_with("a", &usual)]).is_ok());
}

#[test]
fn what_is_no_key_set_is_refused_and_so_is_a_large_one() {
    for rubbish in ["", "[]", "{}", "<html>", r#"{"keys":{}}"#, r#"{"keys":null}"#] {
        let read = KeySet::read(rubbish.as_bytes(), Algorithms::default().as_slice());
        assert_eq!(read.map(|set| set.len()), Err(KeySetError::Form), "{rubbish}");
    }
    let many = vec![EC.jwk("a"); MAX_KEYS + 1];
    assert_eq!(read(&many).map(|set| set.len()), Err(KeySetError::TooMany(MAX_KEYS + 1)));
    assert!(read(&many[1..]).is_ok());
}

#[test]
fn a_key_is_found_by_its_id_and_a_lone_one_without() {
    let several = read(&[RSA.jwk("a"), EC.jwk("a"), ED.jwk("b")]).expect("a set");
    let found = |id, algorithm| several.find(id, algorithm).map(|keys| keys.len());
    assert_eq!(found(Some("a"), Algorithm::ES256), Ok(1));
    assert_eq!(found(Some("b"), Algorithm::ES256), Err(TokenError::Algorithm));
    assert_eq!(found(Some("c"), Algorithm::ES256), Err(TokenError::UnknownKey));
    assert_eq!(found(None, Algorithm::ES256), Err(TokenError::NoKeyId));
    let one = read(&[EC.jwk("a")]).expect("a set");
    assert_eq!(one.find(None, Algorithm::ES256).map(|keys| keys.len()), Ok(1));
    assert_eq!(one.find(Some(""), Algorithm::ES256).map(|keys| keys.len()), Err(TokenError::UnknownKey));
}
