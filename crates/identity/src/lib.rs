//! Who is calling: API keys and tokens (JWT) alike become a caller, and an operator says for whom it acts.

mod acting;
mod algorithms;
mod claims;
mod config;
mod error;
mod identity;
mod jwks;
mod refresher;
mod source;
mod token;

#[cfg(test)]
mod testing;

pub use acting::TENANT_HEADER;
pub use config::{TokenConfig, TokenConfigError};
pub use error::{Answer, IdentityError, TokenError};
pub use identity::Identity;
