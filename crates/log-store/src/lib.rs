//! Where logs are kept: static files that anyone can copy, laid out as C2SP tlog-tiles has them.
//!
//! `<trail>/<partition>/tile/<level>/<number>[.p/<width>]`, `<trail>/<partition>/checkpoint`, and
//! `<trail>/<partition>/checkpoints/<number>`: each number is written once, and who wants to write one that is there has
//! been overtaken. That is what keeps two sealers from signing two histories.

use std::path::Path as FilePath;
use std::sync::Arc;

use audit_event::{PartitionId, TrailId};
use futures_util::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use thiserror::Error as ThisError;
use transparency_log::{Tile, TileBytes};

/// Tiles that are on their way at once: a file system groups what is synced together.
const PUTS_AT_ONCE: usize = 32;
/// The largest checkpoint that is read: a signed note's own bound.
const MAX_CHECKPOINT_BYTES: u64 = 1_000_000;
/// How often the newest checkpoint is looked for while others remove old ones.
const LOOKS: usize = 3;

#[derive(Debug, ThisError)]
pub enum StoreError {
    #[error("the log's store: {0}")]
    Store(#[from] Error),
    #[error("{path} in the log's store is not what it must be: {what}")]
    Broken { path: String, what: &'static str },
    #[error("make {path}: {cause}")]
    Directory { path: String, cause: std::io::Error },
}

/// Whether a numbered checkpoint could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Written,
    /// Another one stands there.
    Taken,
}

/// All logs.
#[derive(Debug, Clone)]
pub struct LogStore(Arc<dyn ObjectStore>);

impl LogStore {
    /// Kept in a directory, which is made if need be. What is written is synced to the disk.
    pub fn in_directory(directory: &FilePath) -> Result<Self, StoreError> {
        let path = || directory.display().to_string();
        std::fs::create_dir_all(directory).map_err(|cause| StoreError::Directory { path: path(), cause })?;
        let store = LocalFileSystem::new_with_prefix(directory)?.with_fsync(true);
        Ok(Self(Arc::new(store)))
    }

    /// The log of one partition.
    pub fn log(&self, trail: TrailId, partition: PartitionId) -> PartitionLog {
        PartitionLog { store: self.0.clone(), prefix: format!("{trail}/{partition}") }
    }
}

/// The files of one log.
#[derive(Debug, Clone)]
pub struct PartitionLog {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

impl PartitionLog {
    fn path(&self, rest: &str) -> Path {
        Path::from(format!("{}/{rest}", self.prefix))
    }

    /// Writes tiles; when it answers, all of them are durable.
    pub async fn put_tiles(&self, tiles: Vec<TileBytes>) -> Result<(), StoreError> {
        let puts = tiles.into_iter().map(async |(tile, bytes)| {
            self.store.put(&self.path(&tile.to_string()), PutPayload::from(bytes)).await.map(|_| ())
        });
        Ok(futures_util::stream::iter(puts).buffer_unordered(PUTS_AT_ONCE).try_collect().await?)
    }

    /// A tile's bytes. Where a partial tile is gone, the full one that took its place has them.
    pub async fn tile(&self, tile: Tile) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = self.get(&tile.to_string()).await?;
        if found.is_none() && tile.is_partial() {
            found = self.get(&tile.full().to_string()).await?;
        }
        match found {
            None => Ok(None),
            Some(mut bytes) if bytes.len() >= tile.len_bytes() => {
                bytes.truncate(tile.len_bytes());
                Ok(Some(bytes))
            }
            Some(_) => Err(self.broken(&tile.to_string(), "the tile is too short")),
        }
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.store.get(&self.path(name)).await {
            Ok(found) => Ok(Some(found.bytes().await?.to_vec())),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn broken(&self, name: &str, what: &'static str) -> StoreError {
        StoreError::Broken { path: self.path(name).to_string(), what }
    }

    /// Writes checkpoint `number`, if none stands there.
    pub async fn add_checkpoint(&self, number: u64, note: &str) -> Result<Added, StoreError> {
        let (path, payload) = (self.path(&numbered(number)), PutPayload::from(note.to_owned()));
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path, payload, options).await {
            Ok(_) => Ok(Added::Written),
            Err(Error::AlreadyExists { .. }) => Ok(Added::Taken),
            Err(error) => Err(error.into()),
        }
    }

    /// The checkpoint of the greatest number.
    pub async fn newest_checkpoint(&self) -> Result<Option<(u64, String)>, StoreError> {
        let mut gone = None;
        for _ in 0..LOOKS {
            let Some(number) = self.newest_number().await? else { return Ok(None) };
            let name = numbered(number);
            match self.text(&name).await? {
                Some(note) => return Ok(Some((number, note))),
                // whoever looked for so long finds newer ones now
                None => gone = Some(self.broken(&name, "it is gone")),
            }
        }
        gone.map_or(Ok(None), Err)
    }

