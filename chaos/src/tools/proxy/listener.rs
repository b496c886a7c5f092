//! The listening side of a proxy.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::Counts;
use super::connection;
use super::fault::Plan;

const BACKLOG: u32 = 1_024;
/// More open connections than any client here makes; further ones wait.
const MAX_CONNECTIONS: usize = 1_024;
/// Before a port that was given back is tried again.
const BIND_RETRY: Duration = Duration::from_millis(20);

pub(super) struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
}

impl Listener {
    pub fn bind(listen: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let socket = bind(listen)?;
        Ok(Self { address: socket.local_addr()?, socket, target })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Until the stop. While the plan refuses, the port is closed.
    pub async fn run(
        self,
        mut plans: watch::Receiver<Plan>,
        cuts: watch::Receiver<u64>,
        counts: Arc<Counts>,
        stop: CancellationToken,
    ) {
        let Self { socket, address, target } = self;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut socket = Some(socket);
        loop {
            if plans.borrow_and_update().refuses() {
                socket = None;
            } else if socket.is_none() {
                socket = bind(address).ok();
            }
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                changed = plans.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
                accepted = accept(socket.as_ref(), &places) => accepted,
            };
            let Some((client, place)) = accepted else {
                tokio::time::sleep(BIND_RETRY).await;
                continue;
            };
            counts.connections.fetch_add(1, Ordering::AcqRel);
            let (plans, cuts, counts) = (plans.clone(), cuts.clone(), Arc::clone(&counts));
            let stop = stop.clone();
            tokio::spawn(async move {
                connection::carry(client, target, plans, cuts, counts, stop).await;
                drop(place);
            });
        }
    }
}

/// `None` where nothing can be accepted now.
async fn accept(
    socket: Option<&TcpListener>,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    let (client, _) = socket?.accept().await.ok()?;
    Some((client, place))
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // the port comes back while connections of its last life still linger
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
