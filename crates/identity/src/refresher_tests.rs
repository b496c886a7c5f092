use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

use super::*;
use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::jwks::MAX_KEYS;
use crate::source::MAX_BODY_BYTES;
use crate::testing::{EC, ED, NOW, TestKey, claims, config, jwks, rules, state};

const GAP: Duration = Duration::from_millis(100);
const SELDOM: Duration = Duration::from_secs(3600);
const OFTEN: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(20);

/// What the issuer says next.
#[derive(Clone)]
enum Says {
    Body(u16, Vec<u8>),
    Redirect(String),
    Nothing,
}

/// An issuer over real HTTP.
struct Issuer {
    url: String,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Issuer {
    async fn start(keys: &[Value]) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").await.expect("a port"), keys)
    }

    fn on(listener: TcpListener, keys: &[Value]) -> Self {
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let says = Arc::new(Mutex::new(Says::Body(200, jwks(keys))));
        let asked = Arc::new(AtomicUsize::new(0));
        let (next, count) = (says.clone(), asked.clone());
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let says = next.lock().expect("unpoisoned").clone();
                tokio::spawn(answer(stream, says));
            }
        });
        Self { url, says, asked, serving }
    }

    fn say(&self, says: Says) {
        *self.says.lock().expect("unpoisoned") = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Until what it says now was read and judged: the reading after it has begun.
    async fn was_heard(&self) {
        let before = self.asked();
        eventually(|| self.asked() >= before + 2).await;
    }
}

async fn answer(mut stream: TcpStream, says: Says) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        request.push(byte);
    }
    let (head, body) = match says {
        Says::Body(status, body) => (format!("HTTP/1.1 {status} x\r\n"), body),
        Says::Redirect(to) => (format!("HTTP/1.1 302 x\r\nlocation: {to}\r\n"), Vec::new()),
        Says::Nothing => return std::future::pending().await,
    };
    let head = format!("{head}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // a client that has read enough closes
    let _sent = stream.write_all(&[head.into_bytes(), body].concat()).await;
}

fn start(location: &str, every: Duration) -> (Arc<Tokens>, JoinHandle<()>, DropGuard) {
    let config = TokenConfig { jwks_timeout_ms: 200, ..config() };
    let tokens = Arc::new(Tokens::new(rules()));
    let source = Source::new(location, &config).expect("a place");
    let stop = CancellationToken::new();
    let refresher = Refresher { tokens: tokens.clone(), source, every, nudge_gap: GAP };
    let running = tokio::spawn(refresher.run(stop.clone()));
    (tokens, running, stop.drop_guard())
}

async fn eventually(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "not in time");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ask(tokens: &Tokens, key: &TestKey, kid: &str) -> Result<(), TokenError> {
    tokens.caller(&key.token(kid, &claims()), &state(), NOW).map(drop)
}

#[tokio::test]
async fn a_new_key_is_fetched_when_a_token_names_it() {
    let issuer = Issuer::start(&[EC.jwk("old")]).await;
    let (tokens, _running, _stop) = start(&issuer.url, SELDOM);
    eventually(|| ask(&tokens, &EC, "old").is_ok()).await;
    issuer.say(Says::Body(200, jwks(&[ED.jwk("new")])));
    assert_eq!(ask(&tokens, &ED, "new"), Err(TokenError::UnknownKey), "it asks for the keys");
    eventually(|| ask(&tokens, &ED, "new").is_ok()).await;
    // at the start, for the new key, and once more for who asked meanwhile
    assert!((2..=3).contains(&issuer.asked()), "{}", issuer.asked());
    assert_eq!(ask(&tokens, &EC, "old"), Err(TokenError::UnknownKey), "the issuer took it back");
}

