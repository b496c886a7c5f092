//! The schemas that producers wrote with, by id. A schema is immutable, so one that was fetched stays.

use std::collections::HashMap;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ::schemas::avro::WriterSchema;
use audit_event::SchemaId;
use kafka_io::registry::RegistryError;
use prometheus::IntCounter;

use crate::ports::Registry;

/// Schemas kept at most. A trail has a handful; a flood of registrations must not fill the memory.
const MAX_SCHEMAS: usize = 10_000;
const RETRY: Duration = Duration::from_millis(500);

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
}

impl Schemas {
    pub fn new(registry: Arc<dyn Registry>, unknown_wait: Duration, retries: IntCounter) -> Self {
        Self { registry, known: RwLock::default(), unknown_wait, retries }
    }

    pub fn get(&self, id: SchemaId) -> Option<Known> {
        self.known.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(&id).cloned()
    }

    /// Fetches the schema if need be. `false` if the registry says, for the whole bounded wait, that there is none.
    /// A registry that can't be asked is no answer: this waits for it, and the partition with it.
    pub async fn fetch(&self, id: SchemaId) -> bool {
        if self.get(id).is_some() {
            return true;
        }
        let mut waited = Duration::ZERO;
        loop {
            match self.registry.schema(id).await {
                Ok(text) if self.keep(id, &text) => return true,
                Ok(_) => tracing::error!(
                    "over {MAX_SCHEMAS} schemas are in use; the partition waits for a restart"
                ),
                Err(RegistryError::UnknownId(_)) => {
                    if waited >= self.unknown_wait {
                        return false;
                    }
                    waited += RETRY;
                }
                Err(error) => {
                    self.retries.inc();
                    tracing::warn!(%error, schema_id = %id, "schema not fetched, trying again");
                }
            }
            tokio::time::sleep(RETRY).await;
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
