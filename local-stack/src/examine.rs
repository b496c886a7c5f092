//! `sealtrail doctor` at the end of a start: what is not as it should be is said before the addresses.

use std::process::Stdio;

use anyhow::Context;
use serde::Deserialize;

use crate::ports::Ports;
use crate::services::{Engines, program};

#[derive(Deserialize)]
struct Report {
    checks: Vec<Check>,
}

#[derive(Deserialize)]
struct Check {
    name: String,
    state: String,
    seen: String,
    #[serde(rename = "do")]
    advice: Option<String>,
}

/// A finding does not end the start: the stack is there to look at it.
pub async fn examine(engines: &Engines, ports: &Ports) -> anyhow::Result<()> {
    if engines.topic_check == "off" {
        // the mock broker keeps no promise, as was said, and cannot be asked for its settings
        return Ok(());
    }
    let mut command = tokio::process::Command::new(program("sealtrail")?);
    command.args(["doctor", "--output", "json"]).stdin(Stdio::null()).kill_on_drop(true);
    if engines.topic_check != "strict" {
        command.arg("--single-broker");
    }
    command.envs(engines.variables());
    command.env("SEALTRAIL_GATEWAY_URL", format!("http://{}", ports.gateway));
    command.env("SEALTRAIL_QUERY_URL", format!("http://{}", ports.query));
    command.env("SEALTRAIL_PROCESSOR_URL", format!("http://{}", ports.processor_admin));
    let output = command.output().await.context("sealtrail doctor")?;
    let report: Report = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("sealtrail doctor: {}", String::from_utf8_lossy(&output.stderr).trim()))?;
    print!("{}", render(&report.checks));
    Ok(())
}

fn render(checks: &[Check]) -> String {
    // a trail without a record says nothing of its broker's clock
    let findings: Vec<_> =
        checks.iter().filter(|check| check.state != "ok" && check.state != "unknown").collect();
    if findings.is_empty() {
        let unknown = checks.iter().filter(|check| check.state == "unknown").count();
        let unknown = if unknown == 0 { String::new() } else { format!(", {unknown} unknown") };
        return format!("sealtrail doctor: all is well ({} checks{unknown})\n", checks.len());
    }
    let line = |check: &&Check| {
        let advice = check.advice.as_ref().map_or(String::new(), |advice| format!("\n  → {advice}"));
        format!("sealtrail doctor: {} {}: {}{advice}\n", check.state, check.name, check.seen)
    };
    findings.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_findings_are_shown() {
        let check = |state: &str| Check {
            name: "clock".into(),
            state: state.into(),
            seen: "2 s ahead".into(),
            advice: Some("use NTP".into()),
        };
        assert_eq!(render(&[check("ok"), check("ok")]), "sealtrail doctor: all is well (2 checks)\n");
        assert_eq!(
            render(&[check("ok"), check("unknown")]),
            "sealtrail doctor: all is well (2 checks, 1 unknown)\n"
        );
        let said = render(&[check("ok"), check("warn")]);
        assert_eq!(said, "sealtrail doctor: warn clock: 2 s ahead\n  → use NTP\n");
    }
}
