//! Who may do what in ClickHouse: the one source, from which come SQL for a server that stores its users (`sql.rs`) and
//! a users file for one that does not (`users_file.rs`).

pub mod analyst;
pub mod probes;
pub mod quote;
pub mod sql;
pub mod users_file;

use std::fmt;
use std::str::FromStr;

use audit_event::TenantId;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// The longest name of a database, in bytes.
pub const MAX_DATABASE_NAME_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "access needs a database name of 1 to {MAX_DATABASE_NAME_BYTES} characters out of a-z, A-Z, 0-9 and '_' that starts with a letter"
)]
pub struct DatabaseNameError;

/// A database's name that is an identifier in SQL and an element in XML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseName(String);

impl FromStr for DatabaseName {
    type Err = DatabaseNameError;

    fn from_str(text: &str) -> Result<Self, DatabaseNameError> {
        let head_is_fine = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
        let tail_is_fine = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if head_is_fine && tail_is_fine && text.len() <= MAX_DATABASE_NAME_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(DatabaseNameError)
        }
    }
}

impl DatabaseName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DatabaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// SHA-256 of a password, in lower-case hex: what is stored and sent in place of the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub fn of(password: &str) -> Self {
        Self(Sha256::digest(password.as_bytes()).iter().map(|b| format!("{b:02x}")).collect())
    }

    pub fn as_hex(&self) -> &str {
        &self.0
    }
}

/// Who comes to ClickHouse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Account {
    /// Migrations, the command line, and people at the console.
    Owner,
    Processor,
    QueryApi,
    /// Somebody who reads one tenant's events by SQL.
    Analyst(TenantId),
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privilege {
    All,
    Select,
    Insert,
}

/// Where it may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The whole database of the trail.
    Trail,
    /// One table or view of it.
    Table(&'static str),
    /// One of the server's own tables.
    System(&'static str),
    /// All of the server's own tables.
    AllSystem,
}

impl Privilege {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
        }
    }
}

impl Place {
    fn render(self, database: &DatabaseName) -> String {
        match self {
            Self::Trail => format!("{database}.*"),
            Self::Table(table) => format!("{database}.{table}"),
            Self::System(table) => format!("system.{table}"),
            Self::AllSystem => "system.*".to_owned(),
        }
    }
}

pub type Grant = (Privilege, Place);

impl Account {
    /// The accounts of the services, which see every tenant.
    pub const SERVICES: [Self; 3] = [Self::Owner, Self::Processor, Self::QueryApi];

    /// The user that it logs in as.
    pub fn user(&self) -> String {
        match self {
            Self::Owner => "sealtrail".to_owned(),
            Self::Processor => "sealtrail_processor".to_owned(),
            Self::QueryApi => "sealtrail_query_api".to_owned(),
            Self::Analyst(tenant) => format!("{}{tenant}", analyst::USER_PREFIX),
        }
    }

    /// The role that holds the grants where the server stores roles.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Owner => "sealtrail_owner_role",
            Self::Processor => "sealtrail_processor_role",
            Self::QueryApi => "sealtrail_query_api_role",
            Self::Analyst(_) => analyst::ROLE,
        }
    }

    pub fn grants(&self) -> Vec<Grant> {
        use Place::{AllSystem, System, Table, Trail};
        use Privilege::{All, Insert, Select};
        match self {
            Self::Owner => vec![(All, Trail), (Select, AllSystem)],
            Self::Processor => vec![
                (Select, Trail),
                (Insert, Trail),
                (Select, System("tables")),
                (Select, System("columns")),
                // the read-back asks whether an insert still runs
                (Select, System("processes")),
                (Select, System("parts")),
            ],
            Self::QueryApi => {
                vec![(Select, Trail), (Select, System("tables")), (Select, System("columns"))]
            }
            Self::Analyst(_) => {
                let readable = analyst::TABLES.iter().chain(analyst::VIEWS);
                readable.map(|name| (Select, Table(name))).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_database_names_are_taken() {
        for good in ["sealtrail", "Trail_2", "a"] {
            assert!(good.parse::<DatabaseName>().is_ok(), "{good}");
        }
        for bad in ["", "1a", "_a", "a-b", "a.b", "a b", "a`b", "a'b", "a<b", "ä", &"a".repeat(65)] {
            assert_eq!(bad.parse::<DatabaseName>(), Err(DatabaseNameError), "{bad}");
        }
    }

    #[test]
    fn a_password_hash_is_sha256_in_hex() {
        let known = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
        assert_eq!(PasswordHash::of("test").as_hex(), known);
    }

    #[test]
    fn an_analyst_reads_nothing_that_is_not_a_tenants() {
        let demo = Account::Analyst("demo".parse().expect("a tenant"));
        for (privilege, place) in demo.grants() {
            assert_eq!(privilege, Privilege::Select);
            let Place::Table(name) = place else { panic!("{place:?} is more than a table") };
            assert!(
                !["dead_letters", "event_batches", "trails", "batch_accounting"].contains(&name),
                "{name}"
            );
        }
    }
}
