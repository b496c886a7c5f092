//! The schemas that producers wrote with, by id. A schema is immutable, so one that was fetched stays.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ::schemas::avro::WriterSchema;
use audit_event::SchemaId;
use kafka_io::group::Vitals;
use kafka_io::registry::RegistryError;
use prometheus::IntCounter;
use tokio::time::Instant;

use crate::health::Answering;
use crate::pace::{Backoff, Jitter};
use crate::ports::Registry;

/// Schemas kept at most. A trail has a handful; a flood of registrations must not fill the memory.
const MAX_SCHEMAS: usize = 10_000;
/// The wait before a schema that the registry does not know is asked for again.
const UNKNOWN_RETRY: Duration = Duration::from_millis(500);
/// The first and the longest pause between tries while the registry cannot be asked.
const RETRY_MIN_MS: u64 = 250;
const RETRY_MAX_MS: u64 = 3_000;

/// What is known about a schema id.
#[derive(Clone)]
pub enum Known {
    Schema(Arc<WriterSchema>),
    /// It is registered, and no event can be read with it.
    Unusable(Arc<str>),
}

/// Shared by all partitions.
pub struct Schemas {
    registry: Arc<dyn Registry>,
    known: RwLock<HashMap<SchemaId, Known>>,
    unknown_wait: Duration,
    retries: IntCounter,
    answering: Answering,
    jitter: Arc<Jitter>,
}

impl Schemas {
    pub fn new(
        registry: Arc<dyn Registry>,
        unknown_wait: Duration,
        retries: IntCounter,
        answering: Answering,
        jitter: Arc<Jitter>,
    ) -> Self {
        Self { registry, known: RwLock::default(), unknown_wait, retries, answering, jitter }
    }

    pub fn get(&self, id: SchemaId) -> Option<Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&id).cloned()
    }

    /// Fetches the schema if need be. `false` if the registry says, for the whole bounded wait, that there is none.
    /// A registry that can't be asked is no answer: this waits for it, and the partition with it.
    pub async fn fetch(&self, id: SchemaId, vitals: &Vitals) -> bool {
        if self.get(id).is_some() {
            return true;
        }
        let mut waited = Duration::ZERO;
        let mut backoff = Backoff::new(&self.jitter, vitals, RETRY_MIN_MS, RETRY_MAX_MS);
        loop {
            let began = Instant::now();
            match self.registry.schema(id).await {
                Ok(text) => {
                    self.answering.succeeded();
                    if self.keep(id, &text) {
                        return true;
                    }
                    tracing::error!(
                        "over {MAX_SCHEMAS} schemas are in use; the partition waits for a restart"
                    );
                    backoff.pause().await;
                }
                Err(RegistryError::UnknownId(_)) => {
                    self.answering.succeeded();
                    if waited >= self.unknown_wait {
                        return false;
                    }
                    waited += UNKNOWN_RETRY;
                    vitals.sign();
                    tokio::time::sleep(UNKNOWN_RETRY).await;
                }
                Err(error) => {
                    self.retries.inc();
                    self.answering.failed(began, format!("schema {id}: {error}"));
                    tracing::warn!(%error, schema_id = %id, "schema not fetched, trying again");
                    backoff.pause().await;
                }
            }
        }
    }

    /// `false` if there is no room: a schema that was forgotten would make a dead letter of a good record.
    fn keep(&self, id: SchemaId, text: &str) -> bool {
        let mut known = self.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if known.len() >= MAX_SCHEMAS {
            return false;
        }
        let schema = match WriterSchema::parse(text) {
            Ok(schema) => Known::Schema(Arc::new(schema)),
            Err(error) => Known::Unusable(error.to_string().into()),
        };
        known.insert(id, schema);
        true
    }
}
