//! The ClickHouse migrations: numbered SQL files, each applied once and remembered with its checksum.

use sha2::{Digest, Sha256};

/// One numbered SQL file. It holds exactly one statement, so that a crash can't leave half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    pub number: u32,
    pub name: &'static str,
    pub sql: &'static str,
}

impl Migration {
    /// SHA-256 of the file, in lower-case hex.
    pub fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
    }
}

macro_rules! migrations {
    ($($number:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../migrations/", $name, ".sql")),
        }),+]
    };
}

pub const ALL: &[Migration] = migrations![
    1 "0001_trails",
    2 "0002_events",
    3 "0003_duplicates",
    4 "0004_dead_letters",
    5 "0005_event_batches",
    6 "0006_views",
    7 "0007_batch_accounting",
    8 "0008_events_request",
    9 "0009_dead_letters_request",
    10 "0010_audit_events",
    11 "0011_events_enrichment",
    12 "0012_audit_events",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbered_without_holes_one_statement_each() {
        for (index, migration) in ALL.iter().enumerate() {
            assert_eq!(migration.number as usize, index + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.number)));
            let code: String =
                migration.sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            assert_eq!(code.matches(';').count(), 1, "{}", migration.name);
        }
    }
}
