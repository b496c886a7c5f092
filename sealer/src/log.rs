//! One partition's log: takes records in their order, and seals what it has.

use audit_event::{NextOffset, Offset, RecordTime};
use log_store::{Added, PartitionLog, StoreError};
use thiserror::Error;
use transparency_log::{
    Checkpoint, CheckpointError, Edge, KeyError, Leaf, SigningKey, Tile, TileBytes, Tree, TrustError, Witness,
};

/// Numbered checkpoints that are kept; each newer one holds the trees of all older ones.
const KEPT_CHECKPOINTS: u64 = 100;

#[derive(Debug, Error)]
pub enum SealError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another sealer wrote the next checkpoint: begin again from it.
    #[error("another sealer was faster")]
    Overtaken,
    #[error("record {offset} is not the one that was sealed: the topic was altered, or is another one")]
    Differs { offset: Offset },
    #[error("offset {offset} lies before {next}, which is next: records must come in their order")]
    Order { offset: Offset, next: Offset },
    #[error("the newest checkpoint in the store is not ours: {0}; was the key or the store replaced?")]
    Foreign(#[from] TrustError),
    #[error("the tiles in the store do not hash to the newest checkpoint: they were altered")]
    Tiles,
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl SealError {
    /// Whether it may pass.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Store(StoreError::Store(_)) | Self::Overtaken)
    }
}

/// What a log is written under.
pub struct Terms {
    pub files: PartitionLog,
    /// The first offset of the trail, and so of leaf 0.
    pub genesis: Offset,
    pub key: SigningKey,
    pub witness: Witness,
}

/// What a seal made.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    pub tree: Tree,
    /// The checkpoint, signed and cosigned.
    pub note: String,
    /// When its new records were accepted.
    pub accepted: Vec<RecordTime>,
}

pub struct SealedLog {
    terms: Terms,
    edge: Edge,
    /// Full tiles that are not in the store yet.
    filled: Vec<TileBytes>,
    /// Of the newest checkpoint.
    number: u64,
    sealed: Option<Checkpoint>,
    /// The index of the next record to come; below the edge's size while sealed ones are compared.
    reading: u64,
    accepted: Vec<RecordTime>,
}

impl SealedLog {
    /// Goes on from the newest checkpoint, whose root the tiles must have.
    pub async fn resume(terms: Terms) -> Result<Self, SealError> {
        let mut log = Self {
            terms,
            edge: Edge::default(),
            filled: Vec::new(),
            number: 0,
            sealed: None,
            reading: 0,
            accepted: Vec::new(),
        };
        if let Some((number, note)) = log.terms.files.newest_checkpoint().await? {
            let checkpoint = log.terms.key.own_checkpoint(&note)?;
            log.edge = log.edge_of(checkpoint.tree).await?;
            log.reading = log.edge.size() - log.edge.last_leaves().len() as u64;
            (log.number, log.sealed) = (number, Some(checkpoint));
            log.show_if_newer(&note).await?;
        }
        Ok(log)
    }

    /// Who wrote it may have died before it was shown. A later heartbeat of the same tree stays.
    async fn show_if_newer(&self, note: &str) -> Result<(), SealError> {
        let shown = self.terms.files.checkpoint().await?;
        let shown = shown.and_then(|note| self.terms.key.own_checkpoint(&note).ok());
        let is_shown =
            shown.is_some_and(|shown| self.sealed().is_none_or(|tree| shown.tree.size >= tree.size));
        if is_shown { Ok(()) } else { self.show(note).await }
    }

    /// Leaves out the comparison with records before this one, which are not there any more.
    pub fn compare_from(&mut self, first: NextOffset) {
        let index = u64::try_from(first.0 - self.terms.genesis.0).unwrap_or(0);
        self.reading = self.reading.max(index).min(self.edge.size());
    }

    async fn edge_of(&self, tree: Tree) -> Result<Edge, SealError> {
        let mut tiles = std::collections::HashMap::new();
        for tile in Tile::edge_of(tree.size) {
            tiles.insert(tile, self.terms.files.tile(tile).await?.ok_or(SealError::Tiles)?);
        }
        let edge = Edge::of_tiles(tree.size, |tile| tiles.remove(&tile)).ok_or(SealError::Tiles)?;
        if edge.root() == tree.root { Ok(edge) } else { Err(SealError::Tiles) }
    }

    /// Where to read from: the last sealed records come again, to be compared.
    pub fn read_from(&self) -> NextOffset {
        NextOffset(self.offset_of(self.reading).0)
    }

    /// The first offset that has no leaf yet.
    pub fn next_unsealed(&self) -> NextOffset {
        NextOffset(self.offset_of(self.edge.size()).0)
    }

