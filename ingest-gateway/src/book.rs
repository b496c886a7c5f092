//! How many events were answered `buffered` and are not in Kafka yet: a number in a small file, written before the answer
//! goes out, so that the next start can tell what a crash has cost. The number outlives a killed process; a power cut may
//! lose its last changes, since the file is not synced for each request.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// `in flight` and `lost`, 20 digits each.
const LENGTH: usize = 42;

#[derive(Debug, Error)]
pub enum BookError {
    #[error("{}: {cause}; delivery.book_file must be a file that the gateway may write", .file.display())]
    File { file: PathBuf, cause: std::io::Error },
    #[error("{} is held by another gateway; give each one its own delivery.book_file", .0.display())]
    Taken(PathBuf),
    #[error("{} is not a book of buffered events; move it away, or name another delivery.book_file", .0.display())]
    Content(PathBuf),
}

#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: File,
    in_flight: u64,
    lost: u64,
}

impl Book {
    /// Opens the book, and counts as lost what an earlier process still had in flight.
    pub fn open(path: &Path) -> Result<Self, BookError> {
        let failed = |cause| BookError::File { file: path.to_owned(), cause };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BookError::Taken(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let (in_flight, lost) = parse(&text).ok_or_else(|| BookError::Content(path.to_owned()))?;
        let book = Self {
            path: path.to_owned(),
            state: Mutex::new(State { file, in_flight: 0, lost: lost.saturating_add(in_flight) }),
        };
        book.change(|_| {})?;
        if in_flight > 0 {
            tracing::error!(
                events = in_flight,
                "events that were answered `buffered` were not confirmed when the gateway ended: they may be lost"
            );
        }
        Ok(book)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), BookError> {
        let mut state = self.state();
        change(&mut state);
        let text = format!("{:020}\n{:020}\n", state.in_flight, state.lost);
        debug_assert_eq!(text.len(), LENGTH);
        let written = state.file.write_all_at(text.as_bytes(), 0);
        written.map_err(|cause| BookError::File { file: self.path.clone(), cause })
    }

    /// To be called before the answer; on an error nothing was taken.
    pub fn take(&self, events: u64) -> Result<(), BookError> {
        self.change(|state| state.in_flight += events).inspect_err(|_| self.state().in_flight -= events)
    }

    /// They are in Kafka.
    pub fn confirm(&self, events: u64) {
        self.log(self.change(|state| state.in_flight = state.in_flight.saturating_sub(events)));
    }

    /// They never will be.
    pub fn lose(&self, events: u64) {
        self.log(self.change(|state| {
            state.in_flight = state.in_flight.saturating_sub(events);
            state.lost = state.lost.saturating_add(events);
        }));
    }

    pub fn in_flight(&self) -> u64 {
        self.state().in_flight
    }

    /// All that were ever lost, over all starts.
    pub fn lost(&self) -> u64 {
        self.state().lost
    }

    fn log(&self, written: Result<(), BookError>) {
        if let Err(error) = written {
            tracing::error!(%error, "the book of buffered events is behind: the next start counts too many as lost");
        }
    }
}

fn parse(text: &str) -> Option<(u64, u64)> {
    if text.is_empty() {
        return Some((0, 0));
    }
    let (in_flight, lost) = text.trim_end().split_once('\n')?;
    (text.len() == LENGTH).then_some((in_flight.parse().ok()?, lost.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_flight_at_the_end_is_lost_at_the_next_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("book");
        let book = Book::open(&path).expect("a book");
        book.take(10).expect("written");
        book.confirm(7);
        assert!(matches!(Book::open(&path), Err(BookError::Taken(_))), "one gateway a file");
        drop(book);
        let book = Book::open(&path).expect("a book");
        assert_eq!((book.in_flight(), book.lost()), (0, 3));
        book.take(5).expect("written");
        book.lose(1);
        book.confirm(4);
        drop(book);
        assert_eq!(Book::open(&path).expect("a book").lost(), 4, "what was confirmed is not");
    }

    #[test]
    fn another_file_is_not_overwritten() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes.txt");
        std::fs::write(&path, "dear diary").expect("written");
        assert!(matches!(Book::open(&path), Err(BookError::Content(_))));
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "dear diary");
        assert!(matches!(Book::open(directory.path()), Err(BookError::File { .. })));
    }
}
