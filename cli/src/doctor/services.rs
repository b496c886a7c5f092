//! Our own services: what `/readyz` says.

use std::collections::BTreeMap;

use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;

use super::finding::Finding;
use super::{Seen, why};

/// What a service said of itself: the parts that are not ready, with their reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    url: String,
    not_ready: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answer {
    parts: BTreeMap<String, Part>,
}

#[derive(Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum Part {
    Ready,
    NotReady { reason: String },
}

pub async fn ask(client: &Client, url: &Url) -> Seen<Readiness> {
    let at = url.join("/readyz").map_err(why)?;
    let answer = client
        .get(at.clone())
        .send()
        .await
        .map_err(|error| format!("{at} does not answer: {}", cause(&error)))?;
    let status = answer.status();
    if status != StatusCode::OK && status != StatusCode::SERVICE_UNAVAILABLE {
        return Err(format!("{at} answered {status}; something else listens there"));
    }
    let answer: Answer = answer.json().await.map_err(|error| format!("{at}: {error}"))?;
    let not_ready = answer.parts.into_iter().filter_map(|(part, state)| match state {
        Part::Ready => None,
        Part::NotReady { reason } => Some((part, reason)),
    });
    Ok(Readiness { url: url.to_string(), not_ready: not_ready.collect() })
}

pub async fn ask_if(client: &Client, url: Option<&Url>) -> Option<Seen<Readiness>> {
    match url {
        Some(url) => Some(ask(client, url).await),
        None => None,
    }
}

/// The innermost reason, such as "Connection refused".
fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

pub fn judge(service: &'static str, readiness: &Seen<Readiness>) -> Vec<Finding> {
    match readiness {
        Err(error) => {
            let advice = format!("start the {service}, or check its address; its log says more");
            vec![Finding::broken(service, error, advice)]
        }
        Ok(Readiness { url, not_ready }) if not_ready.is_empty() => {
            vec![Finding::ok(service, format!("{url} is ready"))]
        }
        Ok(Readiness { not_ready, .. }) => not_ready
            .iter()
            .map(|(part, reason)| {
                let advice = format!("mend what {part} waits for; the {service}'s log says more");
                Finding::broken(service, format!("not ready: {part}: {reason}"), advice)
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn each_part_that_is_not_ready_is_named() {
        let ready = |parts: &[(&str, &str)]| {
            let not_ready = parts.iter().map(|(part, why)| ((*part).to_owned(), (*why).to_owned()));
            Ok(Readiness { url: "http://g".into(), not_ready: not_ready.collect() })
        };
        assert_eq!(judge("gateway", &ready(&[]))[0].state, State::Ok);
        let findings = judge("gateway", &ready(&[("registry", "away"), ("trail", "none")]));
        assert_eq!(findings.len(), 2);
        assert_eq!(findings[0].seen, "not ready: registry: away");
        assert_eq!(judge("gateway", &Err("refused".into()))[0].state, State::Broken);
    }
}
