//! TLS for what has none of its own: connections are taken after their handshake, and where asked, carried on to a
//! plain port of this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
/// Handshakes under way; one more waits in the listener's backlog.
const MAX_HANDSHAKES: usize = 64;
/// Connections through a door; one more waits.
const MAX_CONNECTIONS: usize = 1_024;
/// The pause after the system gave no connection, for want of file descriptors say.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone, Args)]
pub struct IdentityFlags {
    /// The server's certificate, in PEM
    #[arg(long)]
    pub certificate: PathBuf,
    /// The certificate's private key, in PEM
    #[arg(long)]
    pub key: PathBuf,
}

#[derive(Debug, Args)]
pub struct DoorFlags {
    #[command(flatten)]
    identity: IdentityFlags,
    /// Where TLS is spoken, and the plain port behind it: LISTEN=TARGET
    #[arg(long = "door", value_parser = read_door)]
    doors: Vec<(SocketAddr, SocketAddr)>,
}

fn read_door(text: &str) -> Result<(SocketAddr, SocketAddr), String> {
    let (listen, target) = text.split_once('=').ok_or("a door is LISTEN=TARGET")?;
    let address = |text: &str| text.parse().map_err(|e| format!("{text}: {e}"));
    Ok((address(listen)?, address(target)?))
}

/// Connections whose handshake is done.
pub struct TlsListener {
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
}

impl TlsListener {
    pub async fn bind(address: SocketAddr, identity: &IdentityFlags) -> anyhow::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(server_config(&identity.certificate, &identity.key)?));
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        let (sender, connections) = mpsc::channel(1);
        tokio::spawn(shake_hands(listener, acceptor, sender));
        Ok(Self { connections, address })
    }

    /// The next connection.
    pub async fn next(&mut self) -> (TlsStream<TcpStream>, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // the task that accepts never ends before its receiver
            None => std::future::pending().await,
        }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        self.next().await
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// A client that is slow at its handshake holds up nobody but itself.
async fn shake_hands(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    sender: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    let room = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "no connection could be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (acceptor, sender) = (acceptor.clone(), sender.clone());
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let _nobody_listens_any_more = sender.send((stream, peer)).await;
                }
                Ok(Err(error)) => tracing::warn!(%peer, %error, "a client without TLS, or without trust"),
                Err(_) => tracing::warn!(%peer, "a handshake took too long"),
            }
            drop(permit);
        });
    }
}

fn server_config(certificate: &Path, key: &Path) -> anyhow::Result<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("read {}", certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(key).with_context(|| format!("read {}", key.display()))?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(config)
}

/// Serves all doors until the process ends.
pub async fn run(flags: DoorFlags) -> anyhow::Result<()> {
    for (listen, target) in flags.doors {
        let listener = TlsListener::bind(listen, &flags.identity).await?;
        tokio::spawn(carry(listener, target));
    }
    std::future::pending().await
}

async fn carry(mut listener: TlsListener, target: SocketAddr) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(permit) = room.clone().acquire_owned().await {
        let (mut outside, peer) = listener.next().await;
        tokio::spawn(async move {
            match TcpStream::connect(target).await {
                Ok(mut inside) => {
                    let _nodelay = inside.set_nodelay(true);
                    let _ends_when_either_hangs_up = copy_bidirectional(&mut outside, &mut inside).await;
                }
                Err(error) => tracing::warn!(%peer, %target, %error, "nobody is behind the door"),
            }
            drop(permit);
        });
    }
}
