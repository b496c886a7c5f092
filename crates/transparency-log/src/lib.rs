//! The sealed log and what is signed about it. Pure: it neither waits, reads a file, nor draws a number, so that a
//! verifier can run it anywhere.

mod key;
mod receipt;

pub use key::{Ed25519Signer, KeyError, SigningKey, VerifierKeys};
pub use receipt::{MAX_RECORDS_OF_A_RECEIPT, Receipt, ReceiptError, ReceiptRecord, hex_of};
