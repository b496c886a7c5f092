//! Schema registries: the calls that serializers make, to ours and to one that is not ours, and a stack on that one.

use std::process::Command;

use integration_tests::apicurio::Apicurio;
use integration_tests::clickhouse::Login;
use integration_tests::page::{Page, lacks};
use integration_tests::stack::{Options, Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::{eventually, workspace};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

const SHIFT: u16 = 7_000;
/// Beside the port that the stack's own registry would have.
const APICURIO_PORT: u16 = 8_086 + SHIFT;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
const SUBJECT: &str = "audit.events.v1-value";

const AUDIT_EVENT: &str = include_str!("../../../schemas/avro/audit_event.v1.avsc");

/// A registry that speaks Confluent's protocol.
struct Registry {
    url: String,
    client: Client,
}

impl Registry {
    fn new(url: &str) -> Self {
        Self { url: url.to_owned(), client: Client::new() }
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let request =
            self.client.request(method, format!("{}{path}", self.url)).header("accept", CONTENT_TYPE);
        let request = match body {
            Some(body) => request.header("content-type", CONTENT_TYPE).body(body.to_string()),
            None => request,
        };
        answer(request).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.call(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, schema: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, path, Some(json!({"schema": schema.to_string()}))).await
    }

    async fn registered(&self, subject: &str, schema: &Value) -> u64 {
        let (status, answer) = self.post(&format!("/subjects/{subject}/versions"), schema).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["id"].as_u64().unwrap()
    }

    async fn is_compatible(&self, subject: &str, schema: &Value) -> Value {
        let path = format!("/compatibility/subjects/{subject}/versions/latest");
        let (status, answer) = self.post(&path, schema).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["is_compatible"].clone()
    }
}

fn audit_event() -> Value {
    serde_json::from_str(AUDIT_EVENT).unwrap()
}

fn with_field(schema: &Value, field: Value) -> Value {
    let mut schema = schema.clone();
    schema["fields"].as_array_mut().unwrap().push(field);
    schema
}

fn without_field(schema: &Value, name: &str) -> Value {
    let mut schema = schema.clone();
    schema["fields"].as_array_mut().unwrap().retain(|field| field["name"] != name);
    schema
}

/// All that both serializers ask, in their order: register, look up, check, change.
async fn speaks_confluents_protocol(registry: &Registry, subject: &str) {
    let base = audit_event();
    // the JavaScript client asks for the level first, and sets one where there is none
    let (status, _) = registry.get(&format!("/config/{subject}")).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let level = Some(json!({"compatibility": "FULL_TRANSITIVE"}));
    let (status, _) = registry.call(Method::PUT, &format!("/config/{subject}"), level).await;
    assert_eq!(status, StatusCode::OK);
    let first = registry.registered(subject, &base).await;
    assert_eq!(registry.registered(subject, &base).await, first, "the same schema has the same id");
    let (_, level) = registry.get(&format!("/config/{subject}")).await;
    assert_eq!(level["compatibilityLevel"], "FULL_TRANSITIVE");
    let (_, found) = registry.post(&format!("/subjects/{subject}"), &base).await;
    assert_eq!(
        (&found["id"], &found["version"], &found["subject"]),
        (&json!(first), &json!(1), &json!(subject))
    );
    let (_, found) = registry.get(&format!("/schemas/ids/{first}")).await;
    let text: Value = serde_json::from_str(found["schema"].as_str().unwrap()).unwrap();
    assert_eq!(text, base);

    for incompatible in [
        with_field(&base, json!({"name": "office", "type": "string"})),
        without_field(&base, "actor"),
        json!("string"),
    ] {
        assert_eq!(registry.is_compatible(subject, &incompatible).await, false);
        let (status, refused) = registry.post(&format!("/subjects/{subject}/versions"), &incompatible).await;
        assert_eq!((status, &refused["error_code"]), (StatusCode::CONFLICT, &json!(409)), "{refused}");
    }
    let compatible =
        with_field(&base, json!({"name": "office", "type": ["null", "string"], "default": null}));
    assert_eq!(registry.is_compatible(subject, &compatible).await, true);
    let second = registry.registered(subject, &compatible).await;
    assert_ne!(second, first, "a new schema has a new id");
    let (_, versions) = registry.get(&format!("/subjects/{subject}/versions")).await;
    assert_eq!(versions, json!([1, 2]));
    for (version, id) in [("1", first), ("2", second), ("latest", second)] {
        let (_, found) = registry.get(&format!("/subjects/{subject}/versions/{version}")).await;
        assert_eq!(found["id"], id, "{version}");
    }
    // transitive: what the second version would take, and the first would not
    let office =
        with_field(&without_field(&compatible, "office"), json!({"name": "office", "type": "string"}));
    let (status, _) = registry.post(&format!("/subjects/{subject}/versions"), &office).await;
    assert_eq!(status, StatusCode::CONFLICT);
    names_what_it_does_not_know(registry, subject).await;
}

async fn names_what_it_does_not_know(registry: &Registry, subject: &str) {
    for (path, code) in [
        ("/schemas/ids/999999".to_owned(), 40403),
        ("/subjects/no-such-subject/versions/latest".to_owned(), 40401),
        ("/subjects/no-such-subject/versions".to_owned(), 40401),
        (format!("/subjects/{subject}/versions/99"), 40402),
    ] {
        let (status, said) = registry.get(&path).await;
        assert_eq!((status, &said["error_code"]), (StatusCode::NOT_FOUND, &json!(code)), "{path}: {said}");
    }
    let (status, said) = registry.post(&format!("/subjects/{subject}"), &json!("bytes")).await;
    assert_eq!((status, &said["error_code"]), (StatusCode::NOT_FOUND, &json!(40403)), "{said}");
    let bad = json!({"type": "record", "name": "no fields"});
    let (status, said) = registry.post(&format!("/subjects/{subject}/versions"), &bad).await;
    assert_eq!((status, &said["error_code"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(42201)), "{said}");
}

/// The trail's own subject is guarded: what earlier readers could not read never gets an id.
async fn guards_the_trails_subject(registry: &Registry) {
    let (_, level) = registry.get(&format!("/config/{SUBJECT}")).await;
    assert_eq!(level["compatibilityLevel"], "FULL_TRANSITIVE");
    let incompatible = with_field(&audit_event(), json!({"name": "office", "type": "string"}));
    let (status, _) = registry.post(&format!("/subjects/{SUBJECT}/versions"), &incompatible).await;
    assert_eq!(status, StatusCode::CONFLICT);
}

/// confluent-kafka's own client, with its serializers.
fn confluent_kafka_is_served(registry: &Registry, subject: &str) {
    let python = workspace().join("target/venv/bin/python");
    assert!(python.is_file(), "{} is not there; run the tests by `make test`", python.display());
    let mut command = Command::new(python);
    command.arg(workspace().join("integration-tests/python/registry_calls.py")).arg(subject);
    let output = command.env("SEALTRAIL_REGISTRY_URL", &registry.url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wanted = json!({
        "level": "FULL_TRANSITIVE", "same id": true, "looked up": true, "compatible": true,
        "incompatible": false, "refused": [409], "new id": true, "versions": [1, 2],
        "latest is second": true, "version 1 is first": true, "listed": true, "same text": true,
        "unknown id": [404, 40403], "unknown subject": [404, 40401], "frame": true, "read back": "ada",
    });
    assert_eq!(said, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_registry_serves_serializers() {
    let registry = Registry::new(shared().var("SEALTRAIL_REGISTRY_URL"));
    speaks_confluents_protocol(&registry, "registries-value").await;
    confluent_kafka_is_served(&registry, "registries-python-value");
    // a gateway's start has registered the subject
    guards_the_trails_subject(&registry).await;
}

/// The same on Apicurio Registry, and a stack of its own on it.
#[tokio::test(flavor = "multi_thread")]
async fn sealtrail_runs_on_apicurio_registry() {
    if lacks(&["java", "mvn"]) {
        return;
    }
    let apicurio = Apicurio::start(APICURIO_PORT).await;
    let registry = Registry::new(&apicurio.url);
    let stack = Stack::start(&Options {
        name: "on-apicurio",
        port_shift: SHIFT,
        settings: vec![("SEALTRAIL_USE_REGISTRY", apicurio.url.clone())],
        ..Options::default()
    });
    assert_eq!(stack.var("SEALTRAIL_REGISTRY_URL"), apicurio.url);
    guards_the_trails_subject(&registry).await;
    let tenant = Tenant::create(&stack, "apicurio", "admin").await;
    tenant.send(&[event(1), event(2)]).await;
    tenant.rows("events", 2).await;
    let python = publishes_by_the_direct_door(&stack, "python", "direct_door.py", &["python3", "bash"]);
    let javascript = publishes_by_the_direct_door(&stack, "javascript", "direct_door.mjs", &["node", "npm"]);
    tokio::join!(python, javascript);
    speaks_confluents_protocol(&registry, "registries-value").await;
    confluent_kafka_is_served(&registry, "registries-python-value");
    an_analyst_joins_a_running_stack(&stack, &tenant).await;
}

/// Runs a program of docs/direct-door.md, whose last word is the tenant.
async fn publishes_by_the_direct_door(stack: &Stack, name: &str, program: &str, tools: &[&str]) {
    if lacks(tools) {
        return;
    }
    let tenant = Tenant::create(stack, &format!("apicurio-{name}"), "admin").await;
    let page = Page::unpack(&format!("apicurio-{name}"));
    let commands = page.block("sh", program).replace(" demo\n", &format!(" {}\n", tenant.id));
    let printed = page.run(stack, &commands).await;
    let published = printed.lines().filter(|line| line.starts_with('{')).count();
    assert!(published > 0, "{printed}");
    tenant.rows("events", published as u64).await;
}

/// `sealtrail-local-stack analyst` starts ClickHouse again; the services go on, and the new user sees its tenant.
async fn an_analyst_joins_a_running_stack(stack: &Stack, tenant: &Tenant<'_>) {
    let dir = stack.dir.display().to_string();
    for _again in 0..2 {
        let output = stack.run("sealtrail-local-stack", &["analyst", &tenant.id, "--dir", &dir]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let analyst = Login::analyst(stack, &tenant.id);
        assert!(String::from_utf8_lossy(&output.stdout).contains(&analyst.url()));
        let seen = analyst.ask("SELECT tenant_id, count() FROM audit_events GROUP BY 1").await;
        assert_eq!(seen, Ok(format!("{}\t2", tenant.id)));
    }
    tenant.send(&[event(3)]).await;
    eventually("the processor goes on", || async {
        let query = format!("SELECT count() FROM events WHERE tenant_id = '{}'", tenant.id);
        (stack.sql(&query).await == "3").then_some(())
    })
    .await;
    let analyst = Login::analyst(stack, &tenant.id);
    let output = stack.run("sealtrail-local-stack", &["analyst", &tenant.id, "--dir", &dir, "--remove"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    const AUTHENTICATION_FAILED: u32 = 516;
    assert_eq!(analyst.ask("SELECT 1").await, Err(AUTHENTICATION_FAILED));
}
