#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Instant;

use super::*;

/// Text, then `name version | os version | device`.
const KNOWN: [(&str, &str); 22] = [
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        "Chrome 120.0.0.0 | Windows 10 | ",
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
        "Mobile Safari 17.1 | iOS 17.1 | iPhone",
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0",
        "Firefox 102.0 | Ubuntu  | ",
    ),
    ("curl/8.5.0", "curl 8.5.0 |   | "),
    ("python-requests/2.31.0", "Python Requests 2.31 |   | "),
    ("Java/17.0.1", "Java 17.0.1 |   | "),
    (
        "aws-cli/2.15.0 Python/3.11.6 Linux/5.15.0 exe/x86_64 command/s3.ls",
        "aws-cli 2.15.0 | Linux 5.15.0 | ",
    ),
    (
        "[Boto3/1.26.165 Python/3.10.6 Linux/5.19.0-46-generic Botocore/1.29.165]",
        "Boto3 1.26.165 | Linux 5.19.0 | ",
    ),
    ("aws-sdk-go/1.41.4 (go1.18.3; linux; amd64) amazon-ssm-agent/", "aws-sdk-go 1.41.4 | Linux  | "),
    (
        "aws-sdk-go-v2/1.18.0 os/linux lang/go/1.19.8 md/GOOS/linux api/iam/1.19.12",
        "aws-sdk-go-v2 1.18.0 | Linux  | ",
    ),
    (
        "aws-sdk-java/1.12.488 Linux/5.10.184 OpenJDK_64-Bit_Server_VM/25.372-b08",
        "aws-sdk-java 1.12.488 | Linux 5.10.184 | ",
    ),
    (
        "APN/1.0 HashiCorp/1.0 Terraform/1.1.2 (+https://www.terraform.io) terraform-provider-aws/3.76.1 aws-sdk-go/1.44.157 (go1.19.3; linux; amd64)",
        "Terraform 1.1.2 | Linux  | ",
    ),
    ("AWS Internal", "AWS Internal  |   | "),
    ("secretsmanager.amazonaws.com", "secretsmanager.amazonaws.com  |   | "),
    (
        "[S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.488 Linux/5.4.247]",
        "S3Console 0.4 | Linux 5.4.247 | ",
    ),
    ("RDS Console, aws-internal/3 aws-sdk-java/1.11.975 Linux/5.10.184", "RDS Console  | Linux 5.10.184 | "),
    ("stratus-red-team_6a7ec681-49a5-4403-99a2-d3c1229e8063", "stratus-red-team  |   | "),
    ("kubectl/v1.29.0 (linux/amd64) kubernetes/3f7a50f", "kubectl 1.29.0 | Linux  | "),
    (
        "kube-controller-manager/v1.28.2 (linux/amd64) kubernetes/89a4ea3",
        "kube-controller-manager 1.28.2 | Linux  | ",
    ),
    ("sealtrail/0.1.0", "sealtrail 0.1.0 |   | "),
    ("okhttp/4.12.0", "okhttp 4.12.0 |   | "),
    ("Go-http-client/1.1", "Go-http-client 1.1 |   | "),
];

#[test]
fn browsers_tools_and_sdks_are_named() {
    let parser = Parser::new().unwrap();
    for (text, wanted) in KNOWN {
        let UserAgent { name, version, os_name, os_version, device_name } = parser.parse(text).unwrap();
        let said = format!("{name} {version} | {os_name} {os_version} | {device_name}");
        assert_eq!(said, wanted, "{text}");
    }
}

#[test]
fn what_no_rule_knows_is_nothing() {
    let parser = Parser::new().unwrap();
    for text in ["", " ", "payroll", "\u{0}", "\u{202e}abc", "()", "12345"] {
        assert_eq!(parser.parse(text), None, "{text:?}");
    }
}

#[test]
fn long_and_hostile_texts_are_bounded_in_time_and_answer() {
    let parser = Parser::new().unwrap();
    let far_behind = format!("{}curl/8.5.0", "x".repeat(MAX_USER_AGENT_BYTES));
    assert_eq!(parser.parse(&far_behind), None, "what stands behind the bound is not looked at");
    let long_name = format!("{}bot/1.0", "a".repeat(500));
    let all = ["Mozilla/5.0 (".repeat(80_000), "(((((;".repeat(170_000), "é".repeat(600_000), long_name];
    let begun = Instant::now();
    for text in &all {
        if let Some(agent) = parser.parse(text) {
            for part in [agent.name, agent.version, agent.os_name, agent.os_version, agent.device_name] {
                assert!(part.len() <= MAX_NAME_BYTES, "{} bytes", part.len());
            }
        }
    }
    // a thousandth of it is the rule: this machine may be busy
    assert!(begun.elapsed().as_millis() < 500, "{:?}", begun.elapsed());
}
