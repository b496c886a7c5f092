//! Proofs out of tiles, their checks, and the text of an inclusion proof that travels. Sources: RFC 6962, 2.1.1 and 2.1.2,
//! and <https://c2sp.org/tlog-proof>.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;
use tlog_tiles::{HashReader, TileHashReader, TileReader};

use crate::Hash;
use crate::tile::{MAX_TREE_SIZE, TILE_HEIGHT, Tile};

const FIRST_LINE: &str = "c2sp.org/tlog-proof@v1";
/// Hashes of a proof in the largest tree.
const MAX_PROOF_HASHES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// Fetch these, add them, and ask again.
    #[error("{} tiles are missing, the first is {}", .0.len(), .0.first().map(Tile::to_string).unwrap_or_default())]
    Missing(Vec<Tile>),
    #[error("the tree has {size} leaves; there is no leaf {index} in it")]
    NoSuchLeaf { index: u64, size: u64 },
    #[error("a tree of {size} leaves cannot grow from one of {from}")]
    Shrinks { from: u64, size: u64 },
    #[error("the tiles do not hash to the checkpoint's root: they were altered, or are of another tree")]
    Tiles,
    #[error("the proof does not lead from the leaf to the checkpoint's root")]
    Inclusion,
    #[error("the larger tree is no continuation of the smaller one: the log was rewritten")]
    Consistency,
    #[error("line {line} of the proof cannot be read; the format is c2sp.org/tlog-proof@v1")]
    Line { line: usize },
}

/// A tree as a checkpoint names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tree {
    pub size: u64,
    pub root: Hash,
}

/// Tiles at hand, and which ones a proof still needs.
#[derive(Debug, Default)]
pub struct TileSet {
    held: HashMap<Tile, Vec<u8>>,
    missing: RefCell<BTreeSet<Tile>>,
}

impl TileSet {
    /// A full tile serves for its partial ones too.
    pub fn add(&mut self, tile: Tile, bytes: Vec<u8>) {
        self.held.insert(tile, bytes);
    }

    fn bytes(&self, tile: Tile) -> Option<Vec<u8>> {
        let exact = self.held.get(&tile);
        let found = exact.or_else(|| self.held.get(&tile.full()));
        found.and_then(|bytes| bytes.get(..tile.len_bytes())).map(<[u8]>::to_vec)
    }

    /// Proves that leaf `index` is in the tree.
    pub fn inclusion(&self, tree: Tree, index: u64) -> Result<Vec<Hash>, ProofError> {
        if index >= tree.size || tree.size > MAX_TREE_SIZE {
            return Err(ProofError::NoSuchLeaf { index, size: tree.size });
        }
        self.ask(tree, |reader| {
            let proof = tlog_tiles::prove_record(tree.size, index, reader)?;
            let leaf = reader.read_hashes(&[tlog_tiles::stored_hash_index(0, index)])?;
            let leaf = *leaf.first().ok_or(tlog_tiles::Error::InvalidTile)?;
            tlog_tiles::check_record(&proof, tree.size, tree.root, index, leaf).map(|()| proof)
        })
    }

    /// Proves that the tree continues one of `from` leaves.
    pub fn consistency(&self, tree: Tree, from: u64) -> Result<Vec<Hash>, ProofError> {
        if from > tree.size || tree.size > MAX_TREE_SIZE {
            return Err(ProofError::Shrinks { from, size: tree.size });
        }
        if from == 0 || from == tree.size {
            return Ok(Vec::new());
        }
        self.ask(tree, |reader| Ok(prove_growth(tree, from, reader)?.0))
    }

    /// The root that the tree had with its first `size` leaves.
    pub fn earlier_root(&self, tree: Tree, size: u64) -> Result<Hash, ProofError> {
        match size {
            _ if size > tree.size || tree.size > MAX_TREE_SIZE => {
                Err(ProofError::Shrinks { from: size, size: tree.size })
            }
            0 => Ok(tlog_tiles::EMPTY_HASH),
            _ if size == tree.size => Ok(tree.root),
            _ => self.ask(tree, |reader| Ok(prove_growth(tree, size, reader)?.1)),
        }
    }

    /// What is made of tiles is checked against the root before it is given away: `tlog_tiles` 0.2 compares not every tile
    /// with its parent (it skips as many as the tree has perfect subtrees, where several of these share a tile).
    fn ask<T>(
        &self,
        tree: Tree,
        question: impl FnOnce(&TileHashReader) -> Result<T, tlog_tiles::Error>,
    ) -> Result<T, ProofError> {
        self.missing.borrow_mut().clear();
        let answer = question(&TileHashReader::new(tree.size, tree.root, self));
        let missing: Vec<Tile> = self.missing.borrow().iter().copied().collect();
        match answer {
            Ok(answer) => Ok(answer),
            Err(_) if !missing.is_empty() => Err(ProofError::Missing(missing)),
            Err(_) => Err(ProofError::Tiles),
        }
    }
}

