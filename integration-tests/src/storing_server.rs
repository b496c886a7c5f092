//! A ClickHouse that stores users, as far as a test needs one: the real engine behind a door that takes down every
//! statement about access, which the engine could not run, and lets a stand-in come in for a user made by them.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;

use crate::clickhouse::Login;

const ACCESS_WORDS: [&str; 4] = ["CREATE ", "ALTER ", "DROP ", "GRANT"];
const USER: &str = "x-clickhouse-user";
const PASSWORD: &str = "x-clickhouse-key";

/// What the door has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub statements: Vec<String>,
    /// The password that the new user came with.
    pub password: Option<String>,
}

/// The door.
pub struct StoringServer {
    /// As `SEALTRAIL_CLICKHOUSE_URL` holds it.
    pub url: String,
    seen: Arc<Mutex<Seen>>,
}

struct Door {
    owner: Login,
    stand_in: Login,
    seen: Arc<Mutex<Seen>>,
}

impl StoringServer {
    pub async fn start(owner: Login, stand_in: Login) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let url = Login { base, ..owner.clone() }.url();
        let door = Arc::new(Door { owner, stand_in, seen: seen.clone() });
        let router = Router::new().fallback(pass).with_state(door);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, seen }
    }

    pub fn seen(&self) -> Seen {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn pass(
    State(door): State<Arc<Door>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let url = format!("{}{uri}", door.owner.base);
    let mut url = reqwest::Url::parse(&url).expect("a URL");
    let in_url = url.query_pairs().find(|(name, _)| name == "query").map(|(_, text)| text.into_owned());
    let sql = in_url.clone().unwrap_or_else(|| String::from_utf8_lossy(&body).into_owned());
    if ACCESS_WORDS.iter().any(|word| sql.starts_with(word)) {
        door.seen.lock().unwrap_or_else(PoisonError::into_inner).statements.push(sql);
        return StatusCode::OK.into_response();
    }
    // one directory that stores users
    let sql = sql.replace("system.user_directories WHERE type NOT IN ('users_xml', 'ldap')", "system.one");
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let login = if text(USER) == door.owner.user {
        &door.owner
    } else {
        door.seen.lock().unwrap_or_else(PoisonError::into_inner).password = Some(text(PASSWORD).to_owned());
        &door.stand_in
    };
    if in_url.is_some() {
        let others: Vec<_> = url.query_pairs().into_owned().filter(|(name, _)| name != "query").collect();
        url.query_pairs_mut().clear().extend_pairs(others).append_pair("query", &sql);
    }
    let body = if in_url.is_some() { String::new() } else { sql };
    let request = reqwest::Client::new().request(method, url).body(body);
    let answer = request.header(USER, &login.user).header(PASSWORD, &login.password).send().await;
    let answer = answer.expect("clickhouse answers");
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers() {
        if name.as_str().starts_with("x-clickhouse") {
            headers.insert(name.clone(), value.clone());
        }
    }
    let status = answer.status();
    (status, headers, answer.bytes().await.expect("a body")).into_response()
}
