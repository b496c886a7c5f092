//! A tenant of a test's own, with its HTTP calls.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

use crate::eventually;
use crate::stack::Stack;

/// A tenant with the key of one role.
pub struct Tenant<'a> {
    pub stack: &'a Stack,
    pub id: String,
    pub key: String,
    client: reqwest::Client,
}

impl<'a> Tenant<'a> {
    /// Makes the tenant with audit level `all` and a key of the role.
    pub async fn create(stack: &'a Stack, id: &str, role: &str) -> Self {
        let output = stack.run("sealtrail", &["tenants", "create", id, "--level", "all"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Self::with_key(stack, id, role).await
    }

    /// A further key of a tenant that is there.
    pub async fn with_key(stack: &'a Stack, id: &str, role: &str) -> Self {
        let output = stack.run("sealtrail", &["keys", "create", "--tenant", id, "--role", role]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let key = String::from_utf8(output.stdout).expect("text").trim().to_owned();
        let tenant = Self { stack, id: id.to_owned(), key, client: reqwest::Client::new() };
        // services follow the control topic; they know the key within a second
        eventually("the key is known", || async {
            let gateway = tenant.gateway(Method::POST, "/v1/events").send().await.ok()?;
            let query = tenant.query("/v1/events").send().await.ok()?;
            let known = |answer: &Response| answer.status() != StatusCode::UNAUTHORIZED;
            (known(&gateway) && known(&query)).then_some(())
        })
        .await;
        tenant
    }

    /// The same tenant by another key.
    pub fn by_key(&self, key: &str) -> Self {
        let (id, client) = (self.id.clone(), self.client.clone());
        Self { stack: self.stack, id, key: key.to_owned(), client }
    }

    pub fn gateway(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}{path}", self.stack.var("SEALTRAIL_GATEWAY_URL"));
        self.client.request(method, url).bearer_auth(&self.key)
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.gateway(Method::POST, path).json(body)
    }

    pub fn query(&self, path_and_query: &str) -> RequestBuilder {
        let url = format!("{}{path_and_query}", self.stack.var("SEALTRAIL_QUERY_URL"));
        self.client.get(url).bearer_auth(&self.key)
    }

    /// Sends events in one batch; each must be accepted.
    pub async fn send(&self, events: &[Value]) -> Vec<Value> {
        let (status, answer) = answer(self.post("/v1/events/batch", &json!(events))).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
        let results = answer["results"].as_array().expect("results").clone();
        assert!(results.iter().all(|result| result["status"] == "accepted"), "{answer}");
        results
    }

    /// Rows of the tenant in a table, waited for.
    pub async fn rows(&self, table: &str, wanted: u64) {
        let query = format!("SELECT count() FROM {table} WHERE tenant_id = '{}'", self.id);
        eventually(&format!("{wanted} rows in {table}"), || async {
            (self.stack.sql(&query).await == wanted.to_string()).then_some(())
        })
        .await;
    }
}

/// An event with what is required, and a number.
pub fn event(n: usize) -> Value {
    json!({
        "event_type": "user.login", "occurred_at": "2026-11-02T10:00:00Z", "outcome": "success",
        "actor": {"id": format!("actor-{n}")}, "attributes": {"n": n},
    })
}

/// The status and the JSON of an answer.
pub async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status();
    let text = answer.text().await.expect("text");
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}
