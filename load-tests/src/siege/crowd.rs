//! Those who hold connections: idle ones that rest after one request, and slow ones that send a byte a second.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http1::Address;

const BYTE_EVERY: Duration = Duration::from_secs(1);
/// Who was closed comes back after so long.
const COME_BACK: Duration = Duration::from_millis(100);
/// All at once would overrun the listener's backlog, which the kernel answers with waits of a second.
const OPENED_AT_ONCE: usize = 200;
const OPENING_PAUSE: Duration = Duration::from_millis(20);
const OPENING_PATIENCE: Duration = Duration::from_secs(60);
/// Some are always on their way back.
const FULL_SHARE: f64 = 0.99;

/// What the crowd does, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Idle,
    SlowHeaders,
    SlowBody,
}

#[derive(Debug, Default)]
pub struct Counts {
    open: AtomicU64,
    /// Closed by the gateway, and opened again.
    closed: AtomicU64,
    /// Could not be opened, and tried again.
    refused: AtomicU64,
}

pub struct Crowd {
    counts: Arc<Counts>,
    wanted: u64,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What the crowd is made of.
#[derive(Debug, Clone)]
pub struct Plan {
    pub address: Address,
    pub api_key: String,
    pub idle: u32,
    pub slow: u32,
    pub addresses: u32,
}

impl Crowd {
    /// Opens all of them and waits until nearly all are open at once.
    pub async fn gather(plan: &Plan) -> Result<Self> {
        let (counts, stop, tasks) =
            (Arc::new(Counts::default()), CancellationToken::new(), TaskTracker::new());
        let wanted = u64::from(plan.idle + plan.slow);
        let crowd = Self { counts, wanted, stop, tasks };
        let plan = Arc::new(plan.clone());
        for number in 0..plan.idle + plan.slow {
            let holder = hold(Arc::clone(&plan), number, Arc::clone(&crowd.counts));
            crowd.tasks.spawn(crowd.stop.clone().run_until_cancelled_owned(holder));
            if number as usize % OPENED_AT_ONCE == OPENED_AT_ONCE - 1 {
                tokio::time::sleep(OPENING_PAUSE).await;
            }
        }
        let began = Instant::now();
        while (crowd.open() as f64) < FULL_SHARE * wanted as f64 {
            ensure!(
                began.elapsed() < OPENING_PATIENCE,
                "only {} of {wanted} connections are open after {} s: {}",
                crowd.open(),
                OPENING_PATIENCE.as_secs(),
                crowd.tells()
            );
            tokio::time::sleep(OPENING_PAUSE).await;
        }
        Ok(crowd)
    }

    pub fn open(&self) -> u64 {
        self.counts.open.load(Ordering::Relaxed)
    }

    pub fn tells(&self) -> String {
        let [open, closed, refused] = [&self.counts.open, &self.counts.closed, &self.counts.refused]
            .map(|count| count.load(Ordering::Relaxed));
        format!(
            "{open} of {} open, {closed} closed by the gateway and opened again, {refused} refused",
            self.wanted
        )
    }

    /// Closes all of them.
    pub async fn scatter(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// One place in the crowd, for ever.
async fn hold(plan: Arc<Plan>, number: u32, counts: Arc<Counts>) {
    let manner = manner(&plan, number);
    let from = source(number % plan.addresses);
    loop {
        match plan.address.connect(Some(from)).await {
            Ok(stream) => {
                let _open = Open::new(&counts);
                let _closed_or_broken = occupy(stream, manner, &plan).await;
                counts.closed.fetch_add(1, Ordering::Relaxed);
            }
            Err(_) => {
                counts.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        tokio::time::sleep(COME_BACK).await;
    }
}

/// Counted as open until dropped, also when the siege is called off.
struct Open<'a>(&'a Counts);

impl<'a> Open<'a> {
    fn new(counts: &'a Counts) -> Self {
        counts.open.fetch_add(1, Ordering::Relaxed);
        Self(counts)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn manner(plan: &Plan, number: u32) -> Manner {
    match number.checked_sub(plan.idle) {
        None => Manner::Idle,
        Some(slow) if slow % 2 == 0 => Manner::SlowHeaders,
        Some(_) => Manner::SlowBody,
    }
}

/// From 127.1.0.1 on: all of 127.0.0.0/8 is this machine.
fn source(number: u32) -> IpAddr {
    let first = u32::from(Ipv4Addr::new(127, 1, 0, 1));
    Ipv4Addr::from(first + number).into()
}

/// Until the gateway closes.
async fn occupy(mut stream: TcpStream, manner: Manner, plan: &Plan) -> std::io::Result<()> {
    let host = &plan.address.host;
    let head = format!("POST /v1/events HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
    match manner {
        // as a client of a pool: one request, then a rest for as long as the gateway lets it
        Manner::Idle => {
            stream.write_all(format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await?;
        }
        Manner::SlowHeaders => {
            return drip(&mut stream, format!("{head}X-Slow: {}", "s".repeat(3_600)).as_bytes()).await;
        }
        Manner::SlowBody => {
            let key = &plan.api_key;
            let head = format!("{head}Authorization: Bearer {key}\r\nContent-Length: 3600\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            return drip(&mut stream, &[b' '; 3_600]).await;
        }
    }
    closed(&mut stream).await
}

async fn drip(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    let (mut reading, mut writing) = stream.split();
    let dripping = async {
        for byte in text {
            writing.write_all(std::slice::from_ref(byte)).await?;
            tokio::time::sleep(BYTE_EVERY).await;
        }
        Ok(())
    };
    tokio::select! {
        ended = closed(&mut reading) => ended,
        dripped = dripping => dripped,
    }
}

/// An answer such as a 408 is read and is not the end, the close behind it is.
async fn closed(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut answer = [0; 1_024];
    while stream.read(&mut answer).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_spread_and_half_of_the_slow_send_headers() {
        let address = Address::of("http://127.0.0.1:1").await.expect("an address");
        let plan = Plan { address, api_key: String::new(), idle: 3, slow: 3, addresses: 2 };
        let manners: Vec<Manner> = (0..6).map(|number| manner(&plan, number)).collect();
        let idle = [Manner::Idle; 3].to_vec();
        assert_eq!(
            manners,
            [idle, vec![Manner::SlowHeaders, Manner::SlowBody, Manner::SlowHeaders]].concat()
        );
        assert_eq!(source(0).to_string(), "127.1.0.1");
        assert_eq!(source(255).to_string(), "127.1.1.0");
    }
}
