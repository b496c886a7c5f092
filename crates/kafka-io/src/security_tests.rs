use super::*;

fn sasl() -> SecurityConfig {
    SecurityConfig {
        protocol: Protocol::SaslSsl,
        mechanism: Some(Mechanism::ScramSha512),
        username: Some("ada".to_owned()),
        password: Some(Secret::new("hunter2")),
        ..SecurityConfig::default()
    }
}

fn fault(config: &SecurityConfig) -> String {
    config.apply(&mut ClientConfig::new()).expect_err("nonsense").to_string()
}

#[test]
fn what_is_set_reaches_the_client() {
    let mut client = ClientConfig::new();
    sasl().apply(&mut client).expect("fine");
    for (property, value) in [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "ada"),
        ("sasl.password", "hunter2"),
        ("ssl.ca.location", "probe"),
    ] {
        assert_eq!(client.get(property), Some(value), "{property}");
    }
}

#[test]
fn the_names_in_a_file_are_those_of_the_documents() {
    for (text, mechanism) in [
        ("plain", Mechanism::Plain),
        ("scram_sha_256", Mechanism::ScramSha256),
        ("scram_sha_512", Mechanism::ScramSha512),
    ] {
        assert_eq!(serde_json::from_value::<Mechanism>(text.into()).expect("known"), mechanism);
    }
    for protocol in [Protocol::Plaintext, Protocol::Ssl, Protocol::SaslPlaintext, Protocol::SaslSsl] {
        assert_eq!(serde_json::to_value(protocol).expect("a text"), protocol.name());
    }
}

#[test]
fn nonsense_is_refused_with_the_setting_to_change() {
    let no_user = SecurityConfig { username: None, ..sasl() };
    assert!(fault(&no_user).contains("kafka.security.username is missing"), "{}", fault(&no_user));
    let no_password = SecurityConfig { password: None, ..sasl() };
    assert!(fault(&no_password).contains("kafka.security.password is missing"));
    let no_mechanism = SecurityConfig { mechanism: None, ..sasl() };
    assert!(fault(&no_mechanism).contains("kafka.security.mechanism is missing"));
    let no_sasl = SecurityConfig { protocol: Protocol::Ssl, ..sasl() };
    assert!(fault(&no_sasl).contains("protocol is ssl"), "{}", fault(&no_sasl));
    let certificate_alone = SecurityConfig { certificate_file: Some("/dev/null".into()), ..sasl() };
    assert!(matches!(certificate_alone.apply(&mut ClientConfig::new()), Err(SecurityError::HalfAKeyPair)));
    let ca_without_tls = SecurityConfig { ca_file: Some("/dev/null".into()), ..SecurityConfig::default() };
    assert!(fault(&ca_without_tls).contains("set the protocol to ssl or sasl_ssl"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let no_ca = SecurityConfig { ca_file: Some("/nowhere/ca.pem".into()), ..sasl() };
    assert!(fault(&no_ca).contains("kafka.security.ca_file: /nowhere/ca.pem"), "{}", fault(&no_ca));
    let no_password =
        SecurityConfig { password: None, password_file: Some("/nowhere/password".into()), ..sasl() };
    assert!(fault(&no_password).contains("kafka.security.password_file /nowhere/password"));
    let both = SecurityConfig { password_file: Some("/dev/null".into()), ..sasl() };
    assert!(fault(&both).contains("only one of kafka.security.password"), "{}", fault(&both));
}

#[test]
fn a_password_is_shown_nowhere() {
    let config = sasl();
    let shown = format!("{config:?} {}", serde_json::to_string(&config).expect("json"));
    assert!(shown.contains("ada") && !shown.contains("hunter2"), "{shown}");
}
