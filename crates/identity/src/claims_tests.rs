use audit_event::control::Scope;
use serde_json::json;

use super::*;
use crate::testing::{AUDIENCE, ISSUER, NOW, NOW_S, claims_with, rules, state, tenant};

fn judge(others: &Value) -> Result<Caller, TokenError> {
    rules().judge(claims_with(others).to_string().as_bytes(), &state(), NOW)
}

#[test]
fn good_claims_make_a_caller_with_the_rights_of_its_role() {
    let caller = judge(&json!({})).expect("good");
    assert_eq!(caller, Caller::new(tenant("demo"), Role::Admin, "jwt:ada".to_owned()));
    let reader = judge(&json!({"role": "reader", "tenant_id": "other", "nbf": null})).expect("good");
    assert_eq!((reader.tenant_id.as_str(), reader.may(Scope::Write)), ("other", false));
    for aud in [json!([AUDIENCE]), json!(["else", AUDIENCE])] {
        assert!(judge(&json!({ "aud": aud })).is_ok(), "{aud}");
    }
}

#[test]
fn a_claim_of_another_type_or_none_is_refused_and_named() {
    let absent = Value::Null;
    let nested = json!({"admin": null});
    for (claim, values) in [
        ("exp", vec![absent.clone(), json!("1800000600"), json!([1_800_000_600]), json!(true)]),
        ("nbf", vec![json!("1700000000"), json!({}), json!(false)]),
        ("iss", vec![absent.clone(), json!([ISSUER]), json!(7), json!({"a": ISSUER})]),
        ("aud", vec![absent.clone(), json!(7), json!([AUDIENCE, 7]), json!({"a": AUDIENCE}), json!(true)]),
        (
            "sub",
            vec![absent.clone(), json!(7), json!(""), json!(["ada"]), json!("a\nb"), json!("x".repeat(256))],
        ),
        (
            "tenant_id",
            vec![absent.clone(), json!(["demo"]), json!(1), json!(""), json!("Demo"), json!("demo|x")],
        ),
        ("role", vec![absent, json!(["admin"]), json!(0), nested, json!(true)]),
    ] {
        for value in values {
            let said = judge(&json!({ claim: value.clone() }));
            let is_named = matches!(&said, Err(TokenError::Claim { claim: named, .. }) if named == claim);
            assert!(is_named, "{claim} {value}: {said:?}");
        }
    }
}

#[test]
fn null_is_no_time_either() {
    // `claims_with` takes a null away, so the text is written by hand
    let text = claims_with(&json!({"exp": "E"})).to_string().replace("\"E\"", "null");
    assert!(matches!(rules().judge(text.as_bytes(), &state(), NOW), Err(TokenError::Claim { .. })));
    let text = claims_with(&json!({"nbf": "N"})).to_string().replace("\"N\"", "null");
    assert!(matches!(rules().judge(text.as_bytes(), &state(), NOW), Err(TokenError::Claim { .. })));
}

#[test]
fn a_claim_that_does_not_fit_is_refused() {
    let leeway_s = 30;
    for (others, fault) in [
        (json!({"iss": "https://idp.example"}), TokenError::Issuer),
        (json!({"iss": ""}), TokenError::Issuer),
        (json!({"aud": "sealtrail2"}), TokenError::Audience),
        (json!({"aud": []}), TokenError::Audience),
        (json!({"aud": ["SEALTRAIL"]}), TokenError::Audience),
        (json!({"exp": NOW_S - leeway_s}), TokenError::Expired),
        (json!({"exp": 0}), TokenError::Expired),
        (json!({"exp": -1}), TokenError::Expired),
        (json!({"exp": NOW_S as f64 - 30.5}), TokenError::Expired),
        (json!({"nbf": NOW_S + leeway_s + 1}), TokenError::NotYetValid),
        (json!({"nbf": 1e300}), TokenError::NotYetValid),
        (json!({"tenant_id": "nobody"}), TokenError::UnknownTenant),
        (json!({"role": "root"}), TokenError::UnknownRole),
        (json!({"role": "Admin"}), TokenError::UnknownRole),
        (json!({"role": ""}), TokenError::UnknownRole),
    ] {
        assert_eq!(judge(&others), Err(fault), "{others}");
    }
    for within in [json!({"exp": NOW_S - leeway_s + 1}), json!({"nbf": NOW_S + leeway_s})] {
        assert!(judge(&within).is_ok(), "{within}");
    }
}

#[test]
fn claims_have_the_names_that_are_set() {
    let mut rules = rules();
    rules.tenant_claim = "https://sealtrail.example/tenant".to_owned();
    rules.role_claim = "r".to_owned();
    let claims = claims_with(&json!({"https://sealtrail.example/tenant": "other", "r": "operator"}));
    let caller = rules.judge(claims.to_string().as_bytes(), &state(), NOW).expect("good");
    assert_eq!((caller.tenant_id.as_str(), caller.role), ("other", Role::Operator));
    let fault = rules.judge(claims_with(&json!({})).to_string().as_bytes(), &state(), NOW);
    assert!(fault.is_err_and(|fault| fault.to_string().contains("https://sealtrail.example/tenant")));
}

#[test]
fn what_is_no_object_is_no_set_of_claims() {
    for text in ["", "[]", "7", "\"text\"", "{", "null"] {
        assert_eq!(rules().judge(text.as_bytes(), &state(), NOW), Err(TokenError::Malformed), "{text}");
    }
}
