//! A TOML file that may hold secrets: its faults are told with their line's number, and without the line.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum TomlFileError {
    #[error("{path} cannot be read: {cause}", path = path.display())]
    File { path: PathBuf, cause: std::io::Error },
    #[error("{path}, line {line}: {cause}", path = path.display())]
    Content { path: PathBuf, line: usize, cause: String },
}

pub fn read<T: DeserializeOwned>(path: &Path) -> Result<T, TomlFileError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| TomlFileError::File { path: path.to_owned(), cause })?;
    toml::from_str(&text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        // the error's own text shows the line, and the line may hold a password
        TomlFileError::Content { path: path.to_owned(), line, cause: error.message().to_owned() }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_fault_is_told_without_what_stands_there() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        file.write_all(b"[clickhouse]\npassword = \"hunter2\n").expect("written");
        let said = read::<toml::Table>(file.path()).expect_err("no closing quote").to_string();
        assert!(said.contains("line 2") && !said.contains("hunter2"), "{said}");
    }
}
