//! The directory of a backup: written under another name, and renamed when it is whole.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::files;
use super::manifest::Manifest;

const OWNER_ONLY: u32 = 0o700;
const MANIFEST: &str = "manifest.json";

/// A backup that is being written.
pub struct Partial {
    to: PathBuf,
    partial: PathBuf,
}

impl Partial {
    pub fn create(to: &Path) -> anyhow::Result<Self> {
        if to.exists() && (!to.is_dir() || fs::read_dir(to)?.next().is_some()) {
            bail!("{} is not empty; name a directory that is not there yet", to.display());
        }
        let name = to.file_name().with_context(|| format!("{} has no name", to.display()))?;
        let partial = to.with_file_name(format!("{}.partial", name.to_string_lossy()));
        if partial.exists() {
            bail!(
                "{0} is left of a backup that was interrupted, or one runs; remove it if none runs",
                partial.display()
            );
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(OWNER_ONLY)
            .create(&partial)
            .with_context(|| format!("make {}", partial.display()))?;
        Ok(Self { to: to.to_owned(), partial })
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.partial.join(name)
    }

    /// Writes the manifest last and gives the directory its name.
    pub fn finish(self, manifest: &Manifest) -> anyhow::Result<()> {
        files::write_private(&self.file(MANIFEST), &serde_json::to_vec_pretty(manifest)?)?;
        File::open(&self.partial)?.sync_all()?;
        let rename = || -> std::io::Result<()> {
            fs::rename(&self.partial, &self.to)?;
            let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        rename().with_context(|| format!("rename {} to {}", self.partial.display(), self.to.display()))
    }
}

/// Reads the manifest of a whole backup.
pub fn open(dir: &Path) -> anyhow::Result<Manifest> {
    if dir.extension().is_some_and(|extension| extension == "partial") {
        bail!("{} is half a backup: it was interrupted", dir.display());
    }
    let file = dir.join(MANIFEST);
    let text = fs::read(&file).with_context(|| format!("{} is no backup: read {MANIFEST}", dir.display()))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).with_context(|| format!("read {}", file.display()))?;
    manifest.check().with_context(|| format!("read {}", file.display()))?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::tests::manifest;

    #[test]
    fn a_backup_has_its_name_only_when_it_is_whole() {
        let root = std::env::temp_dir().join(format!("sealtrail-directory-{}", std::process::id()));
        let (to, half) = (root.join("one"), root.join("one.partial"));
        let partial = Partial::create(&to).expect("creates");
        assert!(half.is_dir() && !to.exists());
        assert!(open(&half).is_err());
        assert!(Partial::create(&to).is_err(), "what was interrupted is not written over");
        partial.finish(&manifest(None, &[(0, 5)])).expect("finishes");
        assert!(to.is_dir() && !half.exists());
        assert_eq!(open(&to).expect("reads").cut[0].to.0, 5);
        assert!(Partial::create(&to).is_err(), "a directory that is not empty is refused");
        fs::remove_dir_all(&root).expect("removes");
    }
}
