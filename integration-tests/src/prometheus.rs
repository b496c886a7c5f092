//! Debian's Prometheus on a test stack, started by the same script that a person uses.

use std::process::{Child, Command, Stdio};

use reqwest::Client;
use serde_json::Value;

use crate::stack::Stack;
use crate::workspace;

/// A running Prometheus; it ends with the value.
pub struct Prometheus {
    pub url: String,
    child: Child,
}

impl Prometheus {
    /// Starts `tools/dashboards.sh` on the stack and waits until it has scraped and judged a few times.
    pub async fn watch(stack: &Stack, port: u16) -> Self {
        let log = std::fs::File::create(stack.dir.join("prometheus.log")).expect("a file");
        let child = Command::new(workspace().join("tools/dashboards.sh"))
            .env("SEALTRAIL_LOCAL_DIR", &stack.dir)
            .env("SEALTRAIL_PROMETHEUS_PORT", port.to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the script starts");
        let prometheus = Self { url: format!("http://127.0.0.1:{port}"), child };
        let enough = "min(count_over_time(up[5m])) >= bool 4";
        crate::eventually("prometheus scrapes every target", || async {
            let answer = prometheus.try_query(enough).await.ok()?;
            let value = answer["data"]["result"][0]["value"][1].as_str()? == "1";
            value.then_some(())
        })
        .await;
        prometheus
    }

    async fn try_query(&self, expression: &str) -> reqwest::Result<Value> {
        let url = format!("{}/api/v1/query", self.url);
        Client::new().get(url).query(&[("query", expression)]).send().await?.json().await
    }

    /// The series that answer the expression now.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.try_query(expression).await.map_err(|error| error.to_string())?;
        match answer["data"]["result"].as_array() {
            Some(series) => Ok(series.clone()),
            None => Err(answer["error"].to_string()),
        }
    }

    /// A page of its web server.
    pub async fn get(&self, path: &str) -> (reqwest::StatusCode, String) {
        let answer = reqwest::get(format!("{}{path}", self.url)).await.expect("prometheus answers");
        (answer.status(), answer.text().await.expect("text"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _ended = self.child.wait();
    }
}
