//! Tokens of an identity provider at both doors: taken, rotated, without the provider, forged; and operators.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use integration_tests::eventually;
use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, answer, event};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use rcgen::KeyPair;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const ISSUER: &str = "https://idp.test/";
const AUDIENCE: &str = "sealtrail-test";
const TENANT_HEADER: &str = "Sealtrail-Tenant";

/// A private key of P-256 under an id.
struct Key {
    kid: &'static str,
    signing: EncodingKey,
    jwk: Value,
}

impl Key {
    fn new(kid: &'static str) -> Self {
        let pair = KeyPair::generate().unwrap();
        let (x, y) = pair.public_key_raw()[1..].split_at(32);
        let jwk = json!({
            "kid": kid, "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": encode(x), "y": encode(y),
        });
        Self { kid, signing: EncodingKey::from_ec_der(&pair.serialize_der()), jwk }
    }

    fn token(&self, claims: &Value) -> String {
        let message = message(&json!({"alg": "ES256", "typ": "JWT", "kid": self.kid}), claims);
        let signature = crypto::sign(message.as_bytes(), &self.signing, Algorithm::ES256).unwrap();
        format!("{message}.{signature}")
    }
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn message(header: &Value, claims: &Value) -> String {
    format!("{}.{}", encode(header.to_string()), encode(claims.to_string()))
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Claims that are good for ten minutes, with others in their place.
fn claims(tenant: &str, role: &str, others: Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": [AUDIENCE, "another"], "sub": "ada", "iat": now_s(), "exp": now_s() + 600,
        "tenant_id": tenant, "role": role,
    });
    for (name, value) in others.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// An identity provider, as far as its published keys go.
struct Issuer {
    url: String,
    keys: Arc<Mutex<Vec<Value>>>,
    serving: JoinHandle<()>,
}

impl Issuer {
    async fn start(key: &Key) -> Self {
        let keys = Arc::new(Mutex::new(vec![key.jwk.clone()]));
        let shown = keys.clone();
        let show = move || async move {
            let keys = shown.lock().unwrap().clone();
            // no connection outlives the listener
            ([(header::CONNECTION, "close")], Json(json!({ "keys": keys }))).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let router = Router::new().route("/keys", get(show));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, keys, serving }
    }

    fn publish(&self, key: &Key) {
        *self.keys.lock().unwrap() = vec![key.jwk.clone()];
    }
}

fn start(issuer: &Issuer) -> Stack {
    let text = |text: &str| text.to_owned();
    let settings = vec![
        ("SEALTRAIL_GATEWAY__TOKENS__ISSUER", text(ISSUER)),
        ("SEALTRAIL_GATEWAY__TOKENS__AUDIENCE", text(AUDIENCE)),
        ("SEALTRAIL_GATEWAY__TOKENS__JWKS_URL", issuer.url.clone()),
        ("SEALTRAIL_GATEWAY__TOKENS__ALGORITHMS", text("ES256,EdDSA")),
        ("SEALTRAIL_QUERY_API__TOKENS__ISSUER", text(ISSUER)),
        ("SEALTRAIL_QUERY_API__TOKENS__AUDIENCE", text(AUDIENCE)),
        ("SEALTRAIL_QUERY_API__TOKENS__JWKS_URL", issuer.url.clone()),
        ("SEALTRAIL_QUERY_API__TOKENS__ALGORITHMS", text("ES256,EdDSA")),
    ];
    Stack::start(&Options { name: "tokens", port_shift: 23_000, settings, ..Options::default() })
}

/// What the gateway and the query API say to this caller.
async fn doors(caller: &Tenant<'_>) -> [StatusCode; 2] {
    let gateway = answer(caller.post("/v1/events", &event(1))).await.0;
    [gateway, answer(caller.query("/v1/events")).await.0]
}

const OPEN: [StatusCode; 2] = [StatusCode::ACCEPTED, StatusCode::OK];
const UNKNOWN: [StatusCode; 2] = [StatusCode::UNAUTHORIZED; 2];
const FORBIDDEN: [StatusCode; 2] = [StatusCode::FORBIDDEN; 2];

/// One stack for all: its start is what takes long.
#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_both_doors_to_whom_the_issuer_says() {
    let (first, second) = (Key::new("first"), Key::new("second"));
    let issuer = Issuer::start(&first).await;
    let stack = start(&issuer);
    let tenant = Tenant::create(&stack, "tokens", "admin").await;
    let other = Tenant::create(&stack, "tokens-other", "admin").await;
    roles_are_what_the_token_says(&tenant, &first).await;
    forgeries_open_nothing(&tenant, &first).await;
    an_operator_acts_for_whom_it_names(&tenant, &other, &first).await;
    a_rotated_key_is_taken_and_the_old_one_ends(&tenant, &issuer, [&first, &second]).await;
    without_the_issuer_its_keys_go_on(&tenant, issuer, &second).await;
    no_token_is_in_a_log(&stack, &[first.token(&claims("tokens", "admin", json!({})))]);
}

