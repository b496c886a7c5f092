//! A growing tree: its right edge is all that is held, whatever the log's size.

use tlog_tiles::node_hash;

use crate::Hash;
use crate::tile::{HASH_BYTES, TILE_WIDTH, Tile, hashes_of};

/// The last tile of each level, not yet full, and so at most 255 hashes a level.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<Hash>>,
}

/// A tile and its bytes.
pub type TileBytes = (Tile, Vec<u8>);

impl Edge {
    /// The edge of a log, out of the tiles of [`Tile::edge_of`]. `None` if one is not as wide as it must be.
    pub fn of_tiles(size: u64, mut bytes_of: impl FnMut(Tile) -> Option<Vec<u8>>) -> Option<Self> {
        let mut edge = Self { size, levels: Vec::new() };
        for tile in Tile::edge_of(size) {
            edge.levels.resize_with(usize::from(tile.level()) + 1, Vec::new);
            edge.levels[usize::from(tile.level())] = hashes_of(tile, &bytes_of(tile)?)?;
        }
        Some(edge)
    }

    /// Leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf's hash. Tiles that it fills are handed out: they never change again.
    pub fn append(&mut self, leaf: Hash, filled: &mut Vec<TileBytes>) {
        self.size += 1;
        let mut hash = leaf;
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let hashes = &mut self.levels[level];
            hashes.push(hash);
            if hashes.len() < TILE_WIDTH as usize {
                return;
            }
            hash = perfect(hashes);
            let number = (self.size >> (8 * (level + 1))) - 1;
            let tile = u8::try_from(level).ok().and_then(|level| Tile::new(level, number, TILE_WIDTH));
            filled.extend(tile.map(|tile| (tile, bytes(hashes))));
            hashes.clear();
        }
    }

    /// The tiles that are not full, as they are now.
    pub fn partial_tiles(&self) -> Vec<TileBytes> {
        let held = |tile: Tile| self.levels.get(usize::from(tile.level())).map(|hashes| bytes(hashes));
        Tile::edge_of(self.size).filter_map(|tile| Some((tile, held(tile)?))).collect()
    }

    /// The hashes of the last leaves, as many as the last tile has: those from [`Self::size`] minus their number on.
    pub fn last_leaves(&self) -> &[Hash] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// The tree's hash (RFC 6962, 2.1).
    pub fn root(&self) -> Hash {
        let mut root = None;
        for hashes in &self.levels {
            let mut rest = hashes.as_slice();
            let mut parts = Vec::new();
            while !rest.is_empty() {
                let (part, others) = rest.split_at(1 << rest.len().ilog2());
                parts.push(perfect(part));
                rest = others;
            }
            // what is to the right is lower: it is hashed first
            for part in parts.into_iter().rev() {
                root = Some(root.map_or(part, |right| node_hash(part, right)));
            }
        }
        root.unwrap_or(tlog_tiles::EMPTY_HASH)
    }
}

/// The hash of a tree whose leaves are a power of two.
fn perfect(hashes: &[Hash]) -> Hash {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            node_hash(perfect(left), perfect(right))
        }
    }
}

fn bytes(hashes: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len() * HASH_BYTES);
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
    bytes
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use ct_merkle::mem_backed_tree::MemoryBackedTree;
    use proptest::prelude::*;
    use sha2::Sha256;

    use super::*;

    fn leaf(n: u64) -> Vec<u8> {
        n.to_be_bytes().to_vec()
    }

    fn grown(size: u64) -> (Edge, HashMap<Tile, Vec<u8>>) {
        let (mut edge, mut filled) = (Edge::default(), Vec::new());
        (0..size).for_each(|n| edge.append(tlog_tiles::record_hash(&leaf(n)), &mut filled));
        (edge, filled.into_iter().collect())
    }

    /// The roots of `certificate-transparency-go`'s reference tests, over the same eight leaves.
    #[test]
    fn the_published_roots_are_ours() {
        let leaves = [
            "",
            "00",
            "10",
            "2021",
            "3031",
            "40414243",
            "5051525354555657",
            "606162636465666768696a6b6c6d6e6f",
        ];
        let roots = [
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut edge = Edge::default();
        for (n, root) in roots.into_iter().enumerate() {
            assert_eq!(crate::hex_of(&edge.root().0), root, "{n} leaves");
            if let Some(leaf) = leaves.get(n) {
                let bytes: Vec<u8> = (0..leaf.len())
                    .step_by(2)
                    .map(|at| u8::from_str_radix(&leaf[at..at + 2], 16).expect("hex"))
                    .collect();
                edge.append(tlog_tiles::record_hash(&bytes), &mut Vec::new());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_root_is_that_of_another_implementation(size in 0u64..1_500) {
            let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
            (0..size).for_each(|n| oracle.push(leaf(n)));
            let (edge, _) = grown(size);
            prop_assert_eq!(edge.root().0.to_vec(), oracle.root().as_bytes().to_vec());
        }

        #[test]
        fn an_edge_is_the_same_again_from_its_tiles(size in 0u64..140_000) {
            let (edge, filled) = grown(size);
            let partial: HashMap<Tile, Vec<u8>> = edge.partial_tiles().into_iter().collect();
            let again = Edge::of_tiles(size, |tile| partial.get(&tile).cloned()).expect("all tiles");
            prop_assert_eq!(again.root(), edge.root());
            let mut names: Vec<Tile> = filled.keys().chain(partial.keys()).copied().collect();
            names.sort_unstable();
            prop_assert_eq!(names, Tile::all_of(size).collect::<Vec<_>>(), "each tile once, and no other");
            for (tile, bytes) in filled.iter().chain(&partial) {
                prop_assert_eq!(bytes.len(), tile.len_bytes());
            }
        }
    }
}
