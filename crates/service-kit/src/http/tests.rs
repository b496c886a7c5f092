use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use super::testing::{GET, PATIENCE, ask, closed_after, config, start};
use crate::config::HttpConfig;

#[tokio::test]
async fn a_peer_that_has_its_connections_is_closed_and_others_are_still_heard() {
    let running = start(HttpConfig { max_connections_per_peer: 1, ..config() }).await;
    let mut first = running.connect().await;
    ask(&mut first, GET).await;
    for _ in 0..200 {
        closed_after(&mut running.connect().await).await;
    }
    assert_eq!(running.counted("sealtrail_http_refused_connections_total"), 200);
    assert_eq!(running.counted("sealtrail_http_open_connections"), 1);
    let (head, body) = ask(&mut first, GET).await;
    assert!(head.starts_with("http/1.1 200"), "{head}");
    assert_eq!(body, "hello");
}

#[tokio::test]
async fn a_connection_more_than_there_may_be_waits_for_a_place() {
    let running = start(HttpConfig { max_connections: 1, ..config() }).await;
    let mut first = running.connect().await;
    ask(&mut first, GET).await;
    let mut second = running.connect().await;
    let early = tokio::time::timeout(Duration::from_millis(200), ask(&mut second, GET)).await;
    assert!(early.is_err(), "there is no place yet");
    drop(first);
    let mut byte = [0];
    let read = tokio::time::timeout(PATIENCE, second.read(&mut byte)).await.expect("answered in time");
    assert_eq!((read.expect("read"), &byte), (1, b"H"));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_connections_that_rest() {
    let running = start(config()).await;
    let (mut rests, silent) = (running.connect().await, running.connect().await);
    ask(&mut rests, GET).await;
    while running.counted("sealtrail_http_open_connections") < 2 {
        tokio::task::yield_now().await;
    }
    let begun = Instant::now();
    running.shutdown.begin();
    running.served.await.expect("ended");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(silent);
}
