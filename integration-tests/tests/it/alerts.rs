//! The alert rules: Prometheus's own tool takes them, each fires on its fault and is silent otherwise, and each leads
//! to a section that says what to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use integration_tests::workspace;

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let tool = workspace().join("target/tools/bin/promtool");
    assert!(tool.is_file(), "{} is not there; run `make target/tools/ready`", tool.display());
    let done = Command::new(tool).args(arguments).args(files).output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "promtool {arguments:?}: {said}");
}

fn files(directory: &str) -> Vec<PathBuf> {
    let directory = workspace().join("deploy/prometheus").join(directory);
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn texts(directory: &str) -> String {
    files(directory).iter().map(|file| fs::read_to_string(file).unwrap()).collect()
}

/// The names behind `- alert:`.
fn alerts() -> BTreeSet<String> {
    let rules = texts("rules");
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.map(ToOwned::to_owned).collect()
}

/// `EventsUnconfirmed` to `events-unconfirmed`.
fn anchor(alert: &str) -> String {
    let mut anchor = String::new();
    for letter in alert.replace("ClickHouse", "Clickhouse").chars() {
        if letter.is_ascii_uppercase() && !anchor.is_empty() {
            anchor.push('-');
        }
        anchor.push(letter.to_ascii_lowercase());
    }
    anchor
}

#[test]
fn promtool_takes_rules_and_configuration() {
    promtool(&["check", "rules"], &files("rules"));
    promtool(&["check", "config"], &[workspace().join("deploy/prometheus/prometheus.yml")]);
}

#[test]
fn each_alert_fires_on_its_fault_and_on_nothing_else() {
    promtool(&["test", "rules"], &files("tests"));
    let tests = texts("tests");
    let untested: Vec<_> =
        alerts().into_iter().filter(|alert| !tests.contains(&format!("alertname=\"{alert}\""))).collect();
    assert!(untested.is_empty(), "alerts without a test: {untested:?}");
}

#[test]
fn each_alert_has_a_section_that_says_what_to_do() {
    let page = fs::read_to_string(workspace().join("docs/alerts.md")).unwrap();
    let rules = texts("rules");
    for alert in alerts() {
        let anchor = anchor(&alert);
        assert!(rules.contains(&format!("runbook: docs/alerts.md#{anchor}\n")), "{alert} has no runbook");
        let heading = anchor.replace('-', " ");
        let section = page
            .split("\n## ")
            .find(|section| section.lines().next().is_some_and(|line| line.to_lowercase() == heading));
        let section = section.unwrap_or_else(|| panic!("docs/alerts.md has no section `{heading}`"));
        for part in ["*Means:*", "*Look:*", "*Do:*"] {
            assert!(section.contains(part), "{alert}: no {part}");
        }
    }
    let sections = page.lines().filter(|line| line.starts_with("## ")).count();
    assert_eq!(sections, alerts().len(), "sections of docs/alerts.md without an alert");
}
