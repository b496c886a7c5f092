//! The registry over HTTP, on a broker inside the test.

use std::net::TcpListener as StdListener;

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;

const BASE: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
const GROWN: &str = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"b","type":"int","default":0}]}"#;
const STRICT: &str =
    r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"},{"name":"c","type":"int"}]}"#;

/// With the topic there already: this broker has no admin API, and waiting for its silence takes a while.
fn broker() -> MockCluster<'static, DefaultProducerContext> {
    let cluster = MockCluster::new(1).expect("a broker");
    cluster.create_topic("_schemas", 1, 1).expect("a topic");
    cluster
}

fn plain(listen: SocketAddr, kafka: String) -> RegistryOptions {
    RegistryOptions { listen, kafka, kafka_properties: Vec::new(), secured: None }
}

struct Running {
    url: String,
    stop: CancellationToken,
    server: JoinHandle<anyhow::Result<()>>,
}

impl Running {
    async fn start(cluster: &MockCluster<'static, DefaultProducerContext>) -> Self {
        let free = StdListener::bind("127.0.0.1:0").expect("a free port");
        let listen = free.local_addr().expect("its address");
        drop(free);
        let stop = CancellationToken::new();
        let options = plain(listen, cluster.bootstrap_servers());
        let server = tokio::spawn(serve(options, stop.clone()));
        let running = Self { url: format!("http://{listen}"), stop, server };
        for _ in 0..300 {
            if Client::new().get(&running.url).send().await.is_ok() {
                return running;
            }
            assert!(!running.server.is_finished(), "the registry ended at its start");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the registry doesn't listen");
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = Client::new().request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("an answer");
        let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
        assert_eq!(kind, "application/vnd.schemaregistry.v1+json");
        (response.status().as_u16(), response.json().await.expect("json"))
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, schema: &str) -> (u16, Value) {
        self.ask(Method::POST, path, Some(json!({"schema": schema}))).await
    }

    async fn end(self) {
        self.stop.cancel();
        self.server.await.expect("no panic").expect("a clean end");
    }
}

fn refused(answer: &(u16, Value)) -> (u16, u64) {
    (answer.0, answer.1["error_code"].as_u64().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_are_registered_checked_and_survive_a_restart() {
    let cluster = broker();
    let registry = Running::start(&cluster).await;
    assert_eq!(registry.get("/config").await, (200, json!({"compatibilityLevel": "BACKWARD"})));
    assert_eq!(registry.post("/subjects/s-value/versions", BASE).await, (200, json!({"id": 1})));
    let again = registry.post("/subjects/s-value/versions?normalize=true", BASE).await;
    assert_eq!(again, (200, json!({"id": 1})));
    assert_eq!(registry.post("/subjects/other/versions", BASE).await, (200, json!({"id": 1})));
    let incompatible = registry.post("/subjects/s-value/versions", STRICT).await;
    assert_eq!(refused(&incompatible), (409, 409));
    let checked = registry.post("/compatibility/subjects/s-value/versions/latest?verbose=true", STRICT).await;
    assert_eq!(checked.1["is_compatible"], json!(false));
    assert!(checked.1["messages"][0].as_str().is_some_and(|why| why.contains("\"c\"")));
    assert_eq!(registry.post("/subjects/s-value/versions", GROWN).await, (200, json!({"id": 2})));
    let level = registry.ask(Method::PUT, "/config/s-value", Some(json!({"compatibility": "NONE"}))).await;
    assert_eq!(level, (200, json!({"compatibility": "NONE"})));
    registry.end().await;

    let registry = Running::start(&cluster).await;
    assert_eq!(registry.get("/subjects").await, (200, json!(["other", "s-value"])));
    assert_eq!(registry.get("/subjects/s-value/versions").await, (200, json!([1, 2])));
    assert_eq!(registry.get("/schemas/ids/2").await, (200, json!({"schema": GROWN})));
    assert_eq!(registry.get("/schemas/ids/1/subjects").await, (200, json!(["other", "s-value"])));
    assert_eq!(registry.get("/config/s-value").await.1["compatibilityLevel"], json!("NONE"));
    assert_eq!(refused(&registry.get("/config/other").await), (404, 40408));
    assert_eq!(registry.post("/subjects/s-value", GROWN).await.1["version"], json!(2));
    assert_eq!(registry.post("/subjects/s-value/versions", STRICT).await, (200, json!({"id": 3})));
    registry.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_is_soft_first_and_gives_no_number_twice() {
    let cluster = broker();
    let registry = Running::start(&cluster).await;
    registry.post("/subjects/s/versions", BASE).await;
    let early = registry.ask(Method::DELETE, "/subjects/s?permanent=true", None).await;
    assert_eq!(refused(&early), (404, 40405));
    assert_eq!(registry.ask(Method::DELETE, "/subjects/s", None).await, (200, json!([1])));
    assert_eq!(registry.get("/subjects").await, (200, json!([])));
    assert_eq!(registry.get("/subjects?deleted=true").await, (200, json!(["s"])));
    assert_eq!(registry.get("/schemas/ids/1").await.0, 200);
    let gone = registry.ask(Method::DELETE, "/subjects/s?permanent=true", None).await;
    assert_eq!(gone, (200, json!([1])));
    assert_eq!(refused(&registry.get("/schemas/ids/1").await), (404, 40403));
    assert_eq!(registry.post("/subjects/s/versions", GROWN).await, (200, json!({"id": 2})));
    registry.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_named_by_its_number() {
    let cluster = broker();
    let registry = Running::start(&cluster).await;
    let register = "/subjects/s/versions";
    assert_eq!(refused(&registry.post(register, "{").await), (422, 42201));
    let references = json!({"schema": BASE, "references": [{"name": "x", "subject": "x", "version": 1}]});
    assert_eq!(refused(&registry.ask(Method::POST, register, Some(references)).await), (422, 42201));
    let protobuf = json!({"schema": "message M {}", "schemaType": "PROTOBUF"});
    assert_eq!(registry.ask(Method::POST, register, Some(protobuf)).await.0, 422);
    assert_eq!(refused(&registry.post(register, &" ".repeat(MAX_BODY_BYTES)).await), (413, 413));
    assert_eq!(refused(&registry.get("/subjects/s/versions").await), (404, 40401));
    assert_eq!(refused(&registry.get("/schemas/ids/9").await), (404, 40403));
    registry.post(register, BASE).await;
    assert_eq!(refused(&registry.get("/subjects/s/versions/9").await), (404, 40402));
    assert_eq!(refused(&registry.get("/subjects/s/versions/x").await), (422, 42202));
    let level = json!({"compatibility": "SIDEWAYS"});
    assert_eq!(refused(&registry.ask(Method::PUT, "/config", Some(level)).await), (422, 42203));
    assert_eq!(refused(&registry.post("/subjects/s", GROWN).await), (404, 40403));
    let plain = Client::new().post(format!("{}{register}", registry.url)).body("{}").send().await;
    assert_eq!(plain.expect("an answer").status().as_u16(), 415);
    assert_eq!(refused(&registry.get("/nothing").await), (404, 404));
    registry.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_admin_api_the_registry_starts_and_a_taken_port_is_one_clear_error() {
    let cluster: MockCluster<'_, DefaultProducerContext> = MockCluster::new(1).expect("a broker");
    let taken = StdListener::bind("127.0.0.1:0").expect("a port");
    let options = plain(taken.local_addr().expect("its address"), cluster.bootstrap_servers());
    let error = serve(options, CancellationToken::new()).await.expect_err("taken");
    assert!(error.to_string().contains("cannot listen on 127.0.0.1"), "{error:?}");
}
