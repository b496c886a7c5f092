//! The sealed log: pure code that neither waits nor reads a file, so that a verifier can run it anywhere.
