//! The registry and the dead-letter topic: away for a while, and a registry that learns a schema late.

use std::sync::Arc;

use audit_event::SchemaId;
use futures_util::FutureExt as _;
use kafka_io::producer::{NewRecord, ProduceError};
use kafka_io::registry::RegistryError;

use super::broker::{LATE_SCHEMA, SCHEMA};
use super::process::Process;
use super::world::World;
use crate::ports::{Answer, DeadLetterTopic, Registry};

pub struct SimRegistry {
    pub world: Arc<World>,
    pub process: Arc<Process>,
}

impl Registry for SimRegistry {
    fn schema(&self, id: SchemaId) -> Answer<'_, String, RegistryError> {
        async move {
            self.process.pass().await;
            tokio::time::sleep(self.world.between_ms(0, 10)).await;
            if self.world.is_in_turmoil() && self.world.chance(self.world.plan.call_faults) {
                return Err(RegistryError::Unavailable("away".to_owned()));
            }
            let is_registered =
                id == SCHEMA || id == LATE_SCHEMA && self.world.elapsed() > self.world.plan.turmoil / 2;
            self.process.pass().await;
            if is_registered {
                Ok(schemas::avro::SCHEMA_TEXT.to_owned())
            } else {
                Err(RegistryError::UnknownId(id))
            }
        }
        .boxed()
    }
}

pub struct SimDeadLetterTopic {
    pub world: Arc<World>,
    pub process: Arc<Process>,
}

impl DeadLetterTopic for SimDeadLetterTopic {
    fn send<'a>(&'a self, _letter: &NewRecord<'_>) -> Result<Answer<'a, (), ProduceError>, ProduceError> {
        Ok(async move {
            self.process.pass().await;
            tokio::time::sleep(self.world.between_ms(0, 20)).await;
            let fails = self.world.is_in_turmoil() && self.world.chance(self.world.plan.call_faults);
            self.process.pass().await;
            if fails { Err(ProduceError::Unconfirmed("away".to_owned())) } else { Ok(()) }
        }
        .boxed())
    }
}
