//! From a fingerprint to the latest record that has it.

use audit_event::Offset;
use hashbrown::HashTable;

use super::keys::Fingerprint;
use super::ring::Ring;

/// Offsets by fingerprint; the fingerprints themselves stand in the ring. The table is cut into shards, so that one
/// that grows is copied in a moment, and never all of it is there twice.
pub(super) struct Index {
    /// Lower halves of offsets.
    shards: Box<[HashTable<u32>]>,
}

/// Records of a shard in a full window. A table of 2^16 places takes 57,344; the rest is room for what deletions leave
/// behind until it is swept out.
const SHARD_RECORDS: i64 = 51_200;
/// Each time so much room is made, as a part of what is there.
const ROOM_DIVISOR: usize = 16;

impl Index {
    pub(super) fn for_window(window_offsets: i64) -> Self {
        let shards = (window_offsets - 1).max(0) / SHARD_RECORDS + 1;
        Self { shards: (0..shards).map(|_| HashTable::new()).collect() }
    }

    /// By bits that the table inside does not use: it takes the uppermost seven and the lowest.
    fn shard(&self, print: Fingerprint) -> usize {
        let middle = (print.bits() >> 24) & u64::from(u32::MAX);
        ((middle * self.shards.len() as u64) >> 32) as usize
    }

    pub(super) fn latest(&self, print: Fingerprint, ring: &Ring) -> Option<Offset> {
        let same = |low: &u32| ring.print(ring.widen(*low)) == Some(print);
        self.shards[self.shard(print)].find(print.bits(), same).map(|low| ring.widen(*low))
    }

    /// Notes the latest record of a fingerprint, which is in the ring; answers the one before.
    pub(super) fn put(&mut self, print: Fingerprint, offset: Offset, ring: &Ring) -> Option<Offset> {
        let shard = self.shard(print);
        let shard = &mut self.shards[shard];
        let same = |low: &u32| ring.print(ring.widen(*low)) == Some(print);
        let low = offset.0 as u32;
        if let Some(latest) = shard.find_mut(print.bits(), same) {
            return Some(ring.widen(std::mem::replace(latest, low)));
        }
        let hash = |low: &u32| ring.print(ring.widen(*low)).map_or(0, Fingerprint::bits);
        if shard.len() == shard.capacity() {
            // left to itself the table would double rather than sweep out what deletions left behind
            let mut roomy = HashTable::with_capacity(shard.len() + shard.len() / ROOM_DIVISOR + 1);
            for low in shard.drain() {
                roomy.insert_unique(hash(&low), low, hash);
            }
            *shard = roomy;
        }
        shard.insert_unique(print.bits(), low, hash);
        None
    }

    /// Makes room for so many records at once.
    pub(super) fn reserve(&mut self, records: usize) {
        let each = records / self.shards.len();
        for shard in &mut self.shards {
            // fingerprints are spread evenly, but not perfectly
            *shard = HashTable::with_capacity(each + each / 32);
        }
    }

    /// Forgets a record, unless a later one has its fingerprint.
    pub(super) fn forget(&mut self, print: Fingerprint, offset: Offset) {
        let shard = self.shard(print);
        if let Ok(entry) = self.shards[shard].find_entry(print.bits(), |low| *low == offset.0 as u32) {
            entry.remove();
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let tables = self.shards.iter().map(HashTable::allocation_size).sum::<usize>();
        size_of_val::<[HashTable<u32>]>(&self.shards) + tables
    }
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}
