//! The sender against a gateway of bad manners.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::DateTime;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::books::Books;
use crate::event::Run;
use crate::progress::Progress;

/// What the stub does with one request, in turn.
#[derive(Clone, Copy)]
enum Manner {
    /// 202, all accepted.
    Accept,
    /// Takes the events and closes the connection without an answer.
    TakeAndHangUp,
    /// 503 at once, with Retry-After.
    Busy,
    /// 503, every other event unconfirmed, though taken.
    HalfConfirm,
    /// 429.
    TooMany,
    /// 401.
    Refuse,
    /// 202, the last event rejected.
    RejectLast,
    /// Takes the events and answers half of the body.
    CutOff,
}

/// How often each event id arrived and was taken.
type Taken = Arc<Mutex<HashMap<String, u32>>>;

async fn stub(manners: Vec<Manner>) -> (String, Taken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let taken = Taken::default();
    let book = Arc::clone(&taken);
    tokio::spawn(async move {
        for manner in manners {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let events = request(&mut stream).await;
            let (status, headers, body) = answer(manner, &events, &book);
            let sent = if matches!(manner, Manner::CutOff) { body.len() / 2 } else { body.len() };
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n",
                body.len()
            );
            if !matches!(manner, Manner::TakeAndHangUp) {
                stream.write_all(head.as_bytes()).await.expect("written");
                stream.write_all(&body.as_bytes()[..sent]).await.expect("written");
            }
        }
    });
    (url, taken)
}

async fn request(stream: &mut TcpStream) -> Vec<Value> {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.expect("read");
        bytes.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("POST /v1/events/batch "), "{head}");
        assert!(head.contains("authorization: Bearer stk_a_b"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() == length.expect("a length").parse::<usize>().expect("a number") {
            return serde_json::from_str(body).expect("an array of events");
        }
    }
}

fn answer(manner: Manner, events: &[Value], taken: &Taken) -> (u16, &'static str, String) {
    match manner {
        Manner::Busy => (503, "retry-after: 0\r\n", json!({"title": "busy"}).to_string()),
        Manner::TooMany => (429, "retry-after: 0\r\n", json!({"title": "slow down"}).to_string()),
        Manner::Refuse => (401, "", json!({"title": "who are you"}).to_string()),
        _ => {
            let last = events.len() - 1;
            let result = |(index, event): (usize, &Value)| {
                let id = event["event_id"].as_str().expect("an id").to_owned();
                let status = match manner {
                    Manner::HalfConfirm if index % 2 == 1 => "unconfirmed",
                    Manner::RejectLast if index == last => "rejected",
                    _ => "accepted",
                };
                if status != "rejected" {
                    *taken.lock().expect("lock").entry(id.clone()).or_default() += 1;
                }
                json!({"index": index, "event_id": id, "status": status, "partition": 0, "offset": index})
            };
            let results: Vec<Value> = events.iter().enumerate().map(result).collect();
            let status = if matches!(manner, Manner::HalfConfirm) { 503 } else { 202 };
            (status, "", json!({ "results": results }).to_string())
        }
    }
}

/// Delivers events 1 to 10.
async fn deliver(
    manners: Vec<Manner>,
    give_up_after: Duration,
) -> (Ended, crate::generate::Outcome, Vec<u32>) {
    let (url, taken) = stub(manners).await;
    let run = Run::new(5, DateTime::UNIX_EPOCH);
    let books = Books::new(10, Arc::new(Progress::new(10))).expect("books");
    let gateway =
        Gateway::new(reqwest::Client::builder().no_proxy(), &url, "stk_a_b".to_owned()).expect("a gateway");
    let delivery = Delivery {
        gateway: &gateway,
        event: &|n| run.event(n),
        book: &books,
        give_up_after,
        stop: &CancellationToken::new(),
    };
    let ended = delivery.deliver(&(1..=10).collect::<Vec<_>>()).await;
    let taken = taken.lock().expect("lock");
    let arrivals = (1..=10).map(|n| taken.get(&run.event_id(n).to_string()).copied().unwrap_or(0)).collect();
    (ended, books.close(&run, Duration::ZERO), arrivals)
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test]
async fn every_kind_of_trouble_ends_in_an_acknowledgement() {
    let manners = vec![
        Manner::Busy,
        Manner::TooMany,
        Manner::TakeAndHangUp,
        Manner::CutOff,
        Manner::HalfConfirm,
        Manner::Accept,
    ];
    let (ended, outcome, arrivals) = deliver(manners, LONG).await;
    assert_eq!(ended, Ended::Answered);
    assert!(outcome.account.is_complete());
    // 10 in each of the first four tries again, and the 5 that the fifth left unconfirmed
    assert_eq!(outcome.retried, 45);
    assert_eq!(arrivals, [3, 4, 3, 4, 3, 4, 3, 4, 3, 4]);
    assert_eq!(outcome.account.last_offsets[&0], 8);
}

#[tokio::test]
async fn a_rejection_is_final_and_only_for_its_event() {
    let (ended, outcome, _) = deliver(vec![Manner::RejectLast], LONG).await;
    assert_eq!(ended, Ended::Answered);
    assert_eq!((outcome.account.accepted.len(), outcome.account.rejected.len()), (9, 1));
    assert!(outcome.rejected_because.is_some_and(|why| why.starts_with("event 10")));
}

#[tokio::test]
async fn a_wrong_key_is_not_tried_again() {
    let (ended, outcome, _) = deliver(vec![Manner::Refuse], LONG).await;
    assert!(matches!(ended, Ended::Hopeless(why) if why.contains("SEALTRAIL_API_KEY")));
    assert_eq!(outcome.account.unknown.len() + outcome.account.rejected.len(), 0);
}

#[tokio::test]
async fn without_an_answer_all_stay_unknown() {
    let (ended, outcome, arrivals) = deliver(vec![Manner::TakeAndHangUp], Duration::ZERO).await;
    assert!(matches!(ended, Ended::GaveUp(_)));
    assert_eq!(outcome.account.unknown.len(), 10);
    assert_eq!(arrivals, [1; 10]);
}

#[test]
fn waits_grow_are_bounded_and_never_shorter_than_asked() {
    let mut backoff = Backoff(FIRST_BACKOFF);
    let mut rng = rand::rng();
    for _ in 0..20 {
        assert!(backoff.wait(None, &mut rng) <= LONGEST_BACKOFF);
    }
    assert!(backoff.wait(None, &mut rng) >= LONGEST_BACKOFF / 2);
    let asked = Duration::from_secs(4);
    let wait = backoff.wait(Some(asked), &mut rng);
    assert!(wait >= asked && wait <= asked * 2);
}
