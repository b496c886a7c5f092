//! How a client of ours is sure of a server, and a server of the client: certificate authorities and secrets.

pub mod private_file;
pub mod secret;
pub mod trust;

pub use rustls::ClientConfig;
pub use secret::{Secret, SecretError};
pub use trust::{TrustError, client_config};
