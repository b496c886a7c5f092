//! Checks what others say of a trail, with public keys that are pinned in a policy file and nothing else. Pure: whoever
//! calls it brings the files, so that it runs in a command, in a monitor and in a browser.

mod files;
mod log;
mod receipt;

use serde::Serialize;
use thiserror::Error;
use transparency_log::{CheckpointError, ProofError, ReceiptError, Tile, TrustError};

pub use files::{Files, LogFiles};
pub use log::{CheckedGrowth, CheckedLog, check_growth, check_log};
pub use receipt::{CheckedReceipt, check_receipt};

/// What a check found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    Genuine,
    NotGenuine,
    /// Something that is needed is not there, or cannot be read.
    CannotTell,
}

/// Why something is not genuine, or why nobody can tell.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Fault {
    #[error("{what}: {cause}")]
    Untrusted { what: String, cause: TrustError },
    #[error("{what}: {cause}")]
    Proof { what: String, cause: ProofError },
    #[error("the receipt: {0}")]
    Receipt(#[from] ReceiptError),
    #[error("{origin}: {tile} is not what the leaves below it make; it was altered, or they were")]
    AlteredTile { origin: String, tile: Tile },
    #[error("{origin}: the tiles of {size} leaves do not hash to the checkpoint's root")]
    WrongRoot { origin: String, size: u64 },
    #[error("these are checkpoints of two logs, {first} and {second}")]
    TwoLogs { first: String, second: String },
    #[error(
        "{origin}: offset {offset} was to be sealed by {sealed_by_ms} (ms since 1970); the log had {size} leaves at {seen_at_ms}"
    )]
    PromiseBroken { origin: String, offset: i64, sealed_by_ms: i64, seen_at_ms: i64, size: u64 },
    #[error("{origin}: offset {offset} is not sealed yet; it is to be by {sealed_by_ms} (ms since 1970)")]
    NotSealedYet { origin: String, offset: i64, sealed_by_ms: i64 },
    #[error("the policy has no log of trail {trail}, partition {partition}")]
    UnknownLog { trail: String, partition: i32 },
    #[error("{path} is missing")]
    Missing { path: String },
    #[error("{path} cannot be read: {cause}")]
    Unreadable { path: String, cause: String },
}

impl From<CheckpointError> for Fault {
    fn from(_: CheckpointError) -> Self {
        Self::Untrusted { what: "the checkpoint".to_owned(), cause: TrustError::Malformed }
    }
}

impl Fault {
    pub fn judgement(&self) -> Judgement {
        match self {
            Self::NotSealedYet { .. }
            | Self::UnknownLog { .. }
            | Self::Missing { .. }
            | Self::Unreadable { .. } => Judgement::CannotTell,
            _ => Judgement::NotGenuine,
        }
    }
}

#[cfg(test)]
mod tests;
