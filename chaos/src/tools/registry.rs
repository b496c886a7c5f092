//! A schema registry that is slow, broken, locked or forgetful: an HTTP proxy before the real one, steered from the same
//! process.
//!
//! ```text
//! let registry = RegistryProxy::start(listen, "http://127.0.0.1:8085").await?;
//! registry.set(RegistryFault::Status(StatusCode::UNAUTHORIZED));
//! registry.set(RegistryFault::Forget { schema_ids: vec![7], first: 3 });   // then it remembers again
//! assert_eq!(registry.struck(), 3);
//! ```

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// More than any schema has.
const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// The registry's own code for a schema that it does not know.
const SCHEMA_NOT_FOUND: u32 = 40_403;

/// What the registry does to its callers.
#[derive(Debug, Clone)]
pub enum RegistryFault {
    /// Nothing.
    Pass,
    /// Answers so much later.
    Slow(Duration),
    /// Answers this to everything, such as 500 or 401.
    Status(StatusCode),
    /// Knows nothing of these schemas when it is asked for them, the first so many times all together.
    Forget { schema_ids: Vec<u32>, first: u64 },
}

/// A running proxy; it ends when this is dropped.
pub struct RegistryProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stopped_when_dropped: DropGuard,
}

struct Shared {
    target: String,
    client: reqwest::Client,
    fault: Mutex<RegistryFault>,
    requests: AtomicU64,
    struck: AtomicU64,
}

impl RegistryProxy {
    /// `target` is the real registry's URL, without a path.
    pub async fn start(listen: SocketAddr, target: &str) -> Result<Self> {
        let socket = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        let address = socket.local_addr()?;
        let shared = Arc::new(Shared {
            target: target.trim_end_matches('/').to_owned(),
            client: reqwest::Client::builder().no_proxy().build()?,
            fault: Mutex::new(RegistryFault::Pass),
            requests: AtomicU64::new(0),
            struck: AtomicU64::new(0),
        });
        let router = Router::new().fallback(handle).with_state(Arc::clone(&shared));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let serving = axum::serve(socket, router);
            tokio::select! {
                // an error of accept is tried again inside
                _ended = serving.into_future() => {}
                () = stopped.cancelled() => {}
            }
        });
        Ok(Self { address, shared, _stopped_when_dropped: stop.drop_guard() })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on.
    pub fn set(&self, fault: RegistryFault) {
        self.shared.struck.store(0, Ordering::Release);
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// All requests that came.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Acquire)
    }

    /// How many requests the fault met since the last `set`.
    pub fn struck(&self) -> u64 {
        self.shared.struck.load(Ordering::Acquire)
    }
}

/// What to do with a request.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Pass,
    PassAfter(Duration),
    Answer(StatusCode, u32, &'static str),
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    shared.requests.fetch_add(1, Ordering::AcqRel);
    match shared.fate(request.uri().path()) {
        Fate::Pass => {}
        Fate::PassAfter(delay) => tokio::time::sleep(delay).await,
        Fate::Answer(status, code, message) => return problem(status, code, message),
    }
    match shared.forward(request).await {
        Ok(answer) => answer,
        Err(error) => problem(StatusCode::BAD_GATEWAY, 502, &format!("{error:#}")),
    }
}

impl Shared {
    fn fate(&self, path: &str) -> Fate {
        let mut fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = match &mut *fault {
            RegistryFault::Pass => Fate::Pass,
            RegistryFault::Slow(delay) => Fate::PassAfter(*delay),
            RegistryFault::Status(status) => {
                Fate::Answer(*status, u32::from(status.as_u16()), "the registry is broken on purpose")
            }
            RegistryFault::Forget { schema_ids, first } => match asked_schema(path) {
                Some(id) if *first > 0 && schema_ids.contains(&id) => {
                    *first -= 1;
                    Fate::Answer(StatusCode::NOT_FOUND, SCHEMA_NOT_FOUND, "Schema not found")
                }
                _ => Fate::Pass,
            },
        };
        if fate != Fate::Pass {
            self.struck.fetch_add(1, Ordering::AcqRel);
        }
        fate
    }

    async fn forward(&self, request: Request) -> Result<Response> {
        let (head, body) = request.into_parts();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let body = to_bytes(body, MAX_BODY_BYTES).await.context("read the request")?;
        let mut headers = head.headers;
        without_hop_by_hop(&mut headers);
        let url = format!("{}{path}", self.target);
        let answer = self.client.request(head.method, url).headers(headers).body(body).send().await?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        without_hop_by_hop(&mut headers);
        let body: Bytes = answer.bytes().await?;
        Ok((status, headers, body).into_response())
    }
}

