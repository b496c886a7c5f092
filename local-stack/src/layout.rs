//! Where a stack keeps its things: all under one directory, `.local` by default.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use client_security::private_file::{self, SECRET_CHARS};

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

    /// Whom auditors of this stack believe.
    pub fn policy(&self) -> PathBuf {
        self.root.join("policy.txt")
    }

    pub fn secret_file(&self, name: &str) -> PathBuf {
        self.root.join("secrets").join(name)
    }

    /// A random secret that is made once.
    pub fn secret(&self, name: &str) -> anyhow::Result<String> {
        let file = self.secret_file(name);
        if let Ok(text) = fs::read_to_string(&file)
            && !text.trim().is_empty()
        {
            return Ok(text.trim().to_owned());
        }
        let text = private_file::random_text(SECRET_CHARS);
        write_private(&file, &text)?;
        Ok(text)
    }
}

pub fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    private_file::write_private(file, text).with_context(|| format!("write {}", file.display()))
}
