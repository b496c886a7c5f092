//! Backup while events flow, loss of ClickHouse's whole database, restore, and the rest read from Kafka again: every
//! event once.

use std::path::{Path, PathBuf};
use std::process::Output;

use integration_tests::kafka::produce;
use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, event};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::doctor::names_what_was_broken;

fn numbered(numbers: std::ops::Range<usize>) -> Vec<Value> {
    let with_id = |n: usize| {
        let mut event = event(n);
        event["event_id"] = json!(Uuid::from_u128(n as u128 + 1));
        event
    };
    numbers.map(with_id).collect()
}

fn sealtrail(stack: &Stack, arguments: &[&str]) -> Output {
    stack.run("sealtrail", &[&["--output", "json"], arguments].concat())
}

/// The JSON of a command that must succeed.
fn done(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// What a command that must fail says.
fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn rows_of(report: &Value, table: &str) -> u64 {
    let tables = report["tables"].as_array().expect("tables");
    tables.iter().find(|entry| entry["table"] == table).expect("the table")["rows"]
        .as_u64()
        .expect("a number")
}

async fn settle(stack: &Stack) {
    // a batch that nothing follows is closed by a plain commit after a second
    let closed = "SELECT max(to_offset) > 0 AND max(greatest_received_at) < now() - 3 FROM event_batches";
    integration_tests::eventually("the last batch is closed", || async {
        (stack.sql(closed).await == "1").then_some(())
    })
    .await;
}

fn hold(stack: &Stack, action: &str) {
    let dir = stack.dir.display().to_string();
    let output = stack.run("sealtrail-local-stack", &[action, "processor", "--dir", &dir]);
    assert!(output.status.success(), "{action}: {}", String::from_utf8_lossy(&output.stderr));
}

fn file_of(dir: &Path, begin: &str) -> PathBuf {
    let mut files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    files.find(|path| path.file_name().unwrap().to_string_lossy().starts_with(begin)).unwrap()
}

fn flip_a_byte(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_database_comes_back_with_every_event_once() {
    let stack = Stack::start(&Options {
        name: "backup",
        port_shift: 7_000,
        // a stopped processor leaves the group sooner
        settings: vec![("SEALTRAIL_PROCESSOR__GROUP__SESSION_TIMEOUT_MS", "3000".to_owned())],
        ..Options::default()
    });
    let tenant = Tenant::create(&stack, "backup", "admin").await;
    let (full, later) = (stack.dir.join("full"), stack.dir.join("later"));
    let (full_dir, later_dir) = (full.display().to_string(), later.display().to_string());

    tenant.send(&numbered(0..20)).await;
    tenant.send(&numbered(0..2)).await;
    produce(&stack, Some(b"backup|x"), Some(b"no event")).await;
    tenant.rows("duplicates", 2).await;
    tenant.rows("events", 20).await;
    settle(&stack).await;
    let report = done(&sealtrail(&stack, &["backup", "--to", &full_dir]));
    let in_full = ["events", "duplicates", "dead_letters"].map(|table| rows_of(&report, table));
    assert_eq!(in_full, [20, 2, 1], "{report:#}");
    assert!(refused(&sealtrail(&stack, &["backup", "--to", &full_dir])).contains("is not empty"));
    let other_group = ["backup", "--to", &later_dir, "--group", "another"];
    assert!(refused(&sealtrail(&stack, &other_group)).contains("group another has no commit"));

    tenant.send(&numbered(20..30)).await;
    tenant.rows("events", 30).await;
    settle(&stack).await;
    let report = done(&sealtrail(&stack, &["backup", "--to", &later_dir, "--since", &full_dir]));
    assert_eq!(rows_of(&report, "events"), 10, "only what came later: {report:#}");

    tenant.send(&numbered(30..40)).await;
    tenant.rows("events", 40).await;
    hold(&stack, "stop");
    tenant.send(&numbered(40..45)).await;

    let restore = ["restore", "--from", &full_dir, "--from", &later_dir];
    assert!(refused(&sealtrail(&stack, &restore)).contains("table events has 40 rows"));
    stack.sql("DROP DATABASE sealtrail SYNC").await;
    assert!(refused(&sealtrail(&stack, &["restore", "--from", &later_dir])).contains("give the full one"));
    let events = file_of(&later, "events-");
    flip_a_byte(&events);
    assert!(refused(&sealtrail(&stack, &restore)).contains("is not what was written"));
    flip_a_byte(&events);
    let report = done(&sealtrail(&stack, &[&restore[..], &["--check-only"]].concat()));
    assert_eq!(report["restored"], false);

    let report = done(&sealtrail(&stack, &restore));
    assert_eq!((report["restored"].as_bool(), rows_of(&report, "events")), (Some(true), 30));
    tenant.rows("events", 30).await;
    hold(&stack, "start");
    tenant.rows("events", 45).await;
    let distinct = "SELECT uniqExact(event_id) = 45 AND count() = 45 FROM events WHERE tenant_id = 'backup'";
    assert_eq!(stack.sql(distinct).await, "1");
    // the window was rebuilt from restored rows: an event from before the backup is still known
    tenant.send(&numbered(5..6)).await;
    tenant.rows("duplicates", 3).await;
    tenant.rows("events", 45).await;
    tenant.rows("dead_letters", 1).await;
    assert_eq!(stack.sql("SELECT sum(breaks + sums_off) FROM batch_accounting").await, "0");
    names_what_was_broken(&stack).await;
}
