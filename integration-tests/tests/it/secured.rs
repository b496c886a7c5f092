//! The stack the secured way: TLS and a password between all parts, and nobody else let in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use client_security::client_config;
use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, answer, event};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use reqwest::StatusCode;

/// Where the secured stack has its ports.
const SHIFT: u16 = 9_000;

fn start() -> Stack {
    Stack::start(&Options {
        name: "secured",
        port_shift: SHIFT,
        settings: vec![("SEALTRAIL_SECURED", "true".to_owned())],
        ..Options::default()
    })
}

/// One stack for all: its start is what takes long.
#[tokio::test(flavor = "multi_thread")]
async fn a_secured_stack_works_and_lets_nobody_else_in() {
    let stack = start();
    events_reach_sql_and_the_query_api(&stack).await;
    each_mechanism_reads_and_writes(&stack);
    what_kafka_refuses_is_told(&stack);
    a_certificate_is_enough_if_it_is_of_the_right_authority(&stack);
    what_clickhouse_and_the_registry_refuse_is_told(&stack);
    no_plain_listener_answers(&stack).await;
    services_with_a_wrong_password_say_so(&stack);
    no_secret_is_in_a_log(&stack);
}

async fn events_reach_sql_and_the_query_api(stack: &Stack) {
    let tenant = Tenant::create(stack, "secured", "admin").await;
    tenant.send(&[event(1), event(2), event(3)]).await;
    tenant.rows("events", 3).await;
    let (status, found) = answer(tenant.query("/v1/events?actor_id=actor-2")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(found["events"].as_array().map(Vec::len), Some(1), "{found}");
}

/// A copy of the owner's settings for Kafka with other lines.
fn settings(stack: &Stack, name: &str, lines: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(stack.var("SEALTRAIL_KAFKA_CONFIG")).unwrap();
    let kept =
        text.lines().filter(|line| !lines.iter().any(|(key, _)| line.starts_with(&format!("{key} = "))));
    let new = lines.iter().map(|(key, value)| format!("{key} = {value:?}"));
    let text: Vec<_> = kept.map(ToOwned::to_owned).chain(new).collect();
    let file = stack.dir.join(format!("{name}.toml"));
    fs::write(&file, text.join("\n")).unwrap();
    file.display().to_string()
}

fn each_mechanism_reads_and_writes(stack: &Stack) {
    for mechanism in ["plain", "scram_sha_256", "scram_sha_512"] {
        let config = settings(stack, mechanism, &[("mechanism", mechanism)]);
        let tenant = mechanism.replace('_', "-");
        let made = stack.run("sealtrail", &["tenants", "create", &tenant, "--kafka-config", &config]);
        assert!(made.status.success(), "{mechanism}: {}", said(&made));
        let listed = stack.run("sealtrail", &["tenants", "list", "--kafka-config", &config]);
        assert!(String::from_utf8_lossy(&listed.stdout).contains(&tenant), "{mechanism}: {}", said(&listed));
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Exit code 2, one line, these words, and no secret in it.
fn refused(stack: &Stack, output: &Output, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
    for (name, secret) in secrets(stack) {
        assert!(!said.contains(&secret), "{name} is shown: {said}");
    }
}

fn what_kafka_refuses_is_told(stack: &Stack) {
    let list = |config: &str| stack.run("sealtrail", &["tenants", "list", "--kafka-config", config]);
    let wrong = stack.dir.join("wrong-password");
    fs::write(&wrong, "not-the-password").unwrap();
    let wrong = wrong.display().to_string();
    for mechanism in ["plain", "scram_sha_256", "scram_sha_512"] {
        let lines = [("mechanism", mechanism), ("password_file", wrong.as_str())];
        let config = settings(stack, &format!("wrong-{mechanism}"), &lines);
        refused(stack, &list(&config), &["uthentication failed", "kafka.security.username"]);
    }
    // a user that may use one mechanism only
    let processor = stack.dir.join("secrets/kafka-processor").display().to_string();
    let lines = [("username", "processor"), ("password_file", processor.as_str())];
    refused(stack, &list(&settings(stack, "sha-512", &lines)), &["uthentication failed", "SCRAM-SHA-512"]);

    let (other_ca, _, _) = other_authority(stack);
    let config = settings(stack, "other-ca", &[("ca_file", &other_ca)]);
    refused(stack, &list(&config), &["certificate verify failed", "kafka.security.ca_file"]);
    let plain = stack.run("sealtrail", &["tenants", "list", "--kafka-config", ""]);
    refused(stack, &plain, &["Disconnected", "check kafka.security.protocol"]);
}

/// A certificate authority of somebody else, with a certificate and its key.
fn other_authority(stack: &Stack) -> (String, String, String) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(ca, key);
    let leaf_key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["client".to_owned()]).unwrap().signed_by(&leaf_key, &issuer).unwrap();
    let write = |name: &str, text: &str| {
        let file = stack.dir.join(name);
        fs::write(&file, text).unwrap();
        file.display().to_string()
    };
    (
        write("other-ca.pem", &ca_pem),
        write("other.pem", &leaf.pem()),
        write("other.key", &leaf_key.serialize_pem()),
    )
}

/// TLS alone: the client is known by its certificate.
fn a_certificate_is_enough_if_it_is_of_the_right_authority(stack: &Stack) {
    let list = |name: &str, certificate: Option<(&str, &str)>| {
        let ca = stack.var("SEALTRAIL_CA_FILE");
        let mut text = format!("[kafka.security]\nprotocol = \"ssl\"\nca_file = {ca:?}\n");
        if let Some((certificate, key)) = certificate {
            text.push_str(&format!("certificate_file = {certificate:?}\nkey_file = {key:?}\n"));
        }
        let file = stack.dir.join(name);
        fs::write(&file, text).unwrap();
        let brokers = format!("127.0.0.1:{}", 9094 + SHIFT);
        let config = file.display().to_string();
        stack.run("sealtrail", &["tenants", "list", "--kafka", &brokers, "--kafka-config", &config])
    };
    let ours = ["client.pem", "client.key"].map(|name| stack.dir.join("secrets").join(name));
    let [certificate, key] = ours.map(|path| path.display().to_string());
    let listed = list("certificate.toml", Some((&certificate, &key)));
    assert!(String::from_utf8_lossy(&listed.stdout).contains("secured"), "{}", said(&listed));
    let (_, certificate, key) = other_authority(stack);
    refused(stack, &list("other-certificate.toml", Some((&certificate, &key))), &["kafka.security"]);
    refused(stack, &list("no-certificate.toml", None), &["kafka.security"]);
}

fn what_clickhouse_and_the_registry_refuse_is_told(stack: &Stack) {
    let (other_ca, _, _) = other_authority(stack);
    let untrusted = stack.run("sealtrail", &["migrate", "--ca-file", &other_ca]);
    refused(stack, &untrusted, &["clickhouse", "invalid peer certificate"]);
    let url = stack.var("SEALTRAIL_CLICKHOUSE_URL");
    let wrong = stack.run("sealtrail", &["migrate", "--clickhouse", &format!("{url}-wrong")]);
    refused(stack, &wrong, &["Authentication failed"]);
    let plain = stack.run("sealtrail", &["migrate", "--clickhouse", &url.replace("https:", "http:")]);
    assert_eq!(plain.status.code(), Some(2), "{}", said(&plain));

    let registry = stack.var("SEALTRAIL_REGISTRY_URL");
    let host = registry.rsplit('@').next().unwrap();
    let init = |registry: &str| stack.run("sealtrail", &["init", "--single-broker", "--registry", registry]);
    refused(stack, &init(&format!("https://sealtrail:wrong@{host}")), &["the schema registry answered 401"]);
    assert!(init(registry).status.success(), "the right one is taken");
}

async fn no_plain_listener_answers(stack: &Stack) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for port in [8085 + SHIFT, 8123 + SHIFT, 9000 + SHIFT] {
        let plain = client.get(format!("http://127.0.0.1:{port}/")).send().await;
        assert!(!plain.is_ok_and(|answer| answer.status().is_success()), "port {port}");
        // with TLS, and the stack's own authority, somebody is there
        let tls = client_config("ca", Some(Path::new(stack.var("SEALTRAIL_CA_FILE")))).unwrap();
        let trusting = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
        let answered = trusting.get(format!("https://127.0.0.1:{port}/")).send().await;
        assert!(!answered.is_err_and(|error| error.is_connect()), "port {port} has TLS");
        let stranger = client.get(format!("https://127.0.0.1:{port}/")).send().await;
        assert!(
            stranger.is_err_and(|error| error.is_connect()),
            "port {port}: the system knows no such authority"
        );
    }
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", stack.var("SEALTRAIL_KAFKA"))
        .set("message.timeout.ms", "2000")
        .create()
        .unwrap();
    let record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to("audit.events.v1").payload(b"plain");
    let sent = producer.send(record, std::time::Duration::from_secs(3)).await;
    assert!(sent.is_err(), "a plaintext producer is not heard");
}

