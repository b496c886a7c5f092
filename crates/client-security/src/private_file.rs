//! Secrets that are made here: random texts, and files that only their owner reads.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rand::Rng;
use rand::distr::Alphanumeric;

/// Letters and digits of a secret: 238 bits.
pub const SECRET_CHARS: usize = 40;

const OWNER_ONLY: u32 = 0o600;

/// Letters and digits, `chars` of them.
pub fn random_text(chars: usize) -> String {
    rand::rng().sample_iter(Alphanumeric).take(chars).map(char::from).collect()
}

/// Writes the text and a line end: whole or not at all, and whatever stood there before, readable by its owner only.
pub fn write_private(file: &Path, text: &str) -> io::Result<()> {
    let fresh = beside(file);
    let _none_or_from_a_crash = fs::remove_file(&fresh);
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(&fresh)?;
    let written =
        writeln!(out, "{text}").and_then(|()| out.sync_all()).and_then(|()| fs::rename(&fresh, file));
    if written.is_err() {
        let _best_effort = fs::remove_file(&fresh);
    }
    written
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".new");
    file.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_could_read_is_private_afterwards() {
        let dir = std::env::temp_dir().join(format!("sealtrail-{}", random_text(12)));
        fs::create_dir(&dir).expect("a directory");
        let file = dir.join("key");
        fs::write(&file, "old").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("set");
        write_private(&file, "new").expect("written");
        assert_eq!(fs::read_to_string(&file).expect("read"), "new\n");
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).expect("read").count(), 1, "nothing is left over");
        assert!(write_private(&dir, "a directory").is_err());
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn random_texts_differ() {
        assert_eq!(random_text(SECRET_CHARS).len(), SECRET_CHARS);
        assert_ne!(random_text(SECRET_CHARS), random_text(SECRET_CHARS));
    }
}
