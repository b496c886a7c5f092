//! What a log holds of a record: a commitment to its place, its time and its bytes, and nothing of what it says.

use audit_event::{Offset, RecordTime};
use sha2::{Digest, Sha256};

use crate::Hash;

/// The bytes of a leaf: `offset (u64 BE) | record timestamp in ms (i64 BE) | SHA-256 of the record's value`.
pub const LEAF_BYTES: usize = 48;

/// A record, or an offset that has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    pub offset: Offset,
    pub timestamp: RecordTime,
    pub record_sha256: [u8; 32],
}

impl Leaf {
    /// A record without a value is sealed as one of no bytes.
    pub fn of_record(offset: Offset, timestamp: RecordTime, value: &[u8]) -> Self {
        Self { offset, timestamp, record_sha256: Sha256::digest(value).into() }
    }

    /// An offset without a record: the markers of transactions, and what they took back.
    pub fn gap(offset: Offset) -> Self {
        Self { offset, timestamp: RecordTime(0), record_sha256: [0; 32] }
    }

    pub fn is_gap(&self) -> bool {
        *self == Self::gap(self.offset)
    }

    pub fn to_bytes(self) -> [u8; LEAF_BYTES] {
        let mut bytes = [0; LEAF_BYTES];
        bytes[..8].copy_from_slice(&self.offset.0.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.timestamp.0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.record_sha256);
        bytes
    }

    /// The leaf's hash in the tree (RFC 6962, 2.1).
    pub fn hash(&self) -> Hash {
        tlog_tiles::record_hash(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_of_a_leaf_are_fixed() {
        let leaf = Leaf::of_record(Offset(258), RecordTime(1), b"abc");
        let bytes = leaf.to_bytes();
        assert_eq!(bytes[..16], [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1]);
        // FIPS 180-2, B.1
        assert_eq!(
            crate::hex_of(&bytes[16..]),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let hashed: [u8; 32] = Sha256::digest([&[0], bytes.as_slice()].concat()).into();
        assert_eq!(leaf.hash(), Hash(hashed));
    }

    #[test]
    fn a_gap_is_its_offset_and_nothing_else() {
        let gap = Leaf::gap(Offset(7));
        assert!(gap.is_gap() && gap.to_bytes()[8..].iter().all(|byte| *byte == 0));
        assert!(!Leaf::of_record(Offset(7), RecordTime(0), b"").is_gap());
    }
}