/// Headers that are of one connection; both sides here make their own.
fn without_hop_by_hop(headers: &mut HeaderMap) {
    for name in [header::HOST, header::CONNECTION, header::TRANSFER_ENCODING, header::CONTENT_LENGTH] {
        headers.remove(name);
    }
}

/// The id in `/schemas/ids/{id}` and what is below it.
fn asked_schema(path: &str) -> Option<u32> {
    path.strip_prefix("/schemas/ids/")?.split('/').next()?.parse().ok()
}

fn problem(status: StatusCode, code: u32, message: &str) -> Response {
    let body = json!({"error_code": code, "message": message}).to_string();
    (status, [(header::CONTENT_TYPE, CONTENT_TYPE)], body).into_response()
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;

    /// A registry of two schemas that takes any.
    async fn stage() -> RegistryProxy {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let target = format!("http://{}", socket.local_addr().unwrap());
        let router = Router::new()
            .route("/schemas/ids/7", get(|| async { r#"{"schema":"seven"}"# }))
            .route("/schemas/ids/8", get(|| async { r#"{"schema":"eight"}"# }))
            .route("/subjects/s/versions", post(|body: String| async move { body }));
        tokio::spawn(async move { axum::serve(socket, router).await });
        RegistryProxy::start(([127, 0, 0, 1], 0).into(), &target).await.unwrap()
    }

    async fn get_text(proxy: &RegistryProxy, path: &str) -> (StatusCode, String) {
        let answer = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = answer.get(format!("{}{path}", proxy.url())).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn it_passes_requests_and_their_bodies() {
        let proxy = stage().await;
        assert_eq!(
            get_text(&proxy, "/schemas/ids/7?fetchMaxId=false").await,
            (StatusCode::OK, r#"{"schema":"seven"}"#.into())
        );
        assert_eq!(get_text(&proxy, "/none").await.0, StatusCode::NOT_FOUND);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let posted =
            client.post(format!("{}/subjects/s/versions", proxy.url())).body("{}").send().await.unwrap();
        assert_eq!(posted.text().await.unwrap(), "{}");
        assert_eq!((proxy.requests(), proxy.struck()), (3, 0));
    }

    #[tokio::test]
    async fn a_broken_registry_answers_so_until_it_is_mended() {
        let proxy = stage().await;
        for status in [StatusCode::INTERNAL_SERVER_ERROR, StatusCode::UNAUTHORIZED] {
            proxy.set(RegistryFault::Status(status));
            let (answered, text) = get_text(&proxy, "/schemas/ids/7").await;
            assert_eq!(answered, status);
            assert!(text.contains("error_code"), "{text}");
            assert_eq!(proxy.struck(), 1);
        }
        proxy.set(RegistryFault::Pass);
        assert_eq!(get_text(&proxy, "/schemas/ids/7").await.0, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_slow_registry_answers_late() {
        let proxy = stage().await;
        let late = Duration::from_millis(200);
        proxy.set(RegistryFault::Slow(late));
        let began = std::time::Instant::now();
        assert_eq!(get_text(&proxy, "/schemas/ids/7").await.0, StatusCode::OK);
        assert!(began.elapsed() >= late);
    }

    #[tokio::test]
    async fn a_forgetful_registry_remembers_after_so_many_requests() {
        let proxy = stage().await;
        proxy.set(RegistryFault::Forget { schema_ids: vec![7], first: 2 });
        for _ in 0..2 {
            let (status, text) = get_text(&proxy, "/schemas/ids/7").await;
            assert_eq!(status, StatusCode::NOT_FOUND);
            assert!(text.contains("40403"), "{text}");
            assert_eq!(get_text(&proxy, "/schemas/ids/8").await.0, StatusCode::OK, "another schema");
        }
        assert_eq!(get_text(&proxy, "/schemas/ids/7").await.0, StatusCode::OK);
        assert_eq!(proxy.struck(), 2);
    }

    #[test]
    fn ids_are_read_out_of_paths() {
        assert_eq!(asked_schema("/schemas/ids/12"), Some(12));
        assert_eq!(asked_schema("/schemas/ids/12/versions"), Some(12));
        assert_eq!(asked_schema("/subjects/12"), None);
    }
}
