//! How many brokers there are, and where they listen: one for a person, three to try what a cluster does.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::ports::Ports;

/// The names of the brokers' logs, data directories and pid files.
const NAMES: [&str; 3] = ["kafka", "kafka-2", "kafka-3"];
/// From one broker's ports to the next one's.
const APART: u16 = 20;
/// From the port of the first broker to the first door.
const DOORS_AT: u16 = 108;
const DOOR_PORTS: u16 = 10;
/// From the port at which a door listens to the one that it tells its clients.
const ADVERTISED_AT: u16 = 5;
const MAX_DOORS: u16 = 8;

#[derive(Debug, Clone, Args)]
pub struct ClusterFlags {
    /// Brokers, each of them a controller too: 1, or 3 with every topic on all of them
    #[arg(long, env = "SEALTRAIL_BROKERS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
    brokers: u8,
    /// Further listeners of each broker for clients behind proxies: door D (from 0) of broker B (from 0) listens at the
    /// Kafka port + 108 + 10 D + B, and tells its clients that port + 5, where the proxy is to be
    #[arg(long, hide = true, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=MAX_DOORS as i64))]
    doors: u16,
    /// A library to load into every broker before all others, to try a clock that is wrong
    #[arg(long, hide = true, value_name = "FILE")]
    pub broker_preload: Option<PathBuf>,
}

/// One process that is broker and controller.
#[derive(Debug, Clone)]
pub struct Node {
    pub id: usize,
    pub name: &'static str,
    pub client: SocketAddr,
    pub controller: SocketAddr,
    pub doors: Vec<Door>,
}

/// A listener whose clients are told another address.
#[derive(Debug, Clone, Copy)]
pub struct Door {
    pub listen: SocketAddr,
    pub advertised: SocketAddr,
}

#[derive(Debug, Clone)]
pub struct Cluster {
    pub nodes: Vec<Node>,
}

impl Cluster {
    pub fn new(flags: &ClusterFlags, ports: &Ports) -> anyhow::Result<Self> {
        if flags.brokers == 2 {
            bail!("--brokers 2: two cannot go on without each other; take 1 or 3");
        }
        let nodes = NAMES.iter().enumerate().take(usize::from(flags.brokers));
        let nodes = nodes.map(|(index, name)| {
            let index = index as u16;
            let shifted = |address: SocketAddr, by: u16| SocketAddr::new(address.ip(), address.port() + by);
            let door = |door: u16| {
                let listen = shifted(ports.kafka, DOORS_AT + DOOR_PORTS * door + index);
                Door { listen, advertised: shifted(listen, ADVERTISED_AT) }
            };
            Node {
                id: usize::from(index) + 1,
                name,
                client: shifted(ports.kafka, APART * index),
                controller: shifted(ports.kafka_controller, APART * index),
                doors: (0..flags.doors).map(door).collect(),
            }
        });
        Ok(Self { nodes: nodes.collect() })
    }

    pub fn is_single(&self) -> bool {
        self.nodes.len() == 1
    }

    /// How strictly the services check their topics.
    pub fn topic_check(&self) -> &'static str {
        if self.is_single() { "single_broker" } else { "strict" }
    }

    pub fn bootstrap(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(|node| node.client.to_string()).collect();
        addresses.join(",")
    }

    /// Replicas of Kafka's own topics, and how many of them have to be there for a write.
    pub fn replication(&self) -> (usize, usize) {
        if self.is_single() { (1, 1) } else { (3, 2) }
    }

    pub fn voters(&self) -> String {
        let voters: Vec<_> =
            self.nodes.iter().map(|node| format!("{}@{}", node.id, node.controller)).collect();
        voters.join(",")
    }
}
