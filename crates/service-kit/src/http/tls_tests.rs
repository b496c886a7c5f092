use std::path::Path;
use std::time::{Duration, Instant};

use rustls::ProtocolVersion;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{HttpConfig, TlsConfig};
use crate::http::OpenError;
use crate::http::testing::{GET, PATIENCE, Running, ask, closed_after, config, start, write_certificate};

const FAILED: &str = "sealtrail_http_failed_handshakes_total";

fn with_tls(certificate: &Path, key: &Path) -> HttpConfig {
    let tls = TlsConfig {
        certificate_file: Some(certificate.to_owned()),
        key_file: Some(key.to_owned()),
        reload_ms: 50,
    };
    HttpConfig { tls, header_timeout_ms: 1_000, ..config() }
}

async fn hears(running: &Running, trusted: &CertificateDer<'static>) -> bool {
    let Ok(mut stream) = running.connect_tls(trusted).await else { return false };
    let (head, body) = ask(&mut stream, GET).await;
    head.starts_with("http/1.1 200") && body == "hello"
}

#[tokio::test]
async fn requests_come_over_tls_on_a_connection_that_is_kept() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key, trusted) = write_certificate(dir.path());
    let running = start(with_tls(&certificate, &key)).await;
    let mut stream = running.connect_tls(&trusted).await.expect("a handshake");
    assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    for _ in 0..2 {
        let (head, body) = ask(&mut stream, GET).await;
        assert!(head.starts_with("http/1.1 200") && head.contains("nosniff") && body == "hello", "{head}");
    }
    let text = "x".repeat(300_000);
    let post = format!("POST /length HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{text}", text.len());
    assert_eq!(ask(&mut stream, &post).await.1, "300000");
    assert_eq!(running.counted(FAILED), 0);
}

#[tokio::test]
async fn plain_text_at_a_port_with_tls_is_dropped_and_harms_nobody() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key, trusted) = write_certificate(dir.path());
    let running = start(with_tls(&certificate, &key)).await;
    for _ in 0..20 {
        let mut plain = running.connect().await;
        plain.write_all(GET.as_bytes()).await.expect("written");
        let mut said = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, plain.read_to_end(&mut said)).await.expect("closed");
        assert!(!said.starts_with(b"HTTP"), "{said:?}");
    }
    assert!(hears(&running, &trusted).await);
    assert_eq!(running.counted(FAILED), 20);
}

#[tokio::test]
async fn handshakes_that_hang_end_and_keep_nobody_waiting() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key, trusted) = write_certificate(dir.path());
    let running = start(with_tls(&certificate, &key)).await;
    let mut hanging = Vec::new();
    for _ in 0..50 {
        let mut stream = running.connect().await;
        // the begin of a TLS record of 512 bytes
        stream.write_all(&[22, 3, 1, 2, 0]).await.expect("written");
        hanging.push(stream);
    }
    assert!(hears(&running, &trusted).await, "while they hang");
    for mut stream in hanging {
        closed_after(&mut stream).await;
    }
    assert_eq!(running.counted(FAILED), 50);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_handshakes() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key, _) = write_certificate(dir.path());
    let running = start(HttpConfig { header_timeout_ms: 60_000, ..with_tls(&certificate, &key) }).await;
    let _silent = running.connect().await;
    while running.counted("sealtrail_http_open_connections") == 0 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    running.shutdown.begin();
    running.served.await.expect("ended");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

async fn eventually_heard(running: &Running, trusted: &CertificateDer<'static>) {
    let begun = Instant::now();
    while !hears(running, trusted).await {
        assert!(begun.elapsed() < PATIENCE, "the new certificate is not taken up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_and_a_broken_one_is_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let (certificate, key, first) = write_certificate(dir.path());
    let running = start(with_tls(&certificate, &key)).await;
    let mut before = running.connect_tls(&first).await.expect("a handshake");
    let (_, _, second) = write_certificate(dir.path());
    eventually_heard(&running, &second).await;
    assert!(!hears(&running, &first).await);
    // a connection that is there goes on
    ask(&mut before, GET).await;
    for broken in ["", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&certificate, broken).expect("written");
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(hears(&running, &second).await, "the last good one stays");
    }
    std::fs::remove_file(&key).expect("removed");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(hears(&running, &second).await, "the last good one stays");
    let (_, _, third) = write_certificate(dir.path());
    eventually_heard(&running, &third).await;
}

async fn refused(certificate: &Path, key: &Path) -> String {
    let opened = crate::http::open(&with_tls(certificate, key)).await;
    assert!(matches!(opened, Err(OpenError::Tls(_))));
    opened.expect_err("refused").to_string()
}

#[tokio::test]
async fn files_that_are_of_no_use_are_named_at_start_and_not_shown() {
    let (dir, other) = (tempfile::tempdir().expect("one"), tempfile::tempdir().expect("two"));
    let (certificate, key, _) = write_certificate(dir.path());
    let (_, other_key, _) = write_certificate(other.path());
    let nowhere = Path::new("/nowhere/x.pem");
    for (said, words) in [
        (refused(nowhere, &key).await, [CERTIFICATE_KEY, "/nowhere/x.pem cannot be read"]),
        (refused(&certificate, nowhere).await, [KEY_KEY, "/nowhere/x.pem cannot be read"]),
        (refused(&key, &key).await, [CERTIFICATE_KEY, "holds no certificate"]),
        (refused(&certificate, &certificate).await, [KEY_KEY, "holds no private key"]),
        (refused(&certificate, &other_key).await, ["do not go together", "the key that the certificate"]),
    ] {
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!said.contains("BEGIN"), "{said}");
    }
}
