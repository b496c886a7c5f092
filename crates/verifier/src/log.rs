//! A whole log, derived again from its tiles; and two checkpoints of one.

use serde::Serialize;
use transparency_log::{Edge, Policy, Tile, TileBytes, Trusted, check_consistency, hashes_of};

use crate::{Fault, Files, LogFiles};

/// A log whose every tile was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedLog {
    pub origin: String,
    /// Leaves.
    pub size: u64,
    pub tiles: u64,
    /// When a witness last saw this checkpoint as the newest one, in seconds since 1970.
    pub cosigned_at_s: Option<u64>,
}

/// Two checkpoints of which the newer continues the older.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckedGrowth {
    pub origin: String,
    pub from_size: u64,
    pub size: u64,
}

/// Derives a log again: every tile must be what the leaves below it make, and all together the checkpoint's root.
/// `progress` is told how many leaves were looked at.
pub fn check_log(
    policy: &Policy,
    files: &dyn Files,
    origin: &str,
    mut progress: impl FnMut(u64),
) -> Result<CheckedLog, Fault> {
    let log = LogFiles::of(files, origin);
    let Trusted { checkpoint, cosigned_at_s } = log.checkpoint(policy)?;
    if checkpoint.origin != origin {
        return Err(Fault::TwoLogs { first: origin.to_owned(), second: checkpoint.origin });
    }
    let size = checkpoint.tree.size;
    let (mut edge, mut filled, mut tiles) = (Edge::default(), Vec::new(), 0);
    for tile in Tile::all_of(size).take_while(|tile| tile.level() == 0) {
        for leaf in hashes_of(tile, &log.tile(tile)?).unwrap_or_default() {
            edge.append(leaf, &mut filled);
        }
        tiles += compare(&log, origin, filled.drain(..))?;
        progress(edge.size());
    }
    tiles += compare(&log, origin, edge.partial_tiles().into_iter())?;
    if edge.size() != size || edge.root() != checkpoint.tree.root {
        return Err(Fault::WrongRoot { origin: origin.to_owned(), size });
    }
    Ok(CheckedLog { origin: origin.to_owned(), size, tiles, cosigned_at_s })
}

/// How many there were.
fn compare(log: &LogFiles<'_>, origin: &str, made: impl Iterator<Item = TileBytes>) -> Result<u64, Fault> {
    let mut looked_at = 0;
    for (tile, bytes) in made {
        if log.tile(tile)? != bytes {
            return Err(Fault::AlteredTile { origin: origin.to_owned(), tile });
        }
        looked_at += 1;
    }
    Ok(looked_at)
}

/// Checks that one of two checkpoints continues the other, by the log's tiles.
pub fn check_growth(
    policy: &Policy,
    files: &dyn Files,
    older: &str,
    newer: &str,
) -> Result<CheckedGrowth, Fault> {
    let trusted = |note: &str, what: &str| {
        let what = what.to_owned();
        policy.check(note).map_err(|cause| Fault::Untrusted { what, cause })
    };
    let older = trusted(older, "the older checkpoint")?.checkpoint;
    let newer = trusted(newer, "the newer checkpoint")?.checkpoint;
    if older.origin != newer.origin {
        return Err(Fault::TwoLogs { first: older.origin, second: newer.origin });
    }
    let log = LogFiles::of(files, &newer.origin);
    let proof = log.ask(&newer.origin, |tiles| tiles.consistency(newer.tree, older.tree.size))?;
    check_consistency(older.tree, newer.tree, &proof)
        .map_err(|cause| Fault::Proof { what: newer.origin.clone(), cause })?;
    Ok(CheckedGrowth { origin: newer.origin, from_size: older.tree.size, size: newer.tree.size })
}
