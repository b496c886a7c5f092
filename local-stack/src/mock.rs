//! The last resort where Java or Maven Central can't be had: librdkafka's mock broker. It forgets: memory only, about
//! 5 MiB a partition, and it keeps no promise.

use std::path::Path;

use rdkafka::mocking::MockCluster;
use tokio::signal::unix::{SignalKind, signal};

const TOPICS: &[(&str, i32)] = &[
    ("audit.events.v1", 4),
    ("audit.dead-letters.v1", 1),
    ("audit.control.v1", 1),
    ("_schemas", 1),
    ("audit.checkpoints.v1", 1),
];

/// Runs until SIGTERM; writes its address once it is up.
pub async fn run(address_file: &Path) -> anyhow::Result<()> {
    let cluster = MockCluster::new(1)?;
    for (topic, partitions) in TOPICS {
        cluster.create_topic(topic, *partitions, 1)?;
    }
    std::fs::write(address_file, cluster.bootstrap_servers())?;
    signal(SignalKind::terminate())?.recv().await;
    Ok(())
}
