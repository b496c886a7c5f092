//! Signed tree heads. Source: <https://c2sp.org/tlog-checkpoint>.

use audit_event::{PartitionId, TrailId};
use thiserror::Error;

use crate::key::{KeyError, SigningKey};
use crate::policy::{Policy, TrustError};
use crate::proof::Tree;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointError {
    #[error("not a checkpoint: it is the origin, the size, and the root hash in base64, a line each")]
    Malformed,
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// The name of a partition's log: `<configured name>/<trail>/<partition>`.
pub fn origin_of(name: &str, trail: TrailId, partition: PartitionId) -> String {
    format!("{name}/{trail}/{partition}")
}

/// Whether this is the origin of the log of a partition, whatever its configured name.
pub fn origin_ends_with(origin: &str, trail: TrailId, partition: PartitionId) -> bool {
    let rest = origin.strip_suffix(&format!("/{trail}/{partition}"));
    rest.is_some_and(|name| !name.is_empty())
}

/// What a log says it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    pub origin: String,
    pub tree: Tree,
}

impl Checkpoint {
    /// The text that is signed; ours have no extension lines.
    pub fn text(&self) -> Result<String, CheckpointError> {
        let Tree { size, root } = self.tree;
        let checkpoint = tlog_tiles::Checkpoint::new(&self.origin, size, root, "");
        let bytes = checkpoint.map_err(|_| CheckpointError::Malformed)?.to_bytes();
        String::from_utf8(bytes).map_err(|_| CheckpointError::Malformed)
    }

    /// Reads the text of a note. Who has signed it is not looked at here: see [`crate::Policy`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let read = tlog_tiles::Checkpoint::from_bytes(text.as_bytes());
        let read = read.map_err(|_| CheckpointError::Malformed)?;
        if read.to_bytes() != text.as_bytes() {
            return Err(CheckpointError::Malformed);
        }
        Ok(Self { origin: read.origin().to_owned(), tree: Tree { size: read.size(), root: *read.hash() } })
    }

    /// The signed note. The key has the origin's name.
    pub fn sign(&self, key: &SigningKey) -> Result<String, CheckpointError> {
        Ok(key.sign(&self.text()?)?)
    }
}

impl SigningKey {
    /// Reads a checkpoint that this key has signed, under the origin that is its name.
    pub fn own_checkpoint(&self, note: &str) -> Result<Checkpoint, TrustError> {
        let policy = Policy::of_log(&self.verifier());
        policy.check(note).map(|trusted| trusted.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hash;

    #[test]
    fn a_checkpoint_has_one_text() {
        let checkpoint = Checkpoint {
            origin: origin_of("example.com/audit", TrailId(uuid::Uuid::nil()), PartitionId(3)),
            tree: Tree { size: 20, root: Hash([7; 32]) },
        };
        let text = checkpoint.text().expect("a text");
        assert_eq!(
            text,
            "example.com/audit/00000000-0000-0000-0000-000000000000/3\n20\nBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\n"
        );
        assert_eq!(Checkpoint::parse(&text), Ok(checkpoint));
        for bad in
            ["", "a\n", "a\n1\n", &text.replace("20", "020"), &text.replace("20", "-1"), text.trim_end()]
        {
            assert_eq!(Checkpoint::parse(bad), Err(CheckpointError::Malformed), "{bad}");
        }
    }
}
