//! The changes: decided, written to the log, then applied, one at a time.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, RwLock, RwLockReadGuard};

use super::compatibility::{Level, obstacles};
use super::error::RegistryError;
use super::record::Change;
use super::schema::AvroSchema;
use super::state::{Registered, State, VersionSpec, Which};
use super::store::Log;

pub struct Registry {
    state: RwLock<State>,
    /// Held from the decision to the acknowledgement: the next decision must see this change.
    log: Mutex<Log>,
}

impl Registry {
    pub fn new(log: Log, changes: Vec<Change>) -> Self {
        let mut state = State::default();
        for change in changes {
            state.apply(change);
        }
        Self { state: RwLock::new(state), log: Mutex::new(log) }
    }

    pub async fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().await
    }

    /// The id of the schema, new or as it was.
    pub async fn register(
        self: Arc<Self>,
        subject: String,
        schema: AvroSchema,
    ) -> Result<u32, RegistryError> {
        finished(async move {
            let log = self.log.lock().await;
            let change = {
                let state = self.state.read().await;
                if let Ok(held) = state.lookup(&subject, &schema.canonical, Which::Live) {
                    return Ok(held.id);
                }
                let live = state.versions(&subject, Which::Live).unwrap_or_default();
                let obstacles = against(state.level(&subject), &schema, live);
                if !obstacles.is_empty() {
                    return Err(RegistryError::Incompatible { subject, obstacles });
                }
                Change::Version {
                    version: state.next_version(&subject),
                    id: state.id_of(&schema.canonical).unwrap_or_else(|| state.next_id()),
                    subject,
                    text: schema.text,
                    deleted: false,
                }
            };
            if let Change::Version { subject, version, id, .. } = &change {
                tracing::info!(subject, version, id, "registering a schema");
            }
            let id = match &change {
                Change::Version { id, .. } => *id,
                _ => 0,
            };
            self.commit(&log, change).await?;
            Ok(id)
        })
        .await
    }

    /// The versions deleted.
    pub async fn delete_subject(
        self: Arc<Self>,
        subject: String,
        permanent: bool,
    ) -> Result<Vec<u32>, RegistryError> {
        finished(async move {
            let log = self.log.lock().await;
            let (numbers, mut changes) = {
                let state = self.state.read().await;
                let all = state.versions(&subject, Which::All)?;
                let live = all.iter().any(|held| !held.deleted);
                match (permanent, live) {
                    (true, true) => return Err(RegistryError::SubjectNotSoftDeleted(subject)),
                    (false, false) => return Err(RegistryError::SubjectSoftDeleted(subject)),
                    _ => {}
                }
                let gone = || all.iter().filter(|held| permanent || !held.deleted);
                let numbers: Vec<u32> = gone().map(|held| held.version).collect();
                let changes: Vec<Change> = gone().map(|held| deletion(held, permanent)).collect();
                (numbers, changes)
            };
            if self.state.read().await.subject_level(&subject).is_some() {
                changes.push(Change::Level { subject: Some(subject), level: None });
            }
            for change in changes {
                self.commit(&log, change).await?;
            }
            Ok(numbers)
        })
        .await
    }

    pub async fn delete_version(
        self: Arc<Self>,
        subject: String,
        spec: VersionSpec,
        permanent: bool,
    ) -> Result<u32, RegistryError> {
        finished(async move {
            let log = self.log.lock().await;
            let (number, change) = {
                let state = self.state.read().await;
                // "latest" is the latest that can be seen.
                let which = if spec == VersionSpec::Latest { Which::Live } else { Which::All };
                let held = state.version(&subject, spec, which)?;
                let number = held.version;
                match (permanent, held.deleted) {
                    (true, false) => return Err(RegistryError::VersionNotSoftDeleted(subject, number)),
                    (false, true) => return Err(RegistryError::VersionSoftDeleted(subject, number)),
                    _ => (number, deletion(&held, permanent)),
                }
            };
            self.commit(&log, change).await?;
            Ok(number)
        })
        .await
    }

    /// Sets a level, or takes it back; answers the one there was.
    pub async fn set_level(
        self: Arc<Self>,
        subject: Option<String>,
        level: Option<Level>,
    ) -> Result<Option<Level>, RegistryError> {
        finished(async move {
            let log = self.log.lock().await;
            let before = match &subject {
                Some(subject) => self.state.read().await.subject_level(subject),
                None => Some(self.state.read().await.global_level()),
            };
            if before != level {
                self.commit(&log, Change::Level { subject, level }).await?;
            }
            Ok(before)
        })
        .await
    }

    async fn commit(&self, log: &Log, change: Change) -> Result<(), RegistryError> {
        let written = log.append(&change).await;
        let mut state = self.state.write().await;
        match written {
            Ok(()) => {
                state.apply(change);
                Ok(())
            }
            Err(error) => {
                // It may have been written all the same; its numbers must not come to mean something else.
                state.reserve(&change);
                tracing::error!(%error, "a change was not acknowledged");
                Err(error.into())
            }
        }
    }
}

/// What stands against a schema after these versions.
pub fn against(level: Level, schema: &AvroSchema, earlier: Vec<Registered<'_>>) -> Vec<String> {
    let earlier = earlier.into_iter().map(|held| (held.version, held.schema));
    obstacles(level, schema, earlier)
}

fn deletion(held: &Registered<'_>, permanent: bool) -> Change {
    if permanent {
        Change::Forget { subject: held.subject.to_owned(), version: held.version }
    } else {
        Change::Version {
            subject: held.subject.to_owned(),
            version: held.version,
            id: held.id,
            text: held.schema.to_owned(),
            deleted: true,
        }
    }
}

/// A client that hangs up drops its request; a write under way must still reach memory when it reaches the log.
async fn finished<T: Send + 'static>(
    work: impl Future<Output = Result<T, RegistryError>> + Send + 'static,
) -> Result<T, RegistryError> {
    tokio::spawn(work).await.unwrap_or(Err(RegistryError::Interrupted))
}
