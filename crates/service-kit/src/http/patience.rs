//! How long a connection may keep silent: over its headers, between two requests, and before an answer that it does
//! not read.
//!
//! hyper has one limit for the first two, `header_read_timeout`: it runs from the last answer, so that a kept-alive
//! connection could not rest for longer than a client may take over its headers. Here they are two.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The client was waited for, and did nothing in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the client did nothing in time")]
pub struct RanOut;

/// What one connection is waited for; shared by its stream, its requests and the one who ends it.
#[derive(Debug, Clone)]
pub struct Patience {
    headers: Duration,
    idle: Duration,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    /// Requests whose body or answer is still there. While there is one, it is the service that is waited for.
    exchanges: usize,
    /// Headers have begun, or must now: what comes in does not move the deadline.
    in_headers: bool,
    deadline: Option<Instant>,
    /// Woken when an exchange ends elsewhere than on the connection's own task.
    waker: Option<Waker>,
}

impl Patience {
    /// Of a connection that was just opened: its first headers are awaited.
    pub fn new(headers: Duration, idle: Duration) -> Self {
        let deadline = Some(Instant::now() + headers);
        let waiting = Waiting { exchanges: 0, in_headers: true, deadline, waker: None };
        Self { headers, idle, waiting: Arc::new(Mutex::new(waiting)) }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request's headers are complete.
    pub fn begin(&self) -> Exchange {
        let mut waiting = self.waiting();
        waiting.exchanges += 1;
        waiting.in_headers = false;
        waiting.deadline = None;
        Exchange { _end: Arc::new(End(self.clone())) }
    }

    fn end(&self) {
        let mut waiting = self.waiting();
        waiting.exchanges -= 1;
        if waiting.exchanges == 0 {
            waiting.deadline = Some(Instant::now() + self.idle);
            if let Some(waker) = waiting.waker.take() {
                waker.wake();
            }
        }
    }

    fn has_read(&self) {
        let mut waiting = self.waiting();
        if waiting.exchanges == 0 && !waiting.in_headers {
            waiting.in_headers = true;
            waiting.deadline = Some(Instant::now() + self.headers);
        }
    }

    fn has_written(&self) {
        let mut waiting = self.waiting();
        if waiting.exchanges > 0 {
            waiting.deadline = None;
        } else if !waiting.in_headers {
            waiting.deadline = Some(Instant::now() + self.idle);
        }
    }

    /// The client does not read its answer.
    fn cannot_write(&self) {
        let mut waiting = self.waiting();
        if waiting.deadline.is_none() {
            waiting.deadline = Some(Instant::now() + self.idle);
        }
    }

    /// Drives the connection to its end, or until the client was waited for long enough.
    pub async fn hold<C: Future>(&self, connection: C) -> Result<C::Output, RanOut> {
        let mut connection = pin!(connection);
        let mut sleep = pin!(sleep_until(Instant::now() + self.headers));
        poll_fn(|cx| match connection.as_mut().poll(cx) {
            Poll::Ready(ended) => Poll::Ready(Ok(ended)),
            Poll::Pending => self.poll_ran_out(cx, sleep.as_mut()).map(|()| Err(RanOut)),
        })
        .await
    }

    /// The timer is set anew only for an earlier deadline or when it fires, so that a request costs no timer.
    fn poll_ran_out(&self, cx: &mut Context<'_>, mut sleep: Pin<&mut Sleep>) -> Poll<()> {
        let mut waiting = self.waiting();
        if waiting.exchanges > 0 && !waiting.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            waiting.waker = Some(cx.waker().clone());
        }
        let Some(deadline) = waiting.deadline else { return Poll::Pending };
        drop(waiting);
        if deadline < sleep.deadline() {
            sleep.as_mut().reset(deadline);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(deadline);
        }
    }
}

/// A request that is being answered, until the last clone is dropped: one is with its body and one with the answer's.
#[derive(Debug, Clone)]
pub struct Exchange {
    _end: Arc<End>,
}

#[derive(Debug)]
struct End(Patience);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A stream that tells of what it reads and writes.
pub struct PatientStream<S> {
    inner: S,
    patience: Patience,
}

impl<S> PatientStream<S> {
    pub fn new(inner: S, patience: Patience) -> Self {
        Self { inner, patience }
    }

    fn tell(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Ready(_) => self.patience.has_written(),
            Poll::Pending => self.patience.cannot_write(),
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.patience.has_read();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.tell(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.tell(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