    /// The greatest number that was given. The newest ones are never removed, so that nobody who was away for however long
    /// takes an old number for the newest.
    pub async fn newest_number(&self) -> Result<Option<u64>, StoreError> {
        Ok(self.numbers().await?.into_iter().max())
    }

    async fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        let listed = self.store.list(Some(&self.path("checkpoints")));
        let numbers =
            listed.map_ok(|meta| meta.location.filename().and_then(|name| name.parse::<u64>().ok()));
        Ok(numbers.try_filter_map(async |number| Ok(number)).try_collect().await?)
    }

    /// Removes numbered checkpoints below this one: they were published, and the newer ones hold their trees.
    pub async fn forget_checkpoints_below(&self, number: u64) -> Result<(), StoreError> {
        for old in self.numbers().await?.into_iter().filter(|old| *old < number) {
            self.forget(&self.path(&numbered(old))).await?;
        }
        Ok(())
    }

    /// Removes the partial tiles that a full one stands for.
    pub async fn forget_partials_of(&self, full: Tile) -> Result<(), StoreError> {
        let listed = self.store.list(Some(&self.path(&format!("{}.p", full.full()))));
        let partials: Vec<_> = listed.try_collect().await?;
        for partial in partials {
            self.forget(&partial.location).await?;
        }
        Ok(())
    }

    async fn forget(&self, path: &Path) -> Result<(), StoreError> {
        match self.store.delete(path).await {
            // another sealer was faster
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What is served as the log's checkpoint.
    pub async fn show_checkpoint(&self, note: &str) -> Result<(), StoreError> {
        self.store.put(&self.path("checkpoint"), PutPayload::from(note.to_owned())).await?;
        Ok(())
    }

    /// The checkpoint that is served.
    pub async fn checkpoint(&self) -> Result<Option<String>, StoreError> {
        self.text("checkpoint").await
    }

    async fn text(&self, name: &str) -> Result<Option<String>, StoreError> {
        let Some(bytes) = self.get(name).await? else { return Ok(None) };
        if bytes.len() as u64 > MAX_CHECKPOINT_BYTES {
            return Err(self.broken(name, "it is larger than a checkpoint may be"));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| self.broken(name, "it is not a text"))
    }
}

fn numbered(number: u64) -> String {
    format!("checkpoints/{number:020}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(directory: &tempfile::TempDir) -> PartitionLog {
        let store = LogStore::in_directory(&directory.path().join("logs")).expect("a store");
        store.log(TrailId(uuid::Uuid::nil()), PartitionId(2))
    }

    fn tile(number: u64, width: u32) -> Tile {
        Tile::new(0, number, width).expect("a tile")
    }

    #[tokio::test]
    async fn files_stand_where_the_specification_has_them() {
        let directory = tempfile::tempdir().expect("a directory");
        let log = log(&directory);
        let full: Vec<u8> = (0..8_192u32).map(|n| n as u8).collect();
        log.put_tiles(vec![(tile(1_234, 256), full.clone()), (tile(5, 2), vec![7; 64])]).await.expect("put");
        let root = directory.path().join("logs/00000000-0000-0000-0000-000000000000/2");
        assert_eq!(std::fs::read(root.join("tile/0/x001/234")).expect("a file"), full);
        assert_eq!(std::fs::read(root.join("tile/0/005.p/2")).expect("a file"), [7; 64]);
        assert_eq!(
            log.tile(tile(1_234, 3)).await.expect("read"),
            Some(full[..96].to_vec()),
            "out of the full one"
        );
        assert_eq!(log.tile(tile(6, 3)).await.expect("read"), None);
        std::fs::write(root.join("tile/0/005.p/2"), [7; 63]).expect("written");
        assert!(matches!(log.tile(tile(5, 2)).await, Err(StoreError::Broken { .. })));
        log.forget_partials_of(tile(5, 256)).await.expect("forgotten");
        assert!(!root.join("tile/0/005.p/2").exists());
    }

    #[tokio::test]
    async fn a_number_is_given_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (log(&directory), log(&directory));
        assert_eq!(ours.newest_checkpoint().await.expect("read"), None);
        assert_eq!(ours.add_checkpoint(9, "a").await.expect("put"), Added::Written);
        assert_eq!(theirs.add_checkpoint(9, "b").await.expect("put"), Added::Taken);
        assert_eq!(ours.add_checkpoint(10, "c").await.expect("put"), Added::Written);
        assert_eq!(theirs.newest_checkpoint().await.expect("read"), Some((10, "c".to_owned())));
        assert_eq!(ours.numbers().await.expect("read").len(), 2);
        ours.forget_checkpoints_below(10).await.expect("forgotten");
        assert_eq!(theirs.numbers().await.expect("read"), [10]);
        assert_eq!(theirs.newest_number().await.expect("read"), Some(10));
        assert_eq!(ours.checkpoint().await.expect("read"), None);
        ours.show_checkpoint("c").await.expect("put");
        assert_eq!(theirs.checkpoint().await.expect("read").as_deref(), Some("c"));
    }
}
