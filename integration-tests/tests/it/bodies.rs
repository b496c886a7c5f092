//! Bodies as producers send them: packed, and line by line while the next line is not written yet.

use std::io::Read;

use flate2::Compression;
use flate2::read::GzEncoder;
use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    GzEncoder::new(text, Compression::best()).read_to_end(&mut packed).unwrap();
    packed
}

fn statuses(batch: &Value) -> Vec<&str> {
    batch["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn packed_bodies_are_unpacked_and_bombs_are_not() {
    let tenant = Tenant::create(shared(), "packed", "admin").await;
    let send = |coding: &'static str, content_type: &'static str, body: Vec<u8>| {
        let request = tenant.gateway(Method::POST, "/v1/events/batch").header(CONTENT_TYPE, content_type);
        answer(request.header(CONTENT_ENCODING, coding).body(body))
    };
    let lines = format!("{}\n{}\n", event(1), event(2)).into_bytes();
    let array = json!([event(3)]).to_string().into_bytes();
    for (coding, content_type, body, wanted) in [
        ("gzip", "application/x-ndjson", gzip(&lines), 2),
        ("zstd", "application/x-ndjson", zstd::encode_all(lines.as_slice(), 3).unwrap(), 2),
        ("gzip", "application/json", gzip(&array), 1),
        ("zstd", "application/json", zstd::encode_all(array.as_slice(), 3).unwrap(), 1),
    ] {
        let (status, batch) = send(coding, content_type, body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{coding} {content_type}: {batch}");
        assert_eq!(statuses(&batch), vec!["accepted"; wanted], "{coding} {content_type}");
    }
    tenant.rows("events", 6).await;
    let bomb = vec![b' '; 200 * 1024 * 1024];
    for (coding, bomb) in [("gzip", gzip(&bomb)), ("zstd", zstd::encode_all(bomb.as_slice(), 1).unwrap())] {
        assert!(bomb.len() < 1024 * 1024, "{coding}: {} bytes", bomb.len());
        for content_type in ["application/json", "application/x-ndjson"] {
            let (status, problem) = send(coding, content_type, bomb.clone()).await;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{coding} {content_type}: {problem}");
        }
        let (status, problem) = send(coding, "application/json", bomb[..bomb.len() / 2].to_vec()).await;
        assert!([400, 413].contains(&status.as_u16()), "{coding}, cut: {status} {problem}");
    }
    // ten KiB that are five million lines, or items
    let lines = gzip(&b"1\n".repeat(5_000_000));
    let (status, batch) = send("gzip", "application/x-ndjson", lines).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(batch["results"].as_array().map(Vec::len), Some(10_000));
    let items = gzip(&[b"[".as_slice(), &b"1,".repeat(5_000_000), b"1]"].concat());
    assert_eq!(send("gzip", "application/json", items).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, problem) = send("gzip", "application/json", array).await;
    assert_eq!(
        (status, &problem["type"]),
        (StatusCode::BAD_REQUEST, &json!("urn:sealtrail:problem:not-unpackable"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_stored_before_the_next_one_is_written() {
    let tenant = Tenant::create(shared(), "streamed", "admin").await;
    let (mut to, from) = tokio::io::duplex(64 * 1024);
    let request = tenant
        .gateway(Method::POST, "/v1/events/batch")
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(reqwest::Body::wrap_stream(ReaderStream::new(from)));
    let answering = tokio::spawn(answer(request));
    to.write_all(format!("{}\n", event(1)).as_bytes()).await.unwrap();
    tenant.rows("events", 1).await;
    assert!(!answering.is_finished(), "the body is still coming");
    to.write_all(format!("{{\n{}", event(2)).as_bytes()).await.unwrap();
    drop(to);
    let (status, batch) = answering.await.unwrap();
    assert_eq!(status, StatusCode::ACCEPTED, "{batch}");
    assert_eq!(statuses(&batch), ["accepted", "rejected", "accepted"]);
    tenant.rows("events", 2).await;
}

/// What was taken before the end has its results.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_a_limit_says_what_was_taken() {
    let tenant = Tenant::create(shared(), "stream-limit", "admin").await;
    let (mut to, from) = tokio::io::duplex(64 * 1024);
    let request = tenant
        .gateway(Method::POST, "/v1/events/batch")
        .header(CONTENT_TYPE, "application/x-ndjson")
        .body(reqwest::Body::wrap_stream(ReaderStream::new(from)));
    let answering = tokio::spawn(answer(request));
    to.write_all(format!("{}\n", event(1)).as_bytes()).await.unwrap();
    tenant.rows("events", 1).await;
    let blank = vec![b' '; 1024 * 1024];
    for _ in 0..11 {
        // the server may hang up once it has read enough
        let _hung_up = to.write_all(&blank).await;
    }
    drop(to);
    let (status, batch) = answering.await.unwrap();
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{batch}");
    assert_eq!(statuses(&batch), ["accepted"]);
    assert_eq!(batch["problem"]["type"], "urn:sealtrail:problem:too-large");
}
