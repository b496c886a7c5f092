//! A receipt against the log that it promises.

use serde::Serialize;
use transparency_log::{Leaf, Policy, Receipt, ReceiptRecord, check_inclusion, origin_ends_with};

use crate::{Fault, Files, LogFiles};

/// A receipt whose records all stand in their logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedReceipt {
    pub records: usize,
    pub sealed_by_ms: i64,
}

pub fn check_receipt(policy: &Policy, files: &dyn Files, note: &str) -> Result<CheckedReceipt, Fault> {
    let receipt = Receipt::open(note, policy.receipt_keys())?;
    for record in &receipt.records {
        check_record(policy, files, &receipt, record)?;
    }
    Ok(CheckedReceipt { records: receipt.records.len(), sealed_by_ms: receipt.sealed_by.0 })
}

fn check_record(
    policy: &Policy,
    files: &dyn Files,
    receipt: &Receipt,
    record: &ReceiptRecord,
) -> Result<(), Fault> {
    let ReceiptRecord { partition, offset, timestamp, sha256 } = *record;
    let origin = policy.origins().find(|origin| origin_ends_with(origin, receipt.trail, partition));
    let unknown = || Fault::UnknownLog { trail: receipt.trail.to_string(), partition: partition.0 };
    let origin = origin.ok_or_else(unknown)?;
    let log = LogFiles::of(files, origin);
    let trusted = log.checkpoint(policy)?;
    let tree = trusted.checkpoint.tree;
    let genesis = policy.genesis_of(origin);
    let index =
        offset.0.checked_sub(genesis.0).and_then(|index| u64::try_from(index).ok()).unwrap_or(u64::MAX);
    if index >= tree.size {
        let (offset, sealed_by_ms) = (offset.0, receipt.sealed_by.0);
        let seen_at_ms = trusted.cosigned_at_s.and_then(|s| i64::try_from(s).ok()?.checked_mul(1_000));
        return Err(match seen_at_ms {
            Some(seen_at_ms) if seen_at_ms > sealed_by_ms => {
                let (origin, size) = (origin.to_owned(), tree.size);
                Fault::PromiseBroken { origin, offset, sealed_by_ms, seen_at_ms, size }
            }
            _ => Fault::NotSealedYet { origin: origin.to_owned(), offset, sealed_by_ms },
        });
    }
    let what = format!("{origin}, offset {offset}");
    let leaf = Leaf { offset, timestamp, record_sha256: sha256 };
    let proof = log.ask(&what, |tiles| tiles.inclusion(tree, index))?;
    check_inclusion(tree, index, leaf.hash(), &proof).map_err(|cause| Fault::Proof { what, cause })
}
