//! One connection through a proxy: two directions, and what the plan in force does to each piece.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::Counts;
use super::fault::{Fault, Plan};
use super::flow::{Pace, Piece, read, write};
use super::strike::{AnswerFate, RequestFate, Strike};

/// So many pieces may be on their delayed way in one direction.
const PIECES_UNDER_WAY: usize = 64;
/// How long the target may take to read what was let through before a reset.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);
/// The end of a request with a chunked body.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// How a connection ends.
enum End {
    /// Both sides are closed in order.
    Closed,
    /// Both sides are reset.
    Reset,
}

/// Carries a connection to its end.
pub(super) async fn carry(
    client: TcpStream,
    target: SocketAddr,
    plans: watch::Receiver<Plan>,
    mut cuts: watch::Receiver<u64>,
    counts: Arc<Counts>,
    stop: CancellationToken,
) {
    cuts.mark_unchanged();
    let _best_effort = client.set_nodelay(true);
    let mut line = Line { client, target: None, plans, counts };
    let end = tokio::select! {
        end = line.run(target) => end.unwrap_or(End::Reset),
        _ = cuts.changed() => End::Reset,
        () = stop.cancelled() => End::Reset,
    };
    if matches!(end, End::Reset) {
        line.reset();
    }
}

struct Line {
    client: TcpStream,
    target: Option<TcpStream>,
    plans: watch::Receiver<Plan>,
    counts: Arc<Counts>,
}

impl Line {
    async fn run(&mut self, target: SocketAddr) -> io::Result<End> {
        if self.plans.borrow().holds_new_connections() {
            self.counts.struck.fetch_add(1, Ordering::AcqRel);
            let _proxy_ended = self.plans.wait_for(|plan| !plan.holds_new_connections()).await;
        }
        let stream = TcpStream::connect(target).await?;
        stream.set_nodelay(true)?;
        let (from_client, to_client) = self.client.split();
        let (from_target, to_target) = self.target.insert(stream).split();
        let ways = Ways {
            plans: &self.plans,
            strike: &Mutex::new(Strike::default()),
            counts: &self.counts,
            client_ended: &CancellationToken::new(),
        };
        let (requests, requests_due) = mpsc::channel(PIECES_UNDER_WAY);
        let (answers, answers_due) = mpsc::channel(PIECES_UNDER_WAY);
        let reading = read_both(ways, (from_client, requests), (from_target, answers));
        write_both(reading, (to_target, requests_due), (to_client, answers_due)).await
    }

    fn reset(self) {
        for stream in [Some(self.client), self.target].into_iter().flatten() {
            let _best_effort = stream.set_zero_linger();
        }
    }
}

