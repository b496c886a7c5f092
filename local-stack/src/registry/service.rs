//! The changes: decided, written to the log, then applied, one at a time.

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Mutex, RwLock, RwLockReadGuard};

use super::compatibility::{Level, obstacles};
use super::error::RegistryError;
use super::record::Change;
use super::schema::AvroSchema;
use super::select::{VersionSpec, Which};
use super::state::{Registered, State};
use super::store::Log;

pub struct Registry {
    state: RwLock<State>,
    /// Held from the decision to the acknowledgement: the next decision must see this change.
    writer: Mutex<Writer>,
}

struct Writer {
    log: Log,
    /// Changes that weren't acknowledged, and may be in the log all the same.
    doubtful: Vec<Change>,
}

impl Registry {
    pub fn new(log: Log, changes: Vec<Change>) -> Self {
        let mut state = State::default();
        for change in changes {
            state.apply(change);
        }
        Self { state: RwLock::new(state), writer: Mutex::new(Writer { log, doubtful: Vec::new() }) }
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
            let mut writer = self.writer.lock().await;
            let (version, id) = {
                let state = self.state.read().await;
                if let Ok(held) = state.lookup(&subject, &schema.canonical, Which::Live) {
                    return Ok(held.id);
                }
                let live = state.versions(&subject, Which::Live).unwrap_or_default();
                let obstacles = against(state.level(&subject), &schema, live);
                if !obstacles.is_empty() {
                    return Err(RegistryError::Incompatible { subject, obstacles });
                }
                let id = state.id_of(&schema.canonical).unwrap_or_else(|| state.next_id());
                (state.next_version(&subject), id)
            };
            tracing::info!(subject, version, id, "registering a schema");
            let change = Change::Version { subject, version, id, text: schema.text, deleted: false };
            self.commit(&mut writer, change).await?;
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
            let mut writer = self.writer.lock().await;
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
                self.commit(&mut writer, change).await?;
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
            let mut writer = self.writer.lock().await;
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
            self.commit(&mut writer, change).await?;
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
            let mut writer = self.writer.lock().await;
            let before = match &subject {
                Some(subject) => self.state.read().await.subject_level(subject),
                None => Some(self.state.read().await.global_level()),
            };
            if before != level {
                self.commit(&mut writer, Change::Level { subject, level }).await?;
            }
            Ok(before)
        })
        .await
    }

    async fn commit(&self, writer: &mut Writer, change: Change) -> Result<(), RegistryError> {
        // First the log must say what memory says, or the two would differ after a restart.
        while let Some(doubtful) = writer.doubtful.last() {
            let restoring = self.state.read().await.restoring(doubtful);
            writer.log.append(&restoring).await?;
            writer.doubtful.pop();
        }
        match writer.log.append(&change).await {
            Ok(()) => {
                self.state.write().await.apply(change);
                Ok(())
            }
            Err(error) => {
                tracing::error!(%error, "a change was not acknowledged");
                self.state.write().await.reserve(&change);
                writer.doubtful.push(change);
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
