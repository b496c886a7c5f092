use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::HttpConfig;
use crate::http::testing::{GET, ask, closed_after, config, start};

const SHORT_MS: u64 = 400;
const LONG_MS: u64 = 1_500;
/// One at a time of those that need much memory, since one of them measures it.
static MEMORY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(1_000);

fn about(elapsed: Duration, wanted_ms: u64) {
    let wanted = Duration::from_millis(wanted_ms);
    // the clock of a test begins a little later than the service's
    assert!(elapsed + Duration::from_millis(100) >= wanted, "{elapsed:?}, too early for {wanted:?}");
    assert!(elapsed < wanted + SLACK, "{elapsed:?}, too late for {wanted:?}");
}

fn limits(header_timeout_ms: u64, idle_timeout_ms: u64) -> HttpConfig {
    HttpConfig { header_timeout_ms, idle_timeout_ms, ..config() }
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed_with_the_time_for_headers() {
    let running = start(limits(SHORT_MS, 60_000)).await;
    about(closed_after(&mut running.connect().await).await, SHORT_MS);
}

#[tokio::test]
async fn a_kept_alive_connection_may_rest_longer_than_headers_may_take() {
    let running = start(limits(SHORT_MS, LONG_MS)).await;
    let mut stream = running.connect().await;
    ask(&mut stream, GET).await;
    tokio::time::sleep(Duration::from_millis(2 * SHORT_MS)).await;
    let (head, _) = ask(&mut stream, GET).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    about(closed_after(&mut stream).await, LONG_MS);
}

#[tokio::test]
async fn slow_headers_are_closed_also_behind_a_first_request() {
    let running = start(limits(SHORT_MS, 60_000)).await;
    for first in ["", GET] {
        let mut stream = running.connect().await;
        if !first.is_empty() {
            ask(&mut stream, first).await;
        }
        let begun = Instant::now();
        // a byte now and then does not help
        for byte in GET.as_bytes().iter().take(20) {
            if stream.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(SHORT_MS / 10)).await;
        }
        closed_after(&mut stream).await;
        let elapsed = begun.elapsed();
        assert!(elapsed < Duration::from_millis(2 * SHORT_MS) + SLACK, "{elapsed:?} with {first:?} before");
    }
}

/// The end of the request comes after its answer, and from another task.
#[tokio::test]
async fn a_connection_whose_body_was_not_wanted_may_rest_too() {
    let running = start(limits(SHORT_MS, LONG_MS)).await;
    let mut stream = running.connect().await;
    let head = "POST /refuse HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n12345";
    ask(&mut stream, head).await;
    tokio::time::sleep(Duration::from_millis(2 * SHORT_MS)).await;
    let (head, body) = ask(&mut stream, &format!("67890{GET}")).await;
    assert!(head.starts_with("http/1.1 200") && body == "hello", "{head}{body}");
    about(closed_after(&mut stream).await, LONG_MS);
}

#[tokio::test]
async fn an_answer_that_is_not_read_is_given_up() {
    let _alone = MEMORY.lock().await;
    let running = start(limits(SHORT_MS, SHORT_MS)).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: t\r\n\r\n").await.expect("written");
    let begun = Instant::now();
    while running.counted("sealtrail_http_open_connections") == 0 {
        tokio::task::yield_now().await;
    }
    while running.counted("sealtrail_http_open_connections") > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "still open");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut read = Vec::new();
    let _broken_off = stream.read_to_end(&mut read).await;
    assert!(read.len() < 64 * 1024 * 1024, "{} bytes", read.len());
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_arrives() {
    let _alone = MEMORY.lock().await;
    let running = start(limits(SHORT_MS, SHORT_MS)).await;
    let mut stream = running.connect().await;
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: t\r\n\r\n").await.expect("written");
    let (mut piece, mut read) = (vec![0; 8 * 1024 * 1024], 0);
    while read < 64 * 1024 * 1024 {
        // in all it takes longer than a rest may
        tokio::time::sleep(Duration::from_millis(SHORT_MS / 8)).await;
        let wanted = piece.len().min(64 * 1024 * 1024 - read);
        read += stream.read_exact(&mut piece[..wanted]).await.expect("more of it");
    }
}

/// What hyper would keep of a large body's buffer is 408 KiB.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_that_rests_holds_little_memory() {
    let _alone = MEMORY.lock().await;
    const CONNECTIONS: usize = 300;
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("on Linux");
        let pages = text.split(' ').nth(1).expect("resident").parse::<usize>().expect("a number");
        pages * 4096
    };
    let running = start(config()).await;
    let body = "x".repeat(2 * 1024 * 1024);
    let request = format!("POST /length HTTP/1.1\r\nhost: t\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut first = running.connect().await;
    ask(&mut first, &request).await;
    let (before, mut resting) = (resident(), vec![first]);
    for _ in 0..CONNECTIONS {
        let mut stream = running.connect().await;
        assert_eq!(ask(&mut stream, &request).await.1, body.len().to_string());
        resting.push(stream);
    }
    assert_eq!(running.counted("sealtrail_http_open_connections"), CONNECTIONS as u64 + 1);
    let each = resident().saturating_sub(before) / CONNECTIONS;
    assert!(each < 64 * 1024, "{each} bytes each");
}