async fn read_both(
    ways: Ways<'_>,
    (from_client, requests): (ReadHalf<'_>, mpsc::Sender<Piece>),
    (from_target, answers): (ReadHalf<'_>, mpsc::Sender<Piece>),
) -> io::Result<End> {
    let own_answers = answers.clone();
    tokio::select! {
        end = ways.requests(from_client, requests, own_answers) => end,
        end = ways.answers(from_target, answers) => end,
    }
}

/// Writes what is read, until the reading ends and all that was let through is written.
async fn write_both(
    reading: impl Future<Output = io::Result<End>>,
    (to_target, requests): (WriteHalf<'_>, mpsc::Receiver<Piece>),
    (to_client, answers): (WriteHalf<'_>, mpsc::Receiver<Piece>),
) -> io::Result<End> {
    let (writing_requests, writing_answers) = (write(to_target, requests), write(to_client, answers));
    tokio::pin!(reading, writing_requests, writing_answers);
    let mut all_requested = false;
    let end = loop {
        tokio::select! {
            end = &mut reading => break end?,
            written = &mut writing_requests, if !all_requested => {
                // the client has ended its side
                written?.shutdown().await?;
                all_requested = true;
            }
            // a client that is gone
            written = &mut writing_answers => {
                written?.shutdown().await?;
                return Ok(End::Closed);
            }
        }
    };
    match end {
        End::Closed => {
            writing_answers.await?.shutdown().await?;
        }
        End::Reset if !all_requested => {
            let _late = tokio::time::timeout(FLUSH_LIMIT, &mut writing_requests).await;
        }
        End::Reset => {}
    }
    Ok(end)
}

/// What both directions of a connection share.
#[derive(Clone, Copy)]
struct Ways<'a> {
    plans: &'a watch::Receiver<Plan>,
    strike: &'a Mutex<Strike>,
    counts: &'a Counts,
    client_ended: &'a CancellationToken,
}

impl Ways<'_> {
    fn plan(&self) -> Plan {
        self.plans.borrow().clone()
    }

    fn strike(&self) -> MutexGuard<'_, Strike> {
        self.strike.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until_another_plan(&self, epoch: u64) {
        let mut plans = self.plans.clone();
        let _proxy_ended = plans.wait_for(|plan| plan.epoch != epoch).await;
    }

    /// From the client to the target, until the fault ends it; after the client's own end the answer still counts.
    async fn requests(
        &self,
        mut from: ReadHalf<'_>,
        to_target: mpsc::Sender<Piece>,
        to_client: mpsc::Sender<Piece>,
    ) -> io::Result<End> {
        while let Some(mut piece) = read(&mut from).await? {
            while !piece.is_empty() {
                let plan = self.plan();
                let (pass, fate) = self.strike().request(&plan, &piece, self.counts);
                let pace =
                    if fate == RequestFate::Slow { Pace::of_requests(&plan.fault) } else { Pace::FULL };
                pace.send(&to_target, piece.split_to(pass)).await;
                match fate {
                    RequestFate::Pass | RequestFate::Slow => {}
                    RequestFate::Hold => self.until_another_plan(plan.epoch).await,
                    RequestFate::Reset => return Ok(End::Reset),
                    RequestFate::Eat => return answer_instead(from, piece, &plan.fault, &to_client).await,
                }
            }
        }
        self.client_ended.cancel();
        drop((to_target, to_client));
        std::future::pending().await
    }

    /// From the target to the client, until the target or the fault ends it.
    async fn answers(&self, mut from: ReadHalf<'_>, to: mpsc::Sender<Piece>) -> io::Result<End> {
        loop {
            let piece = read(&mut from).await?;
            let (fate, fault) = self.answer_fate().await;
            match (fate, piece) {
                (AnswerFate::Reset, _) => return Ok(End::Reset),
                (AnswerFate::Replace, _) => {
                    if let Fault::ReplaceAnswer(bytes) = &*fault {
                        Pace::FULL.send(&to, Bytes::from(bytes.clone())).await;
                    }
                    return Ok(End::Closed);
                }
                (AnswerFate::Lose, Some(_)) => {}
                // the target's end would be an answer too
                (AnswerFate::Lose, None) => {
                    self.client_ended.cancelled().await;
                    return Ok(End::Closed);
                }
                (_, None) => return Ok(End::Closed),
                (AnswerFate::Slow, Some(piece)) => Pace::of_answers(&fault).send(&to, piece).await,
                (AnswerFate::Pass | AnswerFate::Hold, Some(piece)) => Pace::FULL.send(&to, piece).await,
            }
        }
    }

    /// What becomes of a piece of the answer, once it is not held any more.
    async fn answer_fate(&self) -> (AnswerFate, Arc<Fault>) {
        loop {
            let plan = self.plan();
            let (fate, fault) = self.strike().answer(&plan, self.counts);
            if fate != AnswerFate::Hold {
                return (fate, fault);
            }
            self.until_another_plan(plan.epoch).await;
        }
    }
}

/// Reads the rest of the request, then gives the ready-made answer.
async fn answer_instead(
    mut from: ReadHalf<'_>,
    begun: Bytes,
    fault: &Fault,
    to: &mpsc::Sender<Piece>,
) -> io::Result<End> {
    let mut tail = begun.to_vec();
    while !tail.ends_with(LAST_CHUNK) {
        tail.drain(..tail.len().saturating_sub(LAST_CHUNK.len()));
        if from.read_buf(&mut tail).await? == 0 {
            return Ok(End::Closed);
        }
    }
    if let Fault::AnswerInstead(bytes) = fault {
        Pace::FULL.send(to, Bytes::from(bytes.clone())).await;
    }
    Ok(End::Closed)
}
