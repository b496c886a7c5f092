//! One keep-alive connection over HTTP/1.1, and no more: client, gateway and broker share the cores, so a client that
//! pools, follows and retries would be measured too.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream};

/// Above the gateway's own limits, so that its answer comes first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a server is, looked up once.
#[derive(Debug, Clone)]
pub struct Address {
    pub at: SocketAddr,
    pub host: String,
}

impl Address {
    pub async fn of(url: &str) -> Result<Self> {
        let Some(host) = url.strip_prefix("http://") else {
            bail!("this command speaks plain HTTP only: give it a stack without --secured");
        };
        let host = host.trim_end_matches('/').to_owned();
        let name = if host.contains(':') { host.clone() } else { format!("{host}:80") };
        let at = tokio::net::lookup_host(&name).await.with_context(|| format!("find {name}"))?.next();
        Ok(Self { at: at.with_context(|| format!("{name} has no address"))?, host })
    }

    /// Connects, from an address of this machine where one is named.
    pub async fn connect(&self, from: Option<IpAddr>) -> std::io::Result<TcpStream> {
        let socket = if self.at.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if let Some(from) = from {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, socket.connect(self.at));
        let stream = connecting.await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// What all requests of a kind have in common.
#[derive(Debug, Clone)]
pub struct Route {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
}

impl Route {
    /// JSON to a path, under a key.
    pub fn post(address: &Address, path: &str, api_key: &str) -> Result<Self> {
        let mut route = Self::get(address, path, api_key)?;
        route.method = Method::POST;
        route.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(route)
    }

    pub fn get(address: &Address, path: &str, api_key: &str) -> Result<Self> {
        let mut headers = HeaderMap::new();
        let text = |text: &str| HeaderValue::from_str(text).context("a header has odd characters");
        headers.insert(HOST, text(&address.host)?);
        headers.insert(AUTHORIZATION, text(&format!("Bearer {api_key}"))?);
        Ok(Self { method: Method::GET, uri: path.parse().context("a path")?, headers })
    }

    pub fn request(&self, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: &Address) -> Result<Self> {
        let stream = address.connect(None).await.with_context(|| format!("connect to {}", address.host))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.context("begin HTTP/1.1")?;
        // it ends with the sender; what went wrong on it, the sender hears too
        tokio::spawn(connection);
        Ok(Self { sender, answer: Vec::new() })
    }

    /// Sends and reads the whole answer, which stays until the next one.
    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<(StatusCode, &[u8])> {
        let answered =
            tokio::time::timeout(ANSWER_TIMEOUT, exchange(&mut self.sender, &mut self.answer, request));
        let status = answered.await.context("no answer in time")??;
        Ok((status, &self.answer))
    }
}

async fn exchange(
    sender: &mut SendRequest<Full<Bytes>>,
    answer: &mut Vec<u8>,
    request: Request<Full<Bytes>>,
) -> Result<StatusCode> {
    answer.clear();
    sender.ready().await.context("the connection is closed")?;
    let response = sender.send_request(request).await.context("no answer")?;
    let status = response.status();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.context("the answer ended early")?.data_ref() {
            answer.extend_from_slice(data);
        }
    }
    Ok(status)
}
