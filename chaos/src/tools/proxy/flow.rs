//! How the pieces of one direction move: read, sent late or slowly, written in order.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fault::Fault;

/// The most that is read at once.
const PIECE_BYTES: usize = 64 * 1024;
/// A throttled direction moves so many times a second.
const THROTTLE_STEPS_PER_S: u32 = 20;

/// A piece and when it is to arrive.
pub(super) type Piece = (Instant, Bytes);

/// `None` at the end.
pub(super) async fn read(from: &mut ReadHalf<'_>) -> io::Result<Option<Bytes>> {
    let mut buffer = BytesMut::with_capacity(PIECE_BYTES);
    Ok((from.read_buf(&mut buffer).await? > 0).then(|| buffer.freeze()))
}

/// Writes pieces when they are due; gives the half back when there are no more.
pub(super) async fn write<'a>(
    mut to: WriteHalf<'a>,
    mut pieces: mpsc::Receiver<Piece>,
) -> io::Result<WriteHalf<'a>> {
    while let Some((due, piece)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        to.write_all(&piece).await?;
    }
    Ok(to)
}

/// How late and how fast a direction moves.
pub(super) struct Pace {
    delay: Duration,
    bytes_per_s: Option<u64>,
}

impl Pace {
    pub const FULL: Self = Self { delay: Duration::ZERO, bytes_per_s: None };

    pub fn of_requests(fault: &Fault) -> Self {
        match *fault {
            Fault::Delay { request: delay, .. } => Self { delay, bytes_per_s: None },
            Fault::Throttle { bytes_per_s } => Self { delay: Duration::ZERO, bytes_per_s: Some(bytes_per_s) },
            _ => Self::FULL,
        }
    }

    pub fn of_answers(fault: &Fault) -> Self {
        match *fault {
            Fault::Delay { answer: delay, .. } => Self { delay, bytes_per_s: None },
            _ => Self::of_requests(fault),
        }
    }

    /// A peer that is gone is noticed by the one who writes.
    pub async fn send(&self, to: &mpsc::Sender<Piece>, mut piece: Bytes) {
        let step_bytes = self
            .bytes_per_s
            .map_or(usize::MAX, |rate| (rate / u64::from(THROTTLE_STEPS_PER_S)).max(1) as usize);
        while !piece.is_empty() {
            let step = piece.split_to(step_bytes.min(piece.len()));
            let _peer_gone = to.send((Instant::now() + self.delay, step)).await;
            if self.bytes_per_s.is_some() {
                tokio::time::sleep(Duration::from_secs(1) / THROTTLE_STEPS_PER_S).await;
            }
        }
    }
}
