//! How many connections one address may hold, so that a single client cannot take every place.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The open connections by address; an address without any is not remembered.
#[derive(Debug, Clone)]
pub struct Peers {
    most: usize,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub struct PeerPlace {
    peers: Peers,
    address: IpAddr,
}

impl Peers {
    pub fn new(most: usize) -> Self {
        Self { most, open: Arc::default() }
    }

    fn open(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the address has all that it may have.
    pub fn enter(&self, address: IpAddr) -> Option<PeerPlace> {
        // 127.0.0.1 and ::ffff:127.0.0.1 are one
        let address = address.to_canonical();
        let mut open = self.open();
        let count = open.entry(address).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(PeerPlace { peers: self.clone(), address })
    }
}

impl Drop for PeerPlace {
    fn drop(&mut self) {
        let mut open = self.peers.open();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let peers = Peers::new(2);
        let (one, other): (IpAddr, IpAddr) =
            ("192.0.2.1".parse().expect("ip"), "192.0.2.2".parse().expect("ip"));
        let (first, second) = (peers.enter(one).expect("a place"), peers.enter(one).expect("a place"));
        assert!(peers.enter("::ffff:192.0.2.1".parse().expect("ip")).is_none());
        let _neighbour = peers.enter(other).expect("another's place");
        drop(first);
        drop(peers.enter(one).expect("the place of the first"));
        assert_eq!(peers.open().get(&one), Some(&1));
        drop(second);
        assert_eq!(peers.open().len(), 1, "nothing is kept of who is gone");
    }
}
