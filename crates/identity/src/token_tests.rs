use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::*;
use crate::testing::{
    EC, ED, ISSUER, NOW, OTHER_RSA, RSA, claims, encode, jwks, rules, sign, state, tenant, unsigned,
};

/// Tokens of an issuer with three keys, and one that is for encryption.
fn tokens() -> Tokens {
    let for_encryption = OTHER_RSA.jwk_with("enc", &json!({"use": "enc"}));
    with_keys(&[RSA.jwk("rsa"), EC.jwk("ec"), ED.jwk("ed"), for_encryption])
}

fn with_keys(keys: &[Value]) -> Tokens {
    let tokens = Tokens::new(rules());
    let keys = KeySet::read(&jwks(keys), tokens.rules.algorithms.as_slice()).expect("a set");
    tokens.replace_keys(keys);
    tokens
}

fn fault(tokens: &Tokens, token: &str) -> TokenError {
    tokens.caller(token, &state(), NOW).expect_err("refused")
}

#[test]
fn a_token_of_each_kind_of_key_opens() {
    let tokens = tokens();
    for (key, kid) in [(&RSA, "rsa"), (&EC, "ec"), (&ED, "ed")] {
        let caller = tokens.caller(&key.token(kid, &claims()), &state(), NOW).expect(kid);
        assert_eq!((caller.tenant_id, caller.key_id.as_str()), (tenant("demo"), "jwt:ada"));
    }
    let lone = with_keys(&[EC.jwk("ec")]);
    assert!(lone.caller(&EC.sign(&json!({"alg": "ES256"}), &claims()), &state(), NOW).is_ok());
}

#[test]
fn before_the_keys_are_read_a_token_is_to_come_again() {
    let tokens = Tokens::new(rules());
    assert_eq!(fault(&tokens, &EC.token("ec", &claims())), TokenError::NotRead);
}

/// Each attack, and what it meets.
fn attacks() -> Vec<(&'static str, String, TokenError)> {
    use TokenError::{Algorithm as NotTaken, Critical, Malformed, NoKeyId, Signature, TooLong, UnknownKey};
    let claims = claims();
    let bare = |alg: &str| format!("{}.", unsigned(&json!({"alg": alg, "kid": "rsa"}), &claims));
    let header = |more: Value| {
        let mut header = json!({"alg": "RS256", "kid": "rsa"});
        for (name, value) in more.as_object().expect("an object") {
            header[name] = value.clone();
        }
        header
    };
    let ours = |more: Value| RSA.sign(&header(more), &claims);
    let theirs = |more: Value| OTHER_RSA.sign(&header(more), &claims);
    let by_hmac = |secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        sign(&header(json!({"alg": "HS256"})), &claims, &key, Algorithm::HS256)
    };
    let good = RSA.token("rsa", &claims);
    let (message, signature) = good.rsplit_once('.').expect("three parts");
    let jwk = RSA.jwk("rsa");
    let modulus = jwk["n"].as_str().expect("a modulus").to_owned();
    let mut promoted = claims.clone();
    promoted["role"] = json!("operator");
    let promoted = unsigned(&json!({"alg": "RS256", "kid": "rsa"}), &promoted);
    let ec = unsigned(&json!({"alg": "ES256", "kid": "ec"}), &claims);
    vec![
        ("no signature", bare("none"), NotTaken),
        ("no signature, capitals", bare("nOnE"), NotTaken),
        ("no signature, no algorithm", bare(""), NotTaken),
        ("a signature that is left out", bare("RS256"), Signature),
        ("hmac under the public key as json", by_hmac(jwk.to_string().as_bytes()), NotTaken),
        ("hmac under the modulus", by_hmac(modulus.as_bytes()), NotTaken),
        ("hmac under nothing", by_hmac(b""), NotTaken),
        ("an algorithm that is not configured", ours(json!({"alg": "RS384"})), NotTaken),
        ("an algorithm of another key type", ours(json!({"alg": "ES256"})), NotTaken),
        ("an ec token under an rsa key's id", EC.token("rsa", &claims), NotTaken),
        ("another's key", theirs(json!({})), Signature),
        ("another's key, brought along", theirs(json!({"jwk": OTHER_RSA.jwk("rsa")})), Signature),
        ("another's key, to be fetched", theirs(json!({"jku": "http://127.0.0.1:1/"})), Signature),
        ("another's certificate", theirs(json!({"x5c": ["AAAA"], "x5u": "http://127.0.0.1:1/"})), Signature),
        ("a key for encryption", OTHER_RSA.token("enc", &claims), UnknownKey),
        ("an unknown key", theirs(json!({"kid": "new"})), UnknownKey),
        ("a path as key id", theirs(json!({"kid": "../../../dev/null"})), UnknownKey),
        ("no key id", RSA.sign(&json!({"alg": "RS256"}), &claims), NoKeyId),
        ("a key id of null", ours(json!({"kid": null})), NoKeyId),
        ("a key id that is a number", ours(json!({"kid": 1})), Malformed),
        ("an algorithm that is a list", ours(json!({"alg": ["RS256"]})), Malformed),
        ("critical headers", ours(json!({"crit": ["exp"]})), Critical),
        ("an unencoded payload", ours(json!({"crit": ["b64"], "b64": false})), Critical),
        ("other claims under a signature", format!("{promoted}.{signature}"), Signature),
        ("a signature of zeros", format!("{ec}.{}", encode([0; 64])), Signature),
        ("an empty signature of ec", format!("{ec}."), Signature),
        ("a signature of the wrong length", format!("{ec}.{}", encode([7; 72])), Signature),
        ("padding", format!("{message}=.{signature}"), Signature),
        ("padding of the header", good.replacen('.', "=.", 1), Malformed),
        ("a fourth part", format!("{good}.AAAA"), Malformed),
        ("two parts", message.to_owned(), Malformed),
        ("one part", "AAAA".to_owned(), Malformed),
        ("nothing", String::new(), Malformed),
        ("dots", "..".to_owned(), Malformed),
        ("a header that is no json", format!("{}.{}.AAAA", encode("no"), encode("{}")), Malformed),
        (
            "two algorithms",
            {
                let header = encode(r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#);
                format!("{header}.{}.AAAA", encode("{}"))
            },
            Malformed,
        ),
        ("too long", format!("{good}{}", "A".repeat(MAX_TOKEN_BYTES)), TooLong),
        ("signed, and no claims", RSA.token("rsa", &json!([ISSUER])), Malformed),
    ]
}

