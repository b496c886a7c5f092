#[path = "../registry/mod.rs"]
mod registry;
#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let listen = args.next().expect("listen").parse()?;
    let kafka = args.next().expect("kafka");
    let stop = tokio_util::sync::CancellationToken::new();
    let s = stop.clone();
    tokio::spawn(async move { let mut t = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).expect("sig"); t.recv().await; s.cancel() });
    registry::serve(registry::RegistryOptions { listen, kafka }, stop).await
}
