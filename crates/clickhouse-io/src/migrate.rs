//! Applies the migrations: each once, in order, remembered with its checksum.

use schemas::migrations::{self, Migration};
use thiserror::Error;

use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

#[derive(Debug, Error)]
pub enum MigrateError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "migration {name} was applied with another text (checksum {applied}, this build has {own}); use the build that applied it"
    )]
    Changed { name: String, applied: String, own: String },
    #[error("the database has migration {number}, which this build does not know; use a newer build")]
    Newer { number: u32 },
}

const REMEMBER: &str = "CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, name String, checksum String, \
     applied_at DateTime64(3, 'UTC') DEFAULT now64(3)) ENGINE = MergeTree ORDER BY number";
/// UNKNOWN_TABLE and UNKNOWN_DATABASE.
const NOT_YET_MADE: [u32; 2] = [60, 81];

/// How far the database is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// How many of this build's are applied: the first so many.
    pub applied: usize,
    pub pending: Vec<&'static str>,
}

impl ClickHouse {
    /// Brings the database up to this build. Answers the names of the migrations that were applied now.
    pub async fn migrate(&self) -> Result<Vec<&'static str>, MigrateError> {
        self.migrate_up_to(migrations::ALL.len()).await
    }

    /// Applies at most the first `count` migrations: a backup's rows go into the tables that they came from.
    pub async fn migrate_up_to(&self, count: usize) -> Result<Vec<&'static str>, MigrateError> {
        let create = Sql::new("CREATE DATABASE IF NOT EXISTS {database:Identifier}")
            .param("database", self.database().to_owned());
        self.without_database().execute("make the database", create).await?;
        self.execute("make the table of migrations", Sql::new(REMEMBER)).await?;
        let applied = self.applied_migrations().await?;
        check_applied(&applied)?;
        let mut now = Vec::new();
        for migration in migrations::ALL.iter().take(count).skip(applied.len()) {
            self.apply(migration).await?;
            now.push(migration.name);
        }
        Ok(now)
    }

    /// Looks, and changes nothing.
    pub async fn migrations(&self) -> Result<Migrations, MigrateError> {
        let applied = match self.applied_migrations().await {
            Ok(applied) => applied,
            Err(error) if error.code.is_some_and(|code| NOT_YET_MADE.contains(&code)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        check_applied(&applied)?;
        let pending = migrations::ALL.iter().skip(applied.len()).map(|migration| migration.name).collect();
        Ok(Migrations { applied: applied.len(), pending })
    }

    async fn applied_migrations(&self) -> Result<Vec<(u32, String, String)>, EngineError> {
        let sql = Sql::new("SELECT number, name, checksum FROM schema_migrations ORDER BY number");
        self.fetch_all("read the migrations", sql).await
    }

    async fn apply(&self, migration: &Migration) -> Result<(), EngineError> {
        // a crash between the statement and its row leaves the statement applied: the next try finds it so
        let statement = migration.sql.replacen("CREATE TABLE ", "CREATE TABLE IF NOT EXISTS ", 1).replacen(
            "CREATE VIEW ",
            "CREATE VIEW IF NOT EXISTS ",
            1,
        );
        self.execute("apply a migration", Sql::new(statement)).await?;
        let remember = Sql::new(
            "INSERT INTO schema_migrations (number, name, checksum) VALUES ({number:UInt32}, {name:String}, {checksum:String})",
        )
        .param("number", migration.number)
        .param("name", migration.name)
        .param("checksum", migration.checksum())
        .setting("async_insert", "0");
        self.execute("remember a migration", remember).await
    }
}

fn check_applied(applied: &[(u32, String, String)]) -> Result<(), MigrateError> {
    for (index, (number, name, checksum)) in applied.iter().enumerate() {
        let own = migrations::ALL.get(index).filter(|own| own.number == *number);
        let own = own.ok_or(MigrateError::Newer { number: *number })?;
        if own.checksum() != *checksum {
            return Err(MigrateError::Changed {
                name: name.clone(),
                applied: checksum.clone(),
                own: own.checksum(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(n: usize) -> Vec<(u32, String, String)> {
        migrations::ALL.iter().take(n).map(|m| (m.number, m.name.to_owned(), m.checksum())).collect()
    }

    #[test]
    fn a_changed_or_unknown_migration_is_refused() {
        assert!(check_applied(&applied(3)).is_ok());
        let mut changed = applied(3);
        changed[1].2 = "0".into();
        assert!(matches!(check_applied(&changed), Err(MigrateError::Changed { .. })));
        let mut newer = applied(migrations::ALL.len());
        newer.push((999, "x".into(), "y".into()));
        assert!(matches!(check_applied(&newer), Err(MigrateError::Newer { number: 999 })));
    }
}
