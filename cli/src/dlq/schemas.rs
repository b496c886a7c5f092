//! The schemas that letters name, as the registry has them now.

use std::collections::HashMap;
use std::sync::Arc;

use ::schemas::avro::WriterSchema;
use audit_event::SchemaId;

use crate::registry::Registry;

/// Ids remembered at most: letters may name any. A parsed schema stays in memory until the command ends.
const MAX_SCHEMAS: usize = 10_000;

/// What the registry says of an id.
#[derive(Clone)]
pub enum Known {
    Schema(Arc<WriterSchema>),
    /// It is registered, and no event can be read with it.
    Unusable(Arc<str>),
    Unknown,
}

pub struct WriterSchemas {
    registry: Registry,
    known: HashMap<SchemaId, Known>,
}

impl WriterSchemas {
    pub fn new(registry: Registry) -> Self {
        Self { registry, known: HashMap::new() }
    }

    /// An error is a registry that cannot be asked; it says nothing about the letter.
    pub async fn get(&mut self, id: SchemaId) -> anyhow::Result<Known> {
        if let Some(known) = self.known.get(&id) {
            return Ok(known.clone());
        }
        let known = match self.registry.schema(id.0).await? {
            None => Known::Unknown,
            Some(_) if self.known.len() >= MAX_SCHEMAS => {
                anyhow::bail!(
                    "the letters name over {MAX_SCHEMAS} schemas; narrow them down, as with --from-offset"
                )
            }
            Some(text) => match WriterSchema::parse(&text) {
                Ok(schema) => Known::Schema(Arc::new(schema)),
                Err(error) => Known::Unusable(error.to_string().into()),
            },
        };
        if self.known.len() < MAX_SCHEMAS {
            self.known.insert(id, known.clone());
        }
        Ok(known)
    }
}
