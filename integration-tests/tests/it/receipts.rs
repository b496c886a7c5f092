//! Receipts, as a stranger checks them: the keys from the well-known address, and a library that is not ours.

use std::path::PathBuf;
use std::process::Command;

use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::{eventually, workspace};
use serde_json::{Value, json};
use transparency_log::{Receipt, VerifierKeys, hex_of};

async fn listed_keys(tenant: &Tenant<'_>) -> VerifierKeys {
    let url = format!("{}/.well-known/sealtrail-keys", tenant.stack.var("SEALTRAIL_GATEWAY_URL"));
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    VerifierKeys::parse(&text).unwrap()
}

fn secret(stack: &Stack, name: &str) -> PathBuf {
    stack.dir.join("secrets").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_accepted_event_stands_in_the_receipt_as_it_stands_in_the_trail() {
    let stack = shared();
    let tenant = Tenant::create(stack, "receipts", "admin").await;
    let keys = listed_keys(&tenant).await;
    let (_, single) = answer(tenant.post("/v1/events", &event(1))).await;
    let receipt = Receipt::open(single["receipt"].as_str().unwrap(), &keys).unwrap();
    assert_eq!(receipt.records.len(), 1);
    assert_eq!(hex_of(&receipt.records[0].sha256), single["record_sha256"].as_str().unwrap());
    let (_, batch) = answer(tenant.post("/v1/events/batch", &json!([event(2), {}, event(3)]))).await;
    let receipt = Receipt::open(batch["receipt"].as_str().unwrap(), &keys).unwrap();
    assert_eq!(receipt.records.len(), 2, "a rejected event is not in it");
    tenant.rows("events", 3).await;
    for record in &receipt.records {
        let row = stack
            .sql(&format!(
                "SELECT toUnixTimestamp64Milli(received_at), tenant_id FROM events WHERE kafka_partition = {} AND kafka_offset = {} FORMAT TSV",
                record.partition, record.offset
            ))
            .await;
        assert_eq!(row, format!("{}\treceipts", record.timestamp.0));
    }
    let trail = receipt.trail.to_string();
    assert_eq!(stack.sql("SELECT DISTINCT toString(trail_id) FROM event_batches").await, trail);
    let (_, rejected) = answer(tenant.post("/v1/events/batch", &json!([{}]))).await;
    assert!(rejected.get("receipt").is_none(), "{rejected}");
}

/// More than one note can hold.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_batch_has_two_receipts() {
    let tenant = Tenant::create(shared(), "receipts-large", "admin").await;
    let events: Vec<_> = (0..10_000).map(event).collect();
    let (_, batch) = answer(tenant.post("/v1/events/batch", &json!(events))).await;
    let keys = listed_keys(&tenant).await;
    let notes = [batch["receipt"].as_str().unwrap(), batch["more_receipts"][0].as_str().unwrap()];
    let records: Vec<_> = notes.iter().flat_map(|note| Receipt::open(note, &keys).unwrap().records).collect();
    let of_results: Vec<_> = batch["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["record_sha256"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(records.iter().map(|record| hex_of(&record.sha256)).collect::<Vec<_>>(), of_results);
    assert_eq!(batch["more_receipts"].as_array().map(Vec::len), Some(1));
}

/// Python's `cryptography`, by nothing but the specification of signed notes.
#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_checks_a_receipt() {
    let stack = shared();
    let tenant = Tenant::create(stack, "receipts-stranger", "admin").await;
    let (_, single) = answer(tenant.post("/v1/events", &event(1))).await;
    let check = |receipt: &str| {
        let output = Command::new(workspace().join("target/venv/bin/python"))
            .arg(workspace().join("integration-tests/python/check_receipt.py"))
            .arg(format!("{}/.well-known/sealtrail-keys", stack.var("SEALTRAIL_GATEWAY_URL")))
            .arg(receipt)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let receipt = single["receipt"].as_str().unwrap();
    let line = format!("{} {}", single["offset"], single["record_sha256"].as_str().unwrap());
    assert_eq!(check(receipt), (Some(0), line));
    let altered = receipt.replacen("sealed-by 1", "sealed-by 2", 1);
    assert_ne!(altered, receipt);
    assert_eq!(check(&altered).0, Some(1));
}

/// F37: rotation with overlap, and a file that cannot be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_signs_without_a_restart_and_former_receipts_still_open() {
    let stack = shared();
    let tenant = Tenant::create(stack, "receipts-rotation", "admin").await;
    let receipt =
        async || answer(tenant.post("/v1/events", &event(1))).await.1["receipt"].as_str().unwrap().to_owned();
    let (before, first) = (listed_keys(&tenant).await, receipt().await);
    let (key, listed) = (secret(stack, "receipt-key"), secret(stack, "receipt-keys.listed"));
    let arguments =
        ["receipt-keys", "rotate", "--file", key.to_str().unwrap(), "--listed", listed.to_str().unwrap()];
    let output = stack.run("sealtrail", &arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let second = eventually("the new key signs", || async {
        let note = receipt().await;
        Receipt::open(&note, &before).is_err().then_some(note)
    })
    .await;
    let after = listed_keys(&tenant).await;
    assert!(Receipt::open(&first, &after).is_ok() && Receipt::open(&second, &after).is_ok());
    let good = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, "rubbish\n").unwrap();
    let log = stack.dir.join("log/gateway.log");
    eventually("the gateway says so", || async {
        std::fs::read_to_string(&log).unwrap().contains("receipt keys not read again").then_some(())
    })
    .await;
    let third = receipt().await;
    std::fs::write(&key, good).unwrap();
    assert!(Receipt::open(&third, &after).is_ok(), "the last good key stays");
}

/// What is asked of a receipt by hand is asked of its JSON too: nothing but an accepted event has one.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_accepted_has_no_receipt() {
    let tenant = Tenant::create(shared(), "receipts-none", "admin").await;
    let (status, buffered) = answer(tenant.post("/v1/events?delivery=async", &event(1))).await;
    assert_eq!((status.as_u16(), &buffered["status"]), (202, &json!("buffered")), "{buffered}");
    assert_eq!((buffered.get("receipt"), buffered.get("offset")), (None::<&Value>, None::<&Value>));
    tenant.rows("events", 1).await;
    let (status, problem) = answer(tenant.post("/v1/events?delivery=maybe", &event(1))).await;
    assert_eq!((status.as_u16(), &problem["type"]), (400, &json!("urn:sealtrail:problem:bad-request")));
}