    /// The tree of the newest checkpoint.
    pub fn sealed(&self) -> Option<Tree> {
        self.sealed.as_ref().map(|checkpoint| checkpoint.tree)
    }

    fn offset_of(&self, index: u64) -> Offset {
        Offset(self.terms.genesis.0 + i64::try_from(index).unwrap_or(i64::MAX))
    }

    /// Takes the next record. Offsets that were left out hold none, and get the leaf of a gap.
    pub fn take(&mut self, offset: Offset, timestamp: RecordTime, value: &[u8]) -> Result<(), SealError> {
        let next = self.offset_of(self.reading);
        let index = offset.0.checked_sub(self.terms.genesis.0).and_then(|index| u64::try_from(index).ok());
        let index = index.filter(|index| *index >= self.reading).ok_or(SealError::Order { offset, next })?;
        for gap in self.reading..index {
            self.add(Leaf::gap(self.offset_of(gap)))?;
        }
        if index >= self.edge.size() {
            self.accepted.push(timestamp);
        }
        self.add(Leaf::of_record(offset, timestamp, value))
    }

    fn add(&mut self, leaf: Leaf) -> Result<(), SealError> {
        let (index, size) = (self.reading, self.edge.size());
        self.reading += 1;
        if index == size {
            self.edge.append(leaf.hash(), &mut self.filled);
            return Ok(());
        }
        // sealed before: it must be the same again
        let last = self.edge.last_leaves();
        let back = usize::try_from(size - index).unwrap_or(usize::MAX);
        let known = last.len().checked_sub(back).and_then(|at| last.get(at));
        if known == Some(&leaf.hash()) { Ok(()) } else { Err(SealError::Differs { offset: leaf.offset }) }
    }

    /// Full tiles that wait for the seal.
    pub fn waiting_tiles(&self) -> usize {
        self.filled.len()
    }

    pub fn has_news(&self) -> bool {
        self.edge.size() > self.sealed().map_or(0, |tree| tree.size)
    }

    /// Makes what was taken durable, and then signs for it. After an error the log must be resumed.
    pub async fn seal(&mut self, time_s: u64) -> Result<Sealed, SealError> {
        let filled = std::mem::take(&mut self.filled);
        let full: Vec<Tile> = filled.iter().map(|(tile, _)| *tile).collect();
        self.terms.files.put_tiles(filled.into_iter().chain(self.edge.partial_tiles()).collect()).await?;
        let tree = Tree { size: self.edge.size(), root: self.edge.root() };
        // nothing is signed by who was away while others went on
        self.check_newest().await?;
        let checkpoint = Checkpoint { origin: self.terms.key.name().to_owned(), tree };
        let note = self.cosigned(&checkpoint, time_s)?;
        if self.terms.files.add_checkpoint(self.number + 1, &note).await? == Added::Taken {
            return Err(SealError::Overtaken);
        }
        self.number += 1;
        self.sealed = Some(checkpoint);
        self.show(&note).await?;
        self.clear(&full).await?;
        Ok(Sealed { tree, note, accepted: std::mem::take(&mut self.accepted) })
    }

    /// Says that the newest checkpoint is still the newest one. `None` before the first.
    pub async fn heartbeat(&mut self, time_s: u64) -> Result<Option<String>, SealError> {
        let Some(checkpoint) = &self.sealed else { return Ok(None) };
        let note = self.cosigned(checkpoint, time_s)?;
        self.show(&note).await?;
        Ok(Some(note))
    }

    fn cosigned(&self, checkpoint: &Checkpoint, time_s: u64) -> Result<String, SealError> {
        let note = checkpoint.sign(&self.terms.key)?;
        Ok(note + &self.terms.witness.cosign(&checkpoint.text()?, time_s)?)
    }

    /// Ours must be the newest number. Looking at the next one only would not do: old ones are removed, and are free again.
    async fn check_newest(&self) -> Result<(), SealError> {
        let newest = self.terms.files.newest_number().await?.unwrap_or(0);
        if newest > self.number { Err(SealError::Overtaken) } else { Ok(()) }
    }

    async fn show(&self, note: &str) -> Result<(), SealError> {
        self.check_newest().await?;
        Ok(self.terms.files.show_checkpoint(note).await?)
    }

    /// Removes what newer files stand for.
    async fn clear(&self, full: &[Tile]) -> Result<(), SealError> {
        // of the tiles that were filled at a level, only the first can have been partial in an earlier seal
        for (at, tile) in full.iter().enumerate() {
            if !full[..at].iter().any(|before| before.level() == tile.level()) {
                self.terms.files.forget_partials_of(*tile).await?;
            }
        }
        if self.number.is_multiple_of(KEPT_CHECKPOINTS) {
            self.terms.files.forget_checkpoints_below(self.number - KEPT_CHECKPOINTS).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
