//! Crowds before the doors: what those who behave notice of them.

pub mod args;
pub mod clients;
pub mod connections;

mod aftermath;
mod crowd;
mod healthy;
mod latency;
mod limits;
mod visitor;
