//! What breaks things: proxies, a disk that fails, names that are unknown, clocks that lie.

pub mod clock;
pub mod library;
pub mod proxy;
pub mod registry;
pub mod shim;
