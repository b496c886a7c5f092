//! Small C libraries that are preloaded into processes that we did not write, built where they are used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The variable that preloads a library.
pub const VARIABLE: &str = "LD_PRELOAD";

const TRIGGERS_H: &str = include_str!("shim/triggers.h");

/// A built library, and the directory beside it in which it looks for its files.
#[derive(Debug, Clone)]
pub struct Library {
    pub path: PathBuf,
    pub triggers: PathBuf,
}

impl Library {
    /// Compiles the sources, by name and text, with `cc` into `dir`; files that an earlier life left are gone.
    pub fn build(dir: &Path, name: &str, sources: &[(&str, &str)]) -> Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let dir = dir.canonicalize()?;
        let (path, triggers) = (dir.join(format!("lib{name}.so")), dir.join("triggers"));
        fs::write(dir.join("triggers.h"), TRIGGERS_H)?;
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&path);
        for (file, source) in sources {
            let file = dir.join(file);
            fs::write(&file, source)?;
            compiler.arg(file);
        }
        let output =
            compiler.arg("-ldl").output().context("cc is missing, which builds the faults' libraries")?;
        if !output.status.success() {
            bail!("cc cannot build {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let _none_yet = fs::remove_dir_all(&triggers);
        fs::create_dir_all(&triggers)?;
        Ok(Self { path, triggers })
    }
}
