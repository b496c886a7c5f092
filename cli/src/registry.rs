//! The schema registry as this command needs it: what is registered, and which changes are let in.

use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::trust;

const TIMEOUT: Duration = Duration::from_secs(10);
/// Every later schema reads all earlier records, and is read by every earlier reader.
pub const COMPATIBILITY: &str = "FULL_TRANSITIVE";

pub struct Registry {
    client: reqwest::Client,
    url: Url,
}

#[derive(Deserialize)]
struct Level {
    #[serde(rename = "compatibilityLevel")]
    level: String,
}

#[derive(Deserialize)]
struct Registered {
    id: u32,
}

#[derive(Deserialize)]
struct Text {
    schema: String,
}

impl Registry {
    pub fn new(url: Url) -> anyhow::Result<Self> {
        Ok(Self { client: trust::http_client(TIMEOUT)?, url })
    }

    /// Which changes of the subject are let in.
    pub async fn compatibility(&self, subject: &str) -> anyhow::Result<String> {
        let request = self.client.get(self.at(&["config", subject])).query(&[("defaultToGlobal", "true")]);
        let level: Level = ask(request).await?.context("the registry has no compatibility level")?;
        Ok(level.level)
    }

    pub async fn set_compatibility(&self, subject: &str) -> anyhow::Result<()> {
        let request = self.client.put(self.at(&["config", subject]));
        let _set: serde_json::Value =
            ask(request.json(&json!({ "compatibility": COMPATIBILITY }))).await?.context("not found")?;
        Ok(())
    }

    /// The schema's id, if it is registered under the subject.
    pub async fn find(&self, subject: &str, schema: &str) -> anyhow::Result<Option<u32>> {
        let request = self.client.post(self.at(&["subjects", subject])).json(&json!({ "schema": schema }));
        Ok(ask::<Registered>(request).await?.map(|registered| registered.id))
    }

    /// The text of a schema, if the registry knows the id.
    pub async fn schema(&self, id: u32) -> anyhow::Result<Option<String>> {
        let request = self.client.get(self.at(&["schemas", "ids", &id.to_string()]));
        Ok(ask::<Text>(request).await?.map(|text| text.schema))
    }

    fn at(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// A registry's own words for what it does not know: subject, version, schema, subject's level. Source: Confluent's API.
const NOT_KNOWN: [u32; 4] = [40_401, 40_402, 40_403, 40_408];

#[derive(Deserialize)]
struct Refusal {
    error_code: u32,
}

/// `None` is what the registry does not know, by its own code: any other 404 is a wrong address.
async fn ask<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<Option<T>> {
    let answer =
        request.send().await.context("the schema registry does not answer; check SEALTRAIL_REGISTRY_URL")?;
    let (status, url) = (answer.status(), answer.url().clone());
    if !status.is_success() {
        let said = answer.text().await.unwrap_or_default();
        let code = serde_json::from_str(&said).ok().map(|refusal: Refusal| refusal.error_code);
        if status == StatusCode::NOT_FOUND && code.is_some_and(|code| NOT_KNOWN.contains(&code)) {
            return Ok(None);
        }
        bail!("the schema registry answered {status} to {url}: {said}");
    }
    Ok(Some(answer.json().await.context("the schema registry answered something else than it should")?))
}
