//! What the registry holds, in memory: the sum of all changes, and the questions asked of it. No I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;

use super::compatibility::Level;
use super::error::RegistryError;
use super::record::Change;
use super::schema::canonical;
use super::select::{VersionSpec, Which};

/// Confluent's default.
pub const DEFAULT_LEVEL: Level = Level::Backward;

/// One version of a subject, as it is answered.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Registered<'a> {
    pub subject: &'a str,
    pub version: u32,
    pub id: u32,
    pub schema: &'a str,
    #[serde(skip)]
    pub deleted: bool,
}

#[derive(Debug)]
struct Version {
    id: u32,
    deleted: bool,
}

/// One schema: the same under every subject that has it, whatever its layout there.
#[derive(Debug)]
struct Schema {
    text: String,
    canonical: String,
    uses: BTreeSet<(String, u32)>,
}

#[derive(Debug, Default)]
pub struct State {
    subjects: BTreeMap<String, BTreeMap<u32, Version>>,
    schemas: BTreeMap<u32, Schema>,
    ids: HashMap<String, u32>,
    levels: BTreeMap<String, Level>,
    global: Option<Level>,
    /// Ids and versions are never given twice: events on Kafka carry the id, and a write that failed here may yet be
    /// in the log.
    highest_id: u32,
    highest_version: BTreeMap<String, u32>,
}

impl State {
    pub fn apply(&mut self, change: Change) {
        self.reserve(&change);
        match change {
            Change::Version { subject, version, id, text, deleted } => {
                self.forget(&subject, version);
                let canonical = canonical(&text);
                self.ids.entry(canonical.clone()).or_insert(id);
                let schema = self.schemas.entry(id).or_insert_with(|| Schema {
                    text,
                    canonical,
                    uses: BTreeSet::new(),
                });
                schema.uses.insert((subject.clone(), version));
                let versions = self.subjects.entry(subject).or_default();
                versions.insert(version, Version { id, deleted });
            }
            Change::Forget { subject, version } => self.forget(&subject, version),
            Change::DeleteUpTo { subject, version } => {
                if let Some(versions) = self.subjects.get_mut(&subject) {
                    for held in versions.range_mut(..=version) {
                        held.1.deleted = true;
                    }
                }
            }
            Change::Level { subject, level } => match (subject, level) {
                (None, level) => self.global = level,
                (Some(subject), Some(level)) => _ = self.levels.insert(subject, level),
                (Some(subject), None) => _ = self.levels.remove(&subject),
            },
        }
    }

    /// Keeps the numbers of a change from being given again, also when it could not be written.
    pub fn reserve(&mut self, change: &Change) {
        if let Change::Version { subject, version, id, .. } = change {
            self.highest_id = self.highest_id.max(*id);
            let highest = self.highest_version.entry(subject.clone()).or_default();
            *highest = (*highest).max(*version);
        }
    }

    fn forget(&mut self, subject: &str, version: u32) {
        let Some(versions) = self.subjects.get_mut(subject) else {
            return;
        };
        let Some(gone) = versions.remove(&version) else {
            return;
        };
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        if let Some(schema) = self.schemas.get_mut(&gone.id) {
            schema.uses.remove(&(subject.to_owned(), version));
            if schema.uses.is_empty() {
                if self.ids.get(&schema.canonical) == Some(&gone.id) {
                    self.ids.remove(&schema.canonical);
                }
                self.schemas.remove(&gone.id);
            }
        }
    }

    /// The change that brings the log to what is held here, where the given one may or may not have been written.
    pub fn restoring(&self, doubtful: &Change) -> Change {
        match doubtful {
            Change::Version { subject, version, .. } | Change::Forget { subject, version } => {
                match self.version(subject, VersionSpec::Number(*version), Which::All) {
                    Ok(held) => Change::Version {
                        subject: subject.clone(),
                        version: *version,
                        id: held.id,
                        text: held.schema.to_owned(),
                        deleted: held.deleted,
                    },
                    Err(_) => Change::Forget { subject: subject.clone(), version: *version },
                }
            }
            Change::Level { subject, .. } => Change::Level {
                subject: subject.clone(),
                level: match subject {
                    Some(subject) => self.subject_level(subject),
                    None => self.global,
                },
            },
            Change::DeleteUpTo { .. } => doubtful.clone(),
        }
    }