async fn roles_are_what_the_token_says(tenant: &Tenant<'_>, key: &Key) {
    let with = |role| tenant.by_key(&key.token(&claims("tokens", role, json!({}))));
    let admin = with("admin");
    // both services read the keys on their own
    eventually("tokens are taken", || async { (doors(&admin).await == OPEN).then_some(()) }).await;
    let mut sent = event(42);
    sent["event_id"] = json!("01961e3c-2d80-7000-8000-00000000f042");
    assert_eq!(answer(with("producer").post("/v1/events", &sent)).await.0, StatusCode::ACCEPTED);
    let found = eventually("the event is found", || async {
        let (status, found) = answer(with("reader").query("/v1/events?actor_id=actor-42")).await;
        assert_eq!(status, StatusCode::OK, "{found}");
        found["events"].get(0).cloned()
    })
    .await;
    assert_eq!((&found["event_id"], &found["tenant_id"]), (&sent["event_id"], &json!("tokens")));
    assert_eq!(doors(&with("producer")).await, [StatusCode::ACCEPTED, StatusCode::FORBIDDEN]);
    assert_eq!(doors(&with("reader")).await, [StatusCode::FORBIDDEN, StatusCode::OK]);
    assert_eq!(doors(&with("root")).await, FORBIDDEN);
    let of_nobody = key.token(&claims("tokens-nobody", "admin", json!({})));
    assert_eq!(doors(&tenant.by_key(&of_nobody)).await, FORBIDDEN);
    assert_eq!(doors(tenant).await, OPEN, "the api key as ever");
}

