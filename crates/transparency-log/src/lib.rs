//! The sealed log and what is signed about it. Pure: it neither waits, reads a file, nor draws a number, so that a
//! verifier can run it anywhere.

mod checkpoint;
mod cosignature;
mod edge;
mod key;
mod leaf;
mod log_keys;
mod policy;
mod proof;
mod receipt;
mod tile;

/// A SHA-256 hash of the tree (RFC 6962).
pub use tlog_tiles::Hash;

pub use checkpoint::{Checkpoint, CheckpointError, origin_ends_with, origin_of};
pub use cosignature::Witness;
pub use edge::{Edge, TileBytes};
pub use key::{Ed25519Signer, KeyError, SigningKey, VerifierKeys};
pub use leaf::{LEAF_BYTES, Leaf};
pub use log_keys::LogSecret;
pub use policy::{Policy, PolicyError, TrustError, Trusted};
pub use proof::{InclusionProof, ProofError, TileSet, Tree, check_consistency, check_inclusion};
pub use receipt::{MAX_RECORDS_OF_A_RECEIPT, Receipt, ReceiptError, ReceiptRecord, hex_of};
pub use tile::{MAX_TREE_SIZE, TILE_WIDTH, Tile, TileNameError, hashes_of};
