use proptest::prelude::*;

use super::*;
use crate::parameters::pairs;

fn parse(of: &[(&str, &str)]) -> Result<Filter, BadParameter> {
    Filter::parse(&Parameters::read(pairs(of), &[PARAMETERS])?)
}

fn tenant() -> TenantId {
    "demo".parse().expect("a tenant")
}

#[test]
fn every_parameter_makes_its_condition() {
    let filter = parse(&[
        ("from", "2026-11-02T10:00:00Z"),
        ("to", "2026-11-02T12:00:00+01:00"),
        ("event_type", "aws.s3.GetObject"),
        ("actor_id", "ann"),
        ("target_type", "document"),
        ("target_id", "d-1"),
        ("operation", "read"),
        ("outcome", "denied"),
        ("severity", "info"),
        ("trace_id", "0af7651916cd43dd8448eb211c80319c"),
        ("correlation_id", "a-1"),
        ("q", "quota exceeded"),
    ])
    .expect("all are fine");
    let conditions = filter.conditions(&tenant());
    assert_eq!(conditions.texts[0], "tenant_id = {tenant_id:String}");
    for (name, _) in &conditions.values {
        assert!(conditions.text().contains(&format!("{{{name}:")), "{name} is used");
    }
    let value = |name: &str| conditions.values.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
    assert_eq!(value("from_us"), Some("1793613600000000"));
    assert_eq!(value("to_us"), Some("1793617200000000"));
    assert_eq!(value("outcome"), Some("denied"));
    assert_eq!(conditions.text().matches(" = {").count(), 11, "{}", conditions.text());
}

#[test]
fn nothing_asked_is_the_whole_tenant() {
    let conditions = parse(&[]).expect("fine").conditions(&tenant());
    assert_eq!(conditions.text(), "tenant_id = {tenant_id:String}");
    assert_eq!(conditions.values, [("tenant_id", "demo".to_owned())]);
}

#[test]
fn a_target_id_without_words_is_still_compared() {
    let text = |id: &str| parse(&[("target_id", id)]).expect("fine").conditions(&tenant()).text();
    assert!(text("***").contains("has(`targets.id`") && !text("***").contains("hasAllTokens"));
    assert!(text("d-1").contains("has(`targets.id`") && text("d-1").contains("hasAllTokens"));
}

#[test]
fn bad_values_name_what_is_allowed() {
    let fault = |name: &str, value: &str| parse(&[(name, value)]).expect_err("bad").to_string();
    assert!(fault("from", "yesterday").starts_with("parameter `from` must be an RFC 3339 time"));
    assert!(fault("to", "2026-11-02").starts_with("parameter `to` must be an RFC 3339 time"));
    assert!(fault("operation", "READ").contains("create, read, update"));
    assert!(fault("outcome", "ok").contains("success, failure, denied, unknown"));
    assert!(fault("severity", "low").contains("debug, info"));
    assert!(fault("event_type", "login").contains("user.login"));
    assert!(fault("q", "!? -").contains("1 to 32 words"));
    assert!(fault("q", &"a ".repeat(33)).contains("1 to 32 words"));
    let backwards = [("from", "2026-11-02T10:00:00Z"), ("to", "2026-11-01T10:00:00Z")];
    assert_eq!(parse(&backwards).expect_err("bad").to_string(), "parameter `from` must not be after `to`");
}

fn any_pair() -> impl Strategy<Value = (String, String)> {
    let names: Vec<_> = PARAMETERS.iter().map(|parameter| parameter.name.to_owned()).collect();
    let name = prop_oneof![8 => proptest::sample::select(names), 1 => any::<String>()];
    let value = prop_oneof![any::<String>(), "2026-1[0-3]-0[0-9]T[0-9:.]{8,12}Z", "[a-z.{}':%\\\\]{0,30}"];
    (name, value)
}

proptest! {
    #[test]
    fn no_query_string_panics_or_loses_its_tenant(pairs in proptest::collection::vec(any_pair(), 0..6)) {
        let read = Parameters::read(pairs, &[PARAMETERS]).and_then(|parameters| Filter::parse(&parameters));
        if let Ok(filter) = read {
            let conditions = filter.conditions(&tenant());
            prop_assert_eq!(conditions.texts[0], "tenant_id = {tenant_id:String}");
            prop_assert_eq!(&conditions.values[0], &("tenant_id", "demo".to_owned()));
        }
    }
}
