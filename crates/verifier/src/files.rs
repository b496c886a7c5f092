//! The files of logs, wherever they are.

use transparency_log::{Policy, ProofError, Tile, TileSet, Trusted};

use crate::Fault;

/// Gives files by their path below the root of the logs, such as `<trail>/0/checkpoint`.
pub trait Files {
    /// `None` if there is no such file.
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String>;
}

/// The files of one log.
pub struct LogFiles<'a> {
    files: &'a dyn Files,
    /// `<trail>/<partition>`: what an origin ends with.
    prefix: String,
}

/// Rounds of asking for tiles: the edge, what leads to the leaf, and what both left open.
const MAX_ROUNDS: usize = 4;

impl<'a> LogFiles<'a> {
    /// Of the log with this origin.
    pub fn of(files: &'a dyn Files, origin: &str) -> Self {
        let mut parts = origin.rsplitn(3, '/');
        let (partition, trail) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        Self { files, prefix: format!("{trail}/{partition}") }
    }

    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        let path = self.path(name);
        self.files.read(&path).map_err(|cause| Fault::Unreadable { path, cause })
    }

    /// The checkpoint that is served, as far as the policy believes it.
    pub fn checkpoint(&self, policy: &Policy) -> Result<Trusted, Fault> {
        let path = self.path("checkpoint");
        let bytes = self.read("checkpoint")?.ok_or_else(|| Fault::Missing { path: path.clone() })?;
        let note = String::from_utf8_lossy(&bytes);
        policy.check(&note).map_err(|cause| Fault::Untrusted { what: path, cause })
    }

    /// A tile of exactly its width; a full one serves for a partial one that is gone.
    pub fn tile(&self, tile: Tile) -> Result<Vec<u8>, Fault> {
        let mut found = self.read(&tile.to_string())?;
        if found.is_none() && tile.is_partial() {
            found = self.read(&tile.full().to_string())?;
        }
        let path = self.path(&tile.to_string());
        let mut bytes = found.ok_or_else(|| Fault::Missing { path: path.clone() })?;
        if bytes.len() < tile.len_bytes() {
            return Err(Fault::Unreadable { path, cause: "it is too short".to_owned() });
        }
        bytes.truncate(tile.len_bytes());
        Ok(bytes)
    }

    /// Answers a question out of tiles, of which no more are read than it needs.
    pub fn ask<T>(
        &self,
        what: &str,
        question: impl Fn(&TileSet) -> Result<T, ProofError>,
    ) -> Result<T, Fault> {
        let mut tiles = TileSet::default();
        for _ in 0..MAX_ROUNDS {
            match question(&tiles) {
                Ok(answer) => return Ok(answer),
                Err(ProofError::Missing(missing)) => {
                    for tile in missing {
                        tiles.add(tile, self.tile(tile)?);
                    }
                }
                Err(cause) => return Err(Fault::Proof { what: what.to_owned(), cause }),
            }
        }
        Err(Fault::Proof { what: what.to_owned(), cause: ProofError::Tiles })
    }
}
