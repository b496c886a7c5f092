//! Where a stack keeps its things: all under one directory, `.local` by default.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use rand::Rng;
use rand::distr::Alphanumeric;

const SECRET_CHARS: usize = 40;
const OWNER_ONLY: u32 = 0o600;

#[derive(Debug, Clone, Args)]
pub struct DirFlags {
    /// Where data, logs and credentials are kept
    #[arg(long, env = "SEALTRAIL_LOCAL_DIR", default_value = ".local")]
    pub dir: PathBuf,
}

/// The directories of one stack.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    pub fn create(flags: &DirFlags) -> anyhow::Result<Self> {
        let make = |path: &Path| fs::create_dir_all(path).with_context(|| format!("make {}", path.display()));
        make(&flags.dir)?;
        let root = flags.dir.canonicalize().with_context(|| format!("find {}", flags.dir.display()))?;
        let layout = Self { root };
        for part in ["data", "log", "run", "secrets"] {
            make(&layout.root.join(part))?;
        }
        Ok(layout)
    }

    /// The layout of a stack that may be running; nothing is made.
    pub fn find(flags: &DirFlags) -> Self {
        Self { root: flags.dir.clone() }
    }

    pub fn data(&self, name: &str) -> PathBuf {
        self.root.join("data").join(name)
    }

    pub fn log_file(&self, name: &str) -> PathBuf {
        self.root.join("log").join(format!("{name}.log"))
    }

    pub fn run_dir(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.run_dir().join(format!("{name}.pid"))
    }

    /// While it is there, the service is not started again.
    pub fn hold_file(&self, name: &str) -> PathBuf {
        self.run_dir().join(format!("{name}.hold"))
    }

    pub fn demo_env(&self) -> PathBuf {
        self.root.join("demo.env")
    }

    pub fn secret_file(&self, name: &str) -> PathBuf {
        self.root.join("secrets").join(name)
    }

    /// A random secret that is made once.
    pub fn secret(&self, name: &str) -> anyhow::Result<String> {
        let file = self.secret_file(name);
        if let Ok(text) = fs::read_to_string(&file) {
            return Ok(text.trim().to_owned());
        }
        let text: String = rand::rng().sample_iter(Alphanumeric).take(SECRET_CHARS).map(char::from).collect();
        write_private(&file, &text)?;
        Ok(text)
    }
}

/// Writes a file that only its owner reads, whole or not at all.
pub fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let fresh = file.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut out =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(OWNER_ONLY).open(&fresh)?;
        writeln!(out, "{text}")?;
        fs::rename(&fresh, file)
    };
    write().with_context(|| format!("write {}", file.display()))
}
