//! The stages: each takes what the one before gave, and returns it changed or rejected.

pub mod decode;
pub mod dedupe;
pub mod enrich;
pub mod route;
pub mod schemas;