    pub fn next_id(&self) -> u32 {
        self.highest_id + 1
    }

    pub fn next_version(&self, subject: &str) -> u32 {
        self.highest_version.get(subject).map_or(1, |last| last + 1)
    }

    /// The id this schema has under any subject.
    pub fn id_of(&self, canonical: &str) -> Option<u32> {
        self.ids.get(canonical).copied()
    }

    pub fn subjects(&self, which: Which, prefix: &str) -> Vec<&str> {
        let matching = self.subjects.iter().filter(|(name, versions)| {
            let live = versions.values().any(|version| !version.deleted);
            name.starts_with(prefix) && which.takes(!live)
        });
        matching.map(|(name, _)| name.as_str()).collect()
    }

    /// The versions of a subject, oldest first, never none.
    pub fn versions(&self, subject: &str, which: Which) -> Result<Vec<Registered<'_>>, RegistryError> {
        let missing = || RegistryError::SubjectNotFound(subject.to_owned());
        let (name, versions) = self.subjects.get_key_value(subject).ok_or_else(missing)?;
        let found: Vec<_> = versions
            .iter()
            .filter(|(_, version)| which.takes(version.deleted))
            .filter_map(|(number, version)| {
                Some(Registered {
                    subject: name,
                    version: *number,
                    id: version.id,
                    schema: &self.schemas.get(&version.id)?.text,
                    deleted: version.deleted,
                })
            })
            .collect();
        if found.is_empty() { Err(missing()) } else { Ok(found) }
    }

    pub fn version(
        &self,
        subject: &str,
        spec: VersionSpec,
        which: Which,
    ) -> Result<Registered<'_>, RegistryError> {
        let mut versions = self.versions(subject, which)?.into_iter();
        let (found, named) = match spec {
            VersionSpec::Latest => (versions.next_back(), "latest".to_owned()),
            VersionSpec::Number(number) => (versions.find(|held| held.version == number), number.to_string()),
        };
        found.ok_or(RegistryError::VersionNotFound(named))
    }

    /// The newest version of the subject that is this schema.
    pub fn lookup(
        &self,
        subject: &str,
        canonical: &str,
        which: Which,
    ) -> Result<Registered<'_>, RegistryError> {
        let mut versions = self.versions(subject, which)?.into_iter();
        versions
            .rfind(|held| self.schemas.get(&held.id).is_some_and(|schema| schema.canonical == canonical))
            .ok_or_else(|| RegistryError::SchemaNotFound(subject.to_owned()))
    }

    /// Soft-deleted ones too: records written with the id are still on Kafka.
    pub fn text(&self, id: u32) -> Option<&str> {
        self.schemas.get(&id).map(|schema| schema.text.as_str())
    }

    /// Subjects and versions that have the schema.
    pub fn uses(&self, id: u32, which: Which) -> Option<Vec<(&str, u32)>> {
        let uses = self.schemas.get(&id)?.uses.iter().filter(|(subject, version)| {
            let held = self.subjects.get(subject).and_then(|versions| versions.get(version));
            held.is_some_and(|held| which.takes(held.deleted))
        });
        Some(uses.map(|(subject, version)| (subject.as_str(), *version)).collect())
    }

    pub fn global_level(&self) -> Level {
        self.global.unwrap_or(DEFAULT_LEVEL)
    }

    pub fn subject_level(&self, subject: &str) -> Option<Level> {
        self.levels.get(subject).copied()
    }

    /// The level a new version of the subject is held to.
    pub fn level(&self, subject: &str) -> Level {
        self.subject_level(subject).unwrap_or_else(|| self.global_level())
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