/// Services don't start on settings that cannot be meant, and name the one to change.
fn services_with_a_wrong_password_say_so(stack: &Stack) {
    for (setting, word) in [
        ("kafka.security.username=ada", "kafka.security.protocol is plaintext"),
        ("kafka.security.protocol=sasl_ssl", "kafka.security.mechanism is missing"),
        ("registry.ca_file=/nowhere/ca.pem", "registry.ca_file: /nowhere/ca.pem"),
    ] {
        let pepper = format!("pepper_file={}", stack.var("SEALTRAIL_PEPPER_FILE"));
        let receipt_key = format!("receipts.key_file={}", stack.dir.join("secrets/receipt-key").display());
        let arguments = [
            "--set",
            setting,
            "--set",
            &pepper,
            "--set",
            &receipt_key,
            "--set",
            "http.listen=127.0.0.1:0",
            "--set",
            "admin.listen=127.0.0.1:0",
        ];
        let output = stack.run("sealtrail-gateway", &arguments);
        assert!(!output.status.success(), "{setting}");
        assert!(said(&output).contains(word), "{setting}: {}", said(&output));
    }
}

/// Every password and key of the stack, by the name of its file.
fn secrets(stack: &Stack) -> Vec<(String, String)> {
    const OPEN: [&str; 6] = ["pem", "toml", "properties", "xml", "arguments", "new"];
    let files = fs::read_dir(stack.dir.join("secrets")).unwrap().map(|entry| entry.unwrap().path());
    let is_secret = |path: &PathBuf| path.extension().is_none_or(|e| !OPEN.contains(&&*e.to_string_lossy()));
    let mut secrets = Vec::new();
    for path in files.filter(is_secret) {
        let text = fs::read_to_string(&path).unwrap();
        // of a key in PEM a line will do
        let secret = text.lines().find(|line| !line.starts_with("-----")).unwrap_or_default().to_owned();
        secrets.push((path.display().to_string(), secret));
    }
    secrets
}

fn no_secret_is_in_a_log(stack: &Stack) {
    let secrets = secrets(stack);
    assert!(secrets.len() >= 12, "{secrets:?}");
    assert!(secrets.iter().all(|(_, secret)| secret.len() >= 16), "short secrets are found by chance");
    let mut logs: Vec<_> =
        fs::read_dir(stack.dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(logs.len() >= 7, "{logs:?}");
    logs.push(stack.dir.join("stderr"));
    for log in logs {
        let text = String::from_utf8_lossy(&fs::read(&log).unwrap()).into_owned();
        for (name, secret) in &secrets {
            assert!(!text.contains(secret), "{} holds {name}", log.display());
        }
    }
}
