//! The rules by which a user agent is named: our own first, then those of uap-core, which Elasticsearch, Snowplow and
//! others use too, so that names agree with what people know from there.

use ua_parser::{Extractor, Regexes, device, os, user_agent};

/// Made by build.rs.
const UAP_CORE: &str = include_str!(concat!(env!("OUT_DIR"), "/rules.json"));

/// What audit trails are full of and uap-core does not know, or calls by the library below it.
const OWN: &[&str] = &[
    // a provider's calls carry the names of its SDK too, but Terraform is who called
    r"\b(Terraform)/(\d+)(?:\.(\d+)|)(?:\.(\d+)|)",
    // services of AWS that act for somebody, as CloudTrail names them
    r"^\[?(AWS Internal)\b",
    r"^\[?([a-z0-9-]{1,40}\.amazonaws\.com)\]?$",
    r"^\[?([A-Za-z0-9 ._-]{1,40}?)(?:/(\d+)(?:\.(\d+)|)|), aws-internal/",
    // all languages and generations: aws-sdk-go-v2, aws-sdk-rust
    r"\b(aws-sdk-[a-z0-9-]{1,20})/(\d+)\.(\d+)\.(\d+)",
    r"^(kubectl|kubelet|kube-[a-z-]{1,30}|helm|eksctl)/v?(\d+)\.(\d+)(?:\.(\d+)|)",
    r"^(sealtrail[a-z-]{0,20})/(\d+)\.(\d+)\.(\d+)",
    // a tool that adds the id of its run to its name
    r"^\[?([A-Za-z][A-Za-z0-9.-]{1,40})_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\]?$",
];

pub fn load() -> Result<Extractor<'static>, String> {
    let rules: Regexes<'static> = serde_json::from_str(UAP_CORE).map_err(told)?;
    let own = OWN.iter().map(|regex| user_agent::Parser { regex: (*regex).into(), ..Default::default() });
    let ua = user_agent::Builder::new().push_all(own.chain(rules.user_agent_parsers)).map_err(told)?;
    let os = os::Builder::new().push_all(rules.os_parsers).map_err(told)?;
    let dev = device::Builder::new().push_all(rules.device_parsers).map_err(told)?;
    Ok(Extractor {
        ua: ua.build().map_err(told)?,
        os: os.build().map_err(told)?,
        dev: dev.build().map_err(told)?,
    })
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