#[test]
fn attacks_are_refused_by_what_they_are_and_told_nothing_of_the_token() {
    let tokens = tokens();
    for (attack, token, expected) in attacks() {
        let fault = fault(&tokens, &token);
        assert_eq!(fault, expected, "{attack}");
        let said = fault.to_string();
        assert!(said.chars().next().is_some_and(char::is_lowercase), "{said}");
        let parts = token.split('.').filter(|part| part.len() > 8);
        parts.for_each(|part| assert!(!said.contains(part), "{attack}: {said}"));
    }
}

#[test]
fn no_token_with_one_character_changed_opens() {
    let tokens = tokens();
    for (key, kid) in [(&EC, "ec"), (&ED, "ed"), (&RSA, "rsa")] {
        let good = key.token(kid, &claims());
        for at in 0..good.len() {
            let mut changed = good.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).expect("ascii");
            assert!(tokens.caller(&changed, &state(), NOW).is_err(), "{kid}: character {at}");
            assert!(tokens.caller(&good[..at], &state(), NOW).is_err(), "{kid}: cut at {at}");
        }
    }
}

#[tokio::test]
async fn only_what_may_be_a_new_key_asks_for_the_keys() {
    let asks = async |tokens: &Tokens, token: &str| {
        let _refused = fault(tokens, token);
        let soon = std::time::Duration::from_millis(1);
        tokio::time::timeout(soon, tokens.nudge.notified()).await.is_ok()
    };
    let several = tokens();
    assert!(asks(&several, &OTHER_RSA.token("new", &claims())).await);
    assert!(!asks(&several, &OTHER_RSA.token("rsa", &claims())).await);
    assert!(!asks(&several, "a.b.c").await);
    let lone = with_keys(&[RSA.jwk("rsa")]);
    assert!(asks(&lone, &OTHER_RSA.sign(&json!({"alg": "RS256"}), &claims())).await);
}
