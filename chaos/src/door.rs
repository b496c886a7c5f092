//! The way of one client to the brokers: a proxy before each.

use crate::ports::{BROKERS, Client, Ports};
use crate::tools::proxy::{Fault, Proxy, Trigger};

/// The proxies before the brokers for one client.
pub struct Door(Vec<Proxy>);

impl Door {
    pub async fn open(ports: Ports, client: Client) -> anyhow::Result<Self> {
        let mut proxies = Vec::new();
        for broker in 0..BROKERS {
            proxies.push(Proxy::start(ports.door_proxy(client, broker), ports.door(client, broker)).await?);
        }
        Ok(Self(proxies))
    }

    /// The bootstrap servers behind the proxies.
    pub fn brokers(&self) -> String {
        let addresses: Vec<_> = self.0.iter().map(|proxy| proxy.address().to_string()).collect();
        addresses.join(",")
    }

    pub fn set(&self, fault: &Fault) {
        self.0.iter().for_each(|proxy| proxy.set(fault.clone()));
    }

    pub fn arm(&self, trigger: &Trigger, fault: &Fault) {
        self.0.iter().for_each(|proxy| proxy.arm(trigger.clone(), fault.clone()));
    }

    pub fn cut(&self) {
        self.0.iter().for_each(Proxy::cut);
    }

    pub fn broker(&self, broker: u16) -> &Proxy {
        &self.0[usize::from(broker)]
    }

    pub fn struck(&self) -> u64 {
        self.0.iter().map(Proxy::struck).sum()
    }
}
