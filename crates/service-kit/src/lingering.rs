//! A request body that is read on after its handler has lost interest.
//!
//! A server that answers 401 or 413 and closes while the client still writes resets the connection, and the client sees
//! a broken pipe instead of the answer. So what is left of a body is read and thrown away, within bounds.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use prometheus::IntCounter;

use crate::http::patience::Exchange;

/// The most that is thrown away of one body,
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// and the longest that it is read on.
const MAX_TIME: Duration = Duration::from_secs(5);

pub struct LingeringBody {
    inner: Option<Incoming>,
    read_bytes: IntCounter,
    /// Until the body is read or given up, the connection does not rest.
    exchange: Exchange,
}

impl LingeringBody {
    pub fn new(inner: Incoming, read_bytes: IntCounter, exchange: Exchange) -> Self {
        Self { inner: Some(inner), read_bytes, exchange }
    }
}

impl Body for LingeringBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
        let polled = Pin::new(inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            self.read_bytes.inc_by(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for LingeringBody {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take().filter(|inner| !inner.is_end_stream()) {
            let (read_bytes, exchange) = (self.read_bytes.clone(), self.exchange.clone());
            tokio::spawn(async move {
                let _held_until_read = exchange;
                let _given_up = tokio::time::timeout(MAX_TIME, discard(inner, read_bytes)).await;
            });
        }
    }
}

async fn discard(mut body: Incoming, read_bytes: IntCounter) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = body.frame().await {
        let read = frame.data_ref().map_or(0, Bytes::len);
        read_bytes.inc_by(read as u64);
        bytes += read;
        if bytes > MAX_BYTES {
            return;
        }
    }
}