#[tokio::test]
async fn invented_key_ids_are_no_stream_of_fetches() {
    let issuer = Issuer::start(&[EC.jwk("a")]).await;
    let (tokens, _running, _stop) = start(&issuer.url, SELDOM);
    eventually(|| tokens.has_keys()).await;
    let began = Instant::now();
    let mut invented = 0_u32;
    while began.elapsed() < GAP * 5 {
        for _ in 0..20 {
            invented += 1;
            assert_eq!(ask(&tokens, &ED, &format!("invented-{invented}")), Err(TokenError::UnknownKey));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let gaps = began.elapsed().as_millis() / GAP.as_millis();
    assert!(invented >= 100, "{invented}");
    assert!((2..=gaps + 2).contains(&(issuer.asked() as u128)), "{} in {gaps} gaps", issuer.asked());
    assert!(ask(&tokens, &EC, "a").is_ok());
}

#[tokio::test]
async fn the_last_good_keys_stay_whatever_the_issuer_says() {
    let issuer = Issuer::start(&[EC.jwk("a")]).await;
    let elsewhere = Issuer::start(&[ED.jwk("evil")]).await;
    let (tokens, _running, _stop) = start(&issuer.url, OFTEN);
    eventually(|| ask(&tokens, &EC, "a").is_ok()).await;
    let mut huge = jwks(&[ED.jwk("evil")]);
    huge.resize(MAX_BODY_BYTES + 1, b' ');
    for rubbish in [
        Says::Body(200, b"<html>maintenance</html>".to_vec()),
        Says::Body(200, Vec::new()),
        Says::Body(200, jwks(&[])),
        Says::Body(200, huge),
        Says::Body(200, jwks(&vec![ED.jwk("evil"); MAX_KEYS + 1])),
        Says::Body(500, jwks(&[ED.jwk("evil")])),
        Says::Body(404, Vec::new()),
        Says::Redirect(elsewhere.url.clone()),
    ] {
        issuer.say(rubbish);
        issuer.was_heard().await;
        assert_eq!(ask(&tokens, &EC, "a"), Ok(()));
        assert_eq!(ask(&tokens, &ED, "evil"), Err(TokenError::UnknownKey));
        // the wait before the next try starts over
        issuer.say(Says::Body(200, jwks(&[EC.jwk("a")])));
        issuer.was_heard().await;
    }
    assert_eq!(elsewhere.asked(), 0, "a redirect is not followed");
    issuer.say(Says::Nothing);
    issuer.was_heard().await;
    assert_eq!(ask(&tokens, &EC, "a"), Ok(()));
    issuer.say(Says::Body(200, jwks(&[EC.jwk("a"), ED.jwk("new")])));
    eventually(|| ask(&tokens, &ED, "new").is_ok()).await;
}

#[tokio::test]
async fn an_issuer_may_be_away_at_the_start_and_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let (tokens, _running, _stop) = start(&format!("http://{address}/keys"), OFTEN);
    tokio::time::sleep(OFTEN * 2).await;
    assert_eq!(ask(&tokens, &EC, "a"), Err(TokenError::NotRead));
    let listener = TcpListener::bind(address).await.expect("the same port");
    let issuer = Issuer::on(listener, &[EC.jwk("a")]);
    eventually(|| ask(&tokens, &EC, "a").is_ok()).await;
    issuer.serving.abort();
    eventually(|| issuer.serving.is_finished()).await;
    tokio::time::sleep(OFTEN * 5).await;
    assert_eq!(ask(&tokens, &EC, "a"), Ok(()));
}

#[tokio::test]
async fn keys_may_be_in_a_file() {
    let dir = std::env::temp_dir().join(format!("sealtrail-jwks-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let file = dir.join("keys.json");
    let (tokens, _running, _stop) = start(&file.display().to_string(), OFTEN);
    tokio::time::sleep(OFTEN).await;
    assert_eq!(ask(&tokens, &EC, "a"), Err(TokenError::NotRead), "it is not there yet");
    std::fs::write(&file, jwks(&[EC.jwk("a")])).expect("written");
    eventually(|| ask(&tokens, &EC, "a").is_ok()).await;
    std::fs::write(&file, jwks(&[ED.jwk("b")])).expect("written");
    eventually(|| ask(&tokens, &ED, "b").is_ok()).await;
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[tokio::test]
async fn a_stop_ends_it_even_while_it_waits_for_the_issuer() {
    let issuer = Issuer::start(&[]).await;
    issuer.say(Says::Nothing);
    let (_tokens, running, stop) = start(&issuer.url, SELDOM);
    eventually(|| issuer.asked() == 1).await;
    drop(stop);
    tokio::time::timeout(PATIENCE, running).await.expect("in time").expect("no panic");
}
