//! What the workers ask of the world. Real ones are ClickHouse, Kafka and the registry; the simulation
//! (`src/simulation/`) puts its own behind the same ports and makes them fail as the real ones do.

use std::collections::BTreeSet;

use audit_event::control::DedupeRules;
use audit_event::{Offset, PartitionId, RecordTime, SchemaId, TenantId, TrailId};
use clickhouse_io::client::EngineClock;
use clickhouse_io::earlier::StoredEvent;
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::read_back::Account;
use clickhouse_io::restore::StoredRecord;
use clickhouse_io::tables::TableFault;
use clickhouse_io::{ClickHouse, EngineError};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use kafka_io::producer::{NewRecord, ProduceError, RecordProducer};
use kafka_io::registry::{RegistryError, SchemaRegistry};
use pipeline_core::assignment::StoredEnd;
use pipeline_core::batch::Range;
use pipeline_core::batch_run::Found;
use schemas::columns::Block;

/// An answer that may never come.
pub type Answer<'a, T, E = EngineError> = BoxFuture<'a, Result<T, E>>;

/// ClickHouse, as the processor uses it. The methods are those of [`ClickHouse`].
pub trait Engine: Send + Sync + 'static {
    fn clock(&self) -> Answer<'_, EngineClock>;
    fn check_tables(&self) -> Answer<'_, (), TableFault>;
    fn insert<'a>(&'a self, block: Block, terms: &'a InsertTerms) -> Answer<'a, ()>;
    fn is_inserting<'a>(&'a self, token: &'a str) -> Answer<'a, bool>;
    fn read_back<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        range: &'a Range,
        account: Account,
    ) -> Answer<'a, Found>;
    fn stored_end(&self, trail: TrailId, partition: PartitionId) -> Answer<'_, StoredEnd>;
    fn trailing_dead_letters(&self, trail: TrailId, partition: PartitionId) -> Answer<'_, u64>;
    fn restore_window<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        before: Offset,
        rules: DedupeRules,
        take: &'a mut (dyn FnMut(StoredRecord<'_>) + Send),
    ) -> Answer<'a, u64>;
    fn earlier_events<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        wanted: &'a BTreeSet<Offset>,
        tenants: Option<&'a [TenantId]>,
        take: &'a mut (dyn FnMut(StoredEvent) + Send),
    ) -> Answer<'a, ()>;
    fn earlier_repeats<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        wanted: &'a BTreeSet<Offset>,
    ) -> Answer<'a, Vec<(Offset, RecordTime)>>;
}

impl Engine for ClickHouse {
    fn clock(&self) -> Answer<'_, EngineClock> {
        Self::clock(self).boxed()
    }

    fn check_tables(&self) -> Answer<'_, (), TableFault> {
        Self::check_tables(self).boxed()
    }

    fn insert<'a>(&'a self, block: Block, terms: &'a InsertTerms) -> Answer<'a, ()> {
        Self::insert(self, block, terms).boxed()
    }

    fn is_inserting<'a>(&'a self, token: &'a str) -> Answer<'a, bool> {
        Self::is_inserting(self, token).boxed()
    }

    fn read_back<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        range: &'a Range,
        account: Account,
    ) -> Answer<'a, Found> {
        Self::read_back(self, trail, partition, range, account).boxed()
    }

    fn stored_end(&self, trail: TrailId, partition: PartitionId) -> Answer<'_, StoredEnd> {
        Self::stored_end(self, trail, partition).boxed()
    }

    fn trailing_dead_letters(&self, trail: TrailId, partition: PartitionId) -> Answer<'_, u64> {
        Self::trailing_dead_letters(self, trail, partition).boxed()
    }

    fn restore_window<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        before: Offset,
        rules: DedupeRules,
        take: &'a mut (dyn FnMut(StoredRecord<'_>) + Send),
    ) -> Answer<'a, u64> {
        Self::restore_window(self, trail, partition, before, rules, take).boxed()
    }

    fn earlier_events<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        wanted: &'a BTreeSet<Offset>,
        tenants: Option<&'a [TenantId]>,
        take: &'a mut (dyn FnMut(StoredEvent) + Send),
    ) -> Answer<'a, ()> {
        Self::earlier_events(self, trail, partition, wanted, tenants, take).boxed()
    }

    fn earlier_repeats<'a>(
        &'a self,
        trail: TrailId,
        partition: PartitionId,
        wanted: &'a BTreeSet<Offset>,
    ) -> Answer<'a, Vec<(Offset, RecordTime)>> {
        Self::earlier_repeats(self, trail, partition, wanted).boxed()
    }
}

/// The topic of dead letters.
pub trait DeadLetterTopic: Send + Sync + 'static {
    /// Hands a letter over at once; the answer is the broker's.
    fn send<'a>(&'a self, letter: &NewRecord<'_>) -> Result<Answer<'a, (), ProduceError>, ProduceError>;
}

impl DeadLetterTopic for RecordProducer {
    fn send<'a>(&'a self, letter: &NewRecord<'_>) -> Result<Answer<'a, (), ProduceError>, ProduceError> {
        let pending = self.enqueue(letter)?;
        Ok(async move { self.confirm(pending).await.map(|_delivered| ()) }.boxed())
    }
}

/// The registry of schemas.
pub trait Registry: Send + Sync + 'static {
    fn schema(&self, id: SchemaId) -> Answer<'_, String, RegistryError>;
}

impl Registry for SchemaRegistry {
    fn schema(&self, id: SchemaId) -> Answer<'_, String, RegistryError> {
        Self::schema(self, id).boxed()
    }
}
