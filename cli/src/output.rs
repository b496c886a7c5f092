//! What a command says: its result on standard output, as text for people or as JSON for programs, and how it ended.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{Table, presets};
use serde::Serialize;

use crate::terminal::printable_json;

/// How results are printed. Progress and remarks go to standard error either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// text and tables for people
    Table,
    /// one JSON object, whose fields stay as they are documented in each command's --help
    Json,
}

/// How a command ended; each is an exit code that does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Part of the work was done, or something was found that needs a person.
    InPart,
}

impl Outcome {
    pub const FAILED: u8 = 2;

    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::InPart => 1,
        }
    }

    pub fn done_if(everything: bool) -> Self {
        if everything { Self::Done } else { Self::InPart }
    }
}

/// A command's result.
pub trait Show: Serialize {
    /// As people read it.
    fn text(&self) -> String;
}

impl Format {
    pub fn print(self, result: &impl Show) -> anyhow::Result<()> {
        let text = match self {
            Self::Table => result.text(),
            Self::Json => printable_json(&serde_json::to_string_pretty(result)?),
        };
        print_text(&text)
    }
}

/// A text that is the result itself.
pub fn print_text(text: &str) -> anyhow::Result<()> {
    Ok(write_line(&mut io::stdout().lock(), text.trim_end())?)
}

/// A reader that has seen enough, such as `head`, is not an error.
fn write_line(out: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Columns under their names, without frames, so that `awk` and eyes both read it.
pub fn table<const N: usize>(names: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(names.map(str::to_uppercase));
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// The name that a value has in JSON.
pub fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|v| Some(v.as_str()?.to_owned())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_frames() {
        let rows = [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), "22".to_owned()]];
        assert_eq!(table(["name", "n"], rows), "NAME    N\na       1\nlonger  22");
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_a_full_disk_is() {
        struct Broken(io::ErrorKind);
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(self.0.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        assert!(write_line(&mut Broken(io::ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_line(&mut Broken(io::ErrorKind::StorageFull), "x").is_err());
    }
}