async fn forgeries_open_nothing(tenant: &Tenant<'_>, key: &Key) {
    let good = claims("tokens", "admin", json!({}));
    let with = |others: Value| key.token(&claims("tokens", "admin", others));
    let unsigned = format!("{}.", message(&json!({"alg": "none", "kid": key.kid}), &good));
    let hmac = {
        let message = message(&json!({"alg": "HS256", "kid": key.kid}), &good);
        let secret = EncodingKey::from_secret(key.jwk.to_string().as_bytes());
        let signature = crypto::sign(message.as_bytes(), &secret, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    };
    let promoted = {
        let real = key.token(&claims("tokens", "reader", json!({})));
        let signature = real.rsplit('.').next().unwrap();
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": key.kid});
        format!("{}.{signature}", message(&header, &claims("tokens", "operator", json!({}))))
    };
    for (forgery, token) in [
        ("no signature", unsigned),
        ("hmac under the public key", hmac),
        ("other claims under a signature", promoted),
        ("another key under the id", Key::new("first").token(&good)),
        ("another issuer", with(json!({"iss": "https://idp.test"}))),
        ("another audience", with(json!({"aud": "another"}))),
        ("expired", with(json!({"exp": now_s() - 60}))),
        ("an end that is a text", with(json!({"exp": (now_s() + 60).to_string()}))),
        ("not yet valid", with(json!({"nbf": now_s() + 600}))),
        ("roles in a list", with(json!({"role": ["admin"]}))),
        ("nobody", with(json!({"sub": ""}))),
        ("too long", with(json!({"more": "x".repeat(8 * 1024)}))),
    ] {
        assert_eq!(doors(&tenant.by_key(&token)).await, UNKNOWN, "{forgery}");
    }
}

async fn an_operator_acts_for_whom_it_names(tenant: &Tenant<'_>, other: &Tenant<'_>, key: &Key) {
    let by_token = tenant.by_key(&key.token(&claims("tokens", "operator", json!({}))));
    let by_api_key = Tenant::with_key(tenant.stack, "tokens", "operator").await;
    for (n, operator) in [(71, &by_token), (72, &by_api_key)] {
        assert_eq!(doors(operator).await, OPEN, "for its own tenant");
        let sent = operator.post("/v1/events", &event(n)).header(TENANT_HEADER, other.id.as_str());
        assert_eq!(answer(sent).await.0, StatusCode::ACCEPTED);
        let path = format!("/v1/events?actor_id=actor-{n}");
        let found = eventually("the other tenant has it", || async {
            let asked = operator.query(&path).header(TENANT_HEADER, other.id.as_str());
            answer(asked).await.1["events"].get(0).cloned()
        })
        .await;
        assert_eq!(found["tenant_id"], json!(other.id));
        assert_eq!(answer(operator.query(&path)).await.1["events"], json!([]), "not among its own");
        let nobody = operator.query("/v1/events").header(TENANT_HEADER, "tokens-nobody");
        assert_eq!(answer(nobody).await.0, StatusCode::FORBIDDEN);
    }
    let admin = tenant.by_key(&key.token(&claims("tokens", "admin", json!({}))));
    for caller in [&admin, tenant] {
        let sent = caller.post("/v1/events", &event(1)).header(TENANT_HEADER, other.id.as_str());
        assert_eq!(answer(sent).await.0, StatusCode::FORBIDDEN);
        let asked = caller.query("/v1/events").header(TENANT_HEADER, other.id.as_str());
        assert_eq!(answer(asked).await.0, StatusCode::FORBIDDEN);
        let own = caller.query("/v1/events").header(TENANT_HEADER, "tokens");
        assert_eq!(answer(own).await.0, StatusCode::OK, "its own is no other");
    }
}

async fn a_rotated_key_is_taken_and_the_old_one_ends(
    tenant: &Tenant<'_>,
    issuer: &Issuer,
    [old, new]: [&Key; 2],
) {
    let by = |key: &Key| tenant.by_key(&key.token(&claims("tokens", "admin", json!({}))));
    issuer.publish(new);
    let refused = by(new).post("/v1/events", &event(1)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(refused.headers().contains_key("retry-after"), "it says when to come again");
    eventually("the new key is taken", || async { (doors(&by(new)).await == OPEN).then_some(()) }).await;
    assert_eq!(doors(&by(old)).await, UNKNOWN);
}

async fn without_the_issuer_its_keys_go_on(tenant: &Tenant<'_>, issuer: Issuer, key: &Key) {
    issuer.serving.abort();
    let _aborted = issuer.serving.await;
    assert!(reqwest::get(&issuer.url).await.is_err(), "it is gone");
    // this has the keys read again, in vain
    let invented = Key::new("invented").token(&claims("tokens", "admin", json!({})));
    assert_eq!(doors(&tenant.by_key(&invented)).await, UNKNOWN);
    let caller = tenant.by_key(&key.token(&claims("tokens", "admin", json!({}))));
    let logs =
        ["gateway", "query-api"].map(|service| tenant.stack.dir.join("log").join(format!("{service}.log")));
    eventually("both services have tried in vain", || async {
        let has_tried =
            |log| std::fs::read_to_string(log).is_ok_and(|text| text.contains("tokens.jwks_url were not"));
        logs.iter().all(has_tried).then_some(())
    })
    .await;
    assert_eq!(doors(&caller).await, OPEN);
    assert_eq!(doors(tenant).await, OPEN);
}

fn no_token_is_in_a_log(stack: &Stack, tokens: &[String]) {
    let logs = std::fs::read_dir(stack.dir.join("log")).unwrap();
    for log in logs.map(|entry| entry.unwrap().path()) {
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        for token in tokens {
            // the header is the same for every token of this key
            let header = token.split('.').next().unwrap();
            assert!(!text.contains(header), "{} holds a token", log.display());
        }
    }
}
