use audit_event::control::{ApiKeyRecord, Role, VALUE_VERSION};
use audit_event::credential::{CredentialError, format_api_key};
use reqwest::header::HeaderValue;
use serde_json::{Value, json};

use super::*;
use crate::acting::TENANT_HEADER;
use crate::error::Answer;
use crate::jwks::KeySet;
use crate::testing::{EC, NOW, claims_with, jwks, rules, state, tenant};

fn pepper() -> Pepper {
    Pepper::new(*b"0123456789abcdef").expect("long enough")
}

fn identity() -> Identity {
    let tokens = Tokens::new(rules());
    let keys = KeySet::read(&jwks(&[EC.jwk("ec")]), tokens.rules.algorithms.as_slice());
    tokens.replace_keys(keys.expect("a set"));
    Identity { pepper: pepper(), tokens: Some(Arc::new(tokens)) }
}

/// The tenants, and a key of each role in `demo` whose id is the role's place.
fn state_with_keys() -> ControlState {
    let mut state = state();
    for (place, role) in [Role::Reader, Role::Operator].into_iter().enumerate() {
        let key_id = format!("k{place}");
        let record = ApiKeyRecord {
            v: VALUE_VERSION,
            key_id: key_id.clone(),
            tenant_id: tenant("demo"),
            role,
            secret_hmac: pepper().hash(&format_api_key(&key_id, "se.cr.et")),
            created_at: String::new(),
            scopes: None,
            expires_at: None,
            revoked_at: None,
        };
        state.api_keys.insert(key_id, record);
    }
    state
}

fn ask(identity: &Identity, value: &str, tenant: Option<&'static str>) -> Result<Caller, IdentityError> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, HeaderValue::from_str(value).expect("a header"));
    if let Some(tenant) = tenant {
        headers.insert(TENANT_HEADER, HeaderValue::from_static(tenant));
    }
    identity.caller(&headers, &state_with_keys(), NOW)
}

fn bearer_token(others: &Value) -> String {
    format!("Bearer {}", EC.token("ec", &claims_with(others)))
}

#[test]
fn a_key_and_a_token_open_the_same_door() {
    let identity = identity();
    let by_token = ask(&identity, &bearer_token(&json!({})), None).expect("opens");
    assert_eq!((by_token.role, by_token.key_id.as_str()), (Role::Admin, "jwt:ada"));
    // two dots in its secret make no token of a key
    let by_key = ask(&identity, "bearer  stk_k0_se.cr.et", None).expect("opens");
    assert_eq!((by_key.role, by_key.key_id.as_str()), (Role::Reader, "k0"));
    for (value, fault) in [
        ("Bearer stk_k0_se.cr.eT", IdentityError::Credential(CredentialError::Invalid)),
        ("Bearer neither", IdentityError::Credential(CredentialError::Invalid)),
        ("Bearer a.b.c.d.e", IdentityError::Credential(CredentialError::Invalid)),
        ("Bearer a.b.c", IdentityError::Token(TokenError::Malformed)),
        ("Basic a.b.c", IdentityError::Credential(CredentialError::Missing)),
    ] {
        assert_eq!(ask(&identity, value, None), Err(fault), "{value}");
    }
    assert!(identity.caller(&HeaderMap::new(), &state(), NOW).is_err());
}

#[test]
fn an_operator_names_its_tenant_by_key_and_by_token_alike() {
    let identity = identity();
    let operator = bearer_token(&json!({"role": "operator"}));
    for value in [operator.as_str(), "Bearer stk_k1_se.cr.et"] {
        let acts_for = |tenant| ask(&identity, value, tenant).map(|caller| caller.tenant_id.to_string());
        assert_eq!(acts_for(Some("other")), Ok("other".to_owned()));
        assert_eq!(acts_for(None), Ok("demo".to_owned()));
        assert_eq!(acts_for(Some("nobody")), Err(IdentityError::NoSuchTenant));
    }
    for value in [bearer_token(&json!({})).as_str(), "Bearer stk_k0_se.cr.et"] {
        let fault = ask(&identity, value, Some("other")).expect_err("refused");
        assert_eq!((&fault, fault.answer()), (&IdentityError::NotAnOperator, Answer::Forbidden));
    }
}

#[test]
fn without_tokens_or_keys_the_api_keys_go_on() {
    let off = Identity { pepper: pepper(), tokens: None };
    let not_read = Identity { pepper: pepper(), tokens: Some(Arc::new(Tokens::new(rules()))) };
    for (identity, answer) in
        [(off, Answer::Unauthorized { retry_after_s: None }), (not_read, Answer::Unavailable)]
    {
        assert!(ask(&identity, "Bearer stk_k0_se.cr.et", None).is_ok());
        let fault = ask(&identity, &bearer_token(&json!({})), None).expect_err("refused");
        assert_eq!(fault.answer(), answer, "{fault}");
    }
}

#[test]
fn a_token_under_a_new_key_is_told_when_to_come_again() {
    let token = format!("Bearer {}", EC.token("new", &claims_with(&json!({}))));
    let fault = ask(&identity(), &token, None).expect_err("refused");
    assert_eq!(fault.answer(), Answer::Unauthorized { retry_after_s: Some(5) });
}
