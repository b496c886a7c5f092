//! What is said while a scenario runs: in its own log file, and the parts that matter on standard error too.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context;

#[derive(Clone)]
pub struct Log {
    file: Arc<Mutex<File>>,
    began: Instant,
}

impl Log {
    pub fn create(path: &Path) -> anyhow::Result<Self> {
        let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { file: Arc::new(Mutex::new(file)), began: Instant::now() })
    }

    /// In the file only.
    pub fn note(&self, text: &str) {
        let seconds = self.began.elapsed().as_secs_f64();
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // a full disk is no reason to break a scenario off
        let _best_effort =
            writeln!(file, "{} {seconds:>7.2}s  {text}", chrono::Utc::now().format("%H:%M:%S%.3f"));
    }

    /// In the file and on standard error.
    pub fn say(&self, text: &str) {
        self.note(text);
        eprintln!("    {:>6.1}s  {text}", self.began.elapsed().as_secs_f64());
    }
}
