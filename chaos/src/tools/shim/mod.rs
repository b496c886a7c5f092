//! Faults inside a process that we did not write: two small C libraries, built here and preloaded into it.
//!
//! ```text
//! let shim = Shim::build(&dir)?;
//! command.env(library::VARIABLE, shim.library());       // ClickHouse's process, a processor's, or all of them
//! shim.arm(PartFault::Kill, Part::Any)?;                // once: token written, part not renamed, process dead
//! shim.arm(PartFault::Eio, Part::of_day("20260102"))?;  // once, for a part of that day
//! assert_eq!(shim.met()?.len(), 2);
//! shim.forget_names(true)?;                             // no host's name is known, until `false`
//! ```
//!
//! ClickHouse 26.7 writes the token of each part into its deduplication log, then renames the part's directory from
//! `tmp_insert_…` by `rename(2)` (seen with strace). A fault there leaves a token without rows: the retry is answered 200.
//! A preloaded library that finds no trigger file does nothing, so that every process of a stack may have it.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::library::Library;

const RENAME_C: &str = include_str!("rename.c");
const NAMES_C: &str = include_str!("names.c");
const NO_NAMES: &str = "no-names";
const RENAMES: &str = "renames";

/// The built library and the directory of its triggers.
#[derive(Debug, Clone)]
pub struct Shim {
    library: PathBuf,
    triggers: PathBuf,
}

/// What happens at the rename of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartFault {
    /// The disk answers EIO.
    Eio,
    /// The process ends as by kill -9.
    Kill,
}

impl PartFault {
    const ALL: [Self; 2] = [Self::Eio, Self::Kill];

    fn trigger(self) -> &'static str {
        match self {
            Self::Eio => "eio",
            Self::Kill => "kill",
        }
    }
}

/// Which part a fault waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// The next one, of whatever table.
    Any,
    /// The next one whose path holds this text: the UUID of its table, or a part's name.
    With(String),
}

impl Part {
    /// Of a table that is partitioned by day, `YYYYMMDD`.
    pub fn of_day(day: &str) -> Self {
        Self::With(format!("tmp_insert_{day}_"))
    }

    /// Of a table, by what `SELECT uuid FROM system.tables` says.
    pub fn of_table(uuid: &str) -> Self {
        Self::With(format!("/{uuid}/"))
    }
}

impl Shim {
    /// Compiles the library with `cc` into `dir`; triggers that an earlier life left are gone.
    pub fn build(dir: &Path) -> Result<Self> {
        let sources = [("rename.c", RENAME_C), ("names.c", NAMES_C)];
        let Library { path: library, triggers } = Library::build(dir, "chaos-shim", &sources)?;
        Ok(Self { library, triggers })
    }

    /// To be preloaded into a process that shall be breakable; it finds its triggers itself.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// The next part that fits meets the fault, once.
    pub fn arm(&self, fault: PartFault, part: Part) -> Result<()> {
        let text = match part {
            Part::Any => String::new(),
            Part::With(text) => text,
        };
        let (half, whole) = (self.triggers.join("half"), self.triggers.join(fault.trigger()));
        fs::write(&half, text)?;
        fs::rename(half, whole).context("arm the shim")
    }

    /// Takes the triggers away that were not met.
    pub fn disarm(&self) -> Result<()> {
        for fault in PartFault::ALL {
            remove(&self.triggers.join(fault.trigger()))?;
        }
        Ok(())
    }

    pub fn is_armed(&self) -> bool {
        PartFault::ALL.iter().any(|fault| self.triggers.join(fault.trigger()).exists())
    }

    /// A line for each rename that met a fault, `<fault> <path>`, the first one first.
    pub fn met(&self) -> Result<Vec<String>> {
        match fs::read_to_string(self.triggers.join(RENAMES)) {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).context("read what the shim met"),
        }
    }

    /// Whether names of hosts are unknown from now on.
    pub fn forget_names(&self, unknown: bool) -> Result<()> {
        let file = self.triggers.join(NO_NAMES);
        if unknown { fs::write(file, "").map_err(Into::into) } else { remove(&file) }
    }
}

fn remove(file: &Path) -> Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::tools::library::VARIABLE;

    fn shim(name: &str) -> (Shim, PathBuf) {
        let dir = std::env::temp_dir().join(format!("sealtrail-shim-{name}-{}", std::process::id()));
        (Shim::build(&dir).expect("cc builds it"), dir)
    }

    fn run(shim: &Shim, program: &str, arguments: &[&str]) -> std::process::Output {
        Command::new(program).args(arguments).env(VARIABLE, shim.library()).output().expect("it runs")
    }

    /// `mv -T` renames by `rename` or `renameat2`, Perl by `rename`, as ClickHouse does.
    fn rename(shim: &Shim, from: &Path, to: &Path) -> std::process::Output {
        let script = "rename($ARGV[0], $ARGV[1]) or die \"$!\\n\"";
        run(shim, "perl", &["-e", script, &from.display().to_string(), &to.display().to_string()])
    }

    #[test]
    fn the_fitting_part_meets_the_fault_once() {
        let (shim, dir) = shim("rename");
        let part = |name: &str| {
            let part = dir.join(name);
            fs::create_dir_all(&part).unwrap();
            part
        };
        let (first, second) = (part("tmp_insert_20260101_1_1_0"), part("tmp_insert_20260102_2_2_0"));
        let merged = part("tmp_merge_20260102_1_2_1");
        shim.arm(PartFault::Eio, Part::of_day("20260102")).unwrap();
        assert!(rename(&shim, &first, &dir.join("first")).status.success(), "another day");
        assert!(rename(&shim, &merged, &dir.join("merged")).status.success(), "no insert");
        assert!(shim.is_armed() && shim.met().unwrap().is_empty());
        let failed = rename(&shim, &second, &dir.join("second"));
        assert!(String::from_utf8_lossy(&failed.stderr).contains("Input/output error"), "{failed:?}");
        assert!(!shim.is_armed());
        assert!(rename(&shim, &second, &dir.join("second")).status.success(), "once");

        let third = part("tmp_insert_20260103_3_3_0");
        shim.arm(PartFault::Kill, Part::Any).unwrap();
        let killed = rename(&shim, &third, &dir.join("third"));
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&killed.status), Some(9), "{killed:?}");
        assert!(third.exists() && !dir.join("third").exists());
        let met = shim.met().unwrap();
        assert!(met.len() == 2 && met[0].starts_with("eio ") && met[1].starts_with("kill "), "{met:?}");
        shim.arm(PartFault::Kill, Part::Any).unwrap();
        shim.disarm().unwrap();
        assert!(rename(&shim, &third, &dir.join("third")).status.success(), "disarmed");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn names_are_unknown_as_long_as_it_is_said_and_addresses_are_none() {
        let (shim, dir) = shim("names");
        let resolve = |name: &str| run(&shim, "getent", &["ahosts", name]).status.success();
        assert!(resolve("localhost"));
        shim.forget_names(true).unwrap();
        assert!(!resolve("localhost") && resolve("127.0.0.1"));
        shim.forget_names(false).unwrap();
        assert!(resolve("localhost"));
        fs::remove_dir_all(dir).unwrap();
    }
}
