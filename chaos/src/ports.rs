//! Where everything listens, all on loopback. The engines' ports are the local stack's; the proxies stand before them.

use std::net::{Ipv4Addr, SocketAddr};

/// One door a client, so that one of them can be cut off alone: the gateway, and each processor.
pub const DOORS: u16 = 1 + PROCESSORS as u16;
/// Two run always; the third is there to come and go.
pub const PROCESSORS: usize = 3;
pub const BROKERS: u16 = 3;

/// The local stack's ports of one stack, which are shifted by as much as it was told.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    pub shift: u16,
}

/// Who stands before a door of the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    Gateway,
    Processor(usize),
}

impl Client {
    fn door(self) -> u16 {
        match self {
            Self::Gateway => 0,
            Self::Processor(index) => 1 + index as u16,
        }
    }
}

impl Ports {
    fn at(self, port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port + self.shift))
    }

    /// Where a broker listens for this client.
    pub fn door(self, client: Client, broker: u16) -> SocketAddr {
        self.at(9200 + 10 * client.door() + broker)
    }

    /// What that broker tells the client, and where the proxy is.
    pub fn door_proxy(self, client: Client, broker: u16) -> SocketAddr {
        self.at(9205 + 10 * client.door() + broker)
    }

    pub fn clickhouse(self) -> SocketAddr {
        self.at(8123)
    }

    pub fn clickhouse_proxy(self, processor: usize) -> SocketAddr {
        self.at(9170 + processor as u16)
    }

    pub fn registry(self) -> SocketAddr {
        self.at(8085)
    }

    pub fn registry_proxy(self) -> SocketAddr {
        self.at(9160)
    }

    pub fn processor_admin(self, processor: usize) -> SocketAddr {
        self.at(9150 + processor as u16)
    }

    pub fn gateway_admin(self) -> SocketAddr {
        self.at(9101)
    }

    pub fn query_admin(self) -> SocketAddr {
        self.at(9103)
    }
}