/// The proof, and the root of the smaller tree.
fn prove_growth(
    tree: Tree,
    from: u64,
    reader: &TileHashReader,
) -> Result<(Vec<Hash>, Hash), tlog_tiles::Error> {
    let root = tlog_tiles::tree_hash(from, reader)?;
    let proof = tlog_tiles::prove_tree(tree.size, from, reader)?;
    tlog_tiles::check_tree(&proof, tree.size, tree.root, from, root).map(|()| (proof, root))
}

impl TileReader for TileSet {
    fn height(&self) -> u8 {
        TILE_HEIGHT
    }

    fn read_tiles(&self, tiles: &[tlog_tiles::Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let mut all = Vec::with_capacity(tiles.len());
        for wanted in tiles {
            let tile = Tile::of_library(wanted).ok_or(tlog_tiles::Error::InvalidTile)?;
            match self.bytes(tile) {
                Some(bytes) => all.push(bytes),
                None => {
                    self.missing.borrow_mut().insert(tile);
                }
            }
        }
        if all.len() == tiles.len() { Ok(all) } else { Err(tlog_tiles::Error::InvalidTile) }
    }

    fn save_tiles(&self, _tiles: &[tlog_tiles::Tile], _data: &[Vec<u8>]) {}
}

/// Checks that a leaf is in the tree.
pub fn check_inclusion(tree: Tree, index: u64, leaf: Hash, proof: &[Hash]) -> Result<(), ProofError> {
    if index >= tree.size || tree.size > MAX_TREE_SIZE {
        return Err(ProofError::NoSuchLeaf { index, size: tree.size });
    }
    let checked = tlog_tiles::check_record(&proof.to_vec(), tree.size, tree.root, index, leaf);
    checked.map_err(|_| ProofError::Inclusion)
}

/// Checks that a tree continues an older one.
pub fn check_consistency(older: Tree, newer: Tree, proof: &[Hash]) -> Result<(), ProofError> {
    if older.size > newer.size || newer.size > MAX_TREE_SIZE {
        return Err(ProofError::Shrinks { from: older.size, size: newer.size });
    }
    // a tree of no leaves says nothing, and one of the same size must be the same
    if older.size == 0 || older.size == newer.size {
        let is_same =
            if older.size == newer.size { older == newer } else { older.root == tlog_tiles::EMPTY_HASH };
        return if is_same && proof.is_empty() { Ok(()) } else { Err(ProofError::Consistency) };
    }
    let checked = tlog_tiles::check_tree(&proof.to_vec(), newer.size, newer.root, older.size, older.root);
    checked.map_err(|_| ProofError::Consistency)
}

/// An inclusion proof with the checkpoint that it leads to, as it travels.
#[derive(Debug, Clone, PartialEq)]
pub struct InclusionProof {
    pub index: u64,
    pub hashes: Vec<Hash>,
    /// The signed checkpoint, as the log gave it.
    pub checkpoint: String,
}

impl InclusionProof {
    pub fn to_text(&self) -> String {
        let hashes: String = self.hashes.iter().map(|hash| STANDARD.encode(hash.0) + "\n").collect();
        format!("{FIRST_LINE}\nindex {}\n{hashes}\n{}", self.index, self.checkpoint)
    }

    /// Extra data, which others may add, is not authenticated and is not read.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let at = |line: usize| ProofError::Line { line: line + 1 };
        let (head, checkpoint) = text.split_once("\n\n").ok_or(at(0))?;
        let mut lines = head.split('\n').enumerate().peekable();
        lines.next_if(|(_, line)| *line == FIRST_LINE).ok_or(at(0))?;
        lines.next_if(|(_, line)| line.starts_with("extra "));
        let (number, line) = lines.next().ok_or(at(1))?;
        let digits = line.strip_prefix("index ").ok_or(at(number))?;
        let index: u64 = digits.parse().map_err(|_| at(number))?;
        if index.to_string() != digits {
            return Err(at(number));
        }
        let mut hashes = Vec::new();
        for (number, line) in lines {
            let bytes = STANDARD.decode(line).ok().and_then(|bytes| bytes.try_into().ok());
            hashes.push(Hash(bytes.filter(|_| hashes.len() < MAX_PROOF_HASHES).ok_or(at(number))?));
        }
        Ok(Self { index, hashes, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
#[path = "proof_tests.rs"]
mod tests;
