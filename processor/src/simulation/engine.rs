//! The port to ClickHouse of one process: a network that delays, loses requests and loses answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use audit_event::control::DedupeRules;
use audit_event::{EventId, NextOffset, Offset, PartitionId, RecordTime, TenantId, TrailId};
use clickhouse_io::client::EngineClock;
use clickhouse_io::earlier::{StoredBody, StoredEvent};
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::read_back::Account;
use clickhouse_io::restore::StoredRecord;
use clickhouse_io::tables::TableFault;
use clickhouse_io::{EngineError, ErrorKind};
use futures_util::FutureExt as _;
use pipeline_core::assignment::{LastBatch, StoredEnd};
use pipeline_core::batch::Range;
use pipeline_core::batch_run::{Found, RecordTable};
use schemas::columns::Block;

use super::broker::Broker;
use super::process::Process;
use super::server::Server;
use super::world::{Safeguard, World};
use crate::ports::{Answer, Engine};

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(4);
const TABLES: [RecordTable; 3] = [RecordTable::Events, RecordTable::Duplicates, RecordTable::DeadLetters];

pub struct SimEngine {
    pub world: Arc<World>,
    pub server: Arc<Server>,
    pub broker: Arc<Broker>,
    pub process: Arc<Process>,
}

/// What the network does with a call.
enum Fate {
    Pass,
    RequestLost,
    AnswerLost,
}

impl SimEngine {
    fn fate(&self) -> Fate {
        if !self.world.is_in_turmoil() || !self.world.chance(self.world.plan.call_faults) {
            return Fate::Pass;
        }
        if self.world.chance(400) { Fate::RequestLost } else { Fate::AnswerLost }
    }

    /// A query that reads.
    async fn ask<T>(
        &self,
        action: &'static str,
        answer: impl FnOnce(&Server) -> T,
    ) -> Result<T, EngineError> {
        self.process.pass().await;
        let fate = self.fate();
        tokio::time::sleep(self.world.between_ms(0, 5)).await;
        let run = self.server.run();
        let answered = match fate {
            Fate::Pass => tokio::time::timeout(PATIENCE, self.server.awake(run)).await,
            Fate::RequestLost | Fate::AnswerLost => {
                tokio::time::sleep(self.world.between_ms(0, 500)).await;
                Ok(Err("no answer"))
            }
        };
        let answer = match answered {
            Ok(Ok(())) => Ok(answer(&self.server)),
            Ok(Err(cause)) => Err(failed(action, cause)),
            Err(_) => Err(failed(action, "no answer in time")),
        };
        self.process.pass().await;
        answer
    }

    /// The insert goes on in the server, whatever becomes of the one who sent it.
    async fn insert(&self, block: Block, terms: InsertTerms) -> Result<(), EngineError> {
        const ACTION: &str = "insert";
        self.process.pass().await;
        let fate = self.fate();
        // a request may hang in the network for long after its sender is gone
        let late = self.world.is_in_turmoil() && self.world.chance(self.world.plan.call_faults / 2);
        let on_its_way = self.world.between_ms(0, if late { 9_000 } else { 5 });
        if matches!(fate, Fate::RequestLost) {
            tokio::time::sleep(self.world.between_ms(0, 500)).await;
            self.process.pass().await;
            return Err(failed(ACTION, "connection refused"));
        }
        let server = self.server.clone();
        let working = tokio::spawn(async move {
            tokio::time::sleep(on_its_way).await;
            server.insert(block, terms).await
        });
        let answered = tokio::time::timeout(PATIENCE, working).await;
        let answer = match (fate, answered) {
            (Fate::AnswerLost, _) => Err(failed(ACTION, "connection reset before the answer")),
            (_, Ok(Ok(ended))) => ended.map_err(|cause| failed(ACTION, cause)),
            _ => Err(failed(ACTION, "no answer in time")),
        };
        self.process.pass().await;
        answer
    }

    fn found(&self, partition: PartitionId, range: &Range, account: Account) -> Found {
        let mut found = Found::default();
        for table in TABLES {
            let offsets: Vec<_> = self.server.look(table.as_str(), |rows| {
                let rows = rows.records().filter(|row| row.partition == partition.0);
                rows.map(|row| Offset(row.offset))
                    .filter(|at| (range.from.0..range.to.0).contains(&at.0))
                    .collect()
            });
            found.records.extend(offsets.into_iter().map(|offset| (table, offset)));
        }
        let expected = [account.rows, account.duplicates, account.dead_letters, range.gaps()];
        self.server.look("event_batches", |rows| {
            for row in rows.accounts().filter(|row| row.partition == partition.0) {
                if (row.from, row.to, row.counts) == (range.from.0, range.to.0, expected) {
                    found.accounts += 1;
                } else if row.from < range.to.0 && row.to > range.from.0 {
                    found.foreign_accounts += 1;
                }
            }
        });
        found
    }
}

fn failed(action: &'static str, cause: &str) -> EngineError {
    EngineError { action, cause: cause.to_owned(), kind: ErrorKind::Retry, code: None }
}

impl Engine for SimEngine {
    fn clock(&self) -> Answer<'_, EngineClock> {
        self.ask("read the clock", Server::clock).boxed()
    }

    fn check_tables(&self) -> Answer<'_, (), TableFault> {
        async { self.ask("read the tables' columns", |_| ()).await.map_err(TableFault::from) }.boxed()
    }

    fn insert<'a>(&'a self, block: Block, terms: &'a InsertTerms) -> Answer<'a, ()> {
        Self::insert(self, block, terms.clone()).boxed()
    }

    fn is_inserting<'a>(&'a self, token: &'a str) -> Answer<'a, bool> {
        self.ask("look for running inserts", |server| server.is_inserting(token)).boxed()
    }

    fn read_back<'a>(
        &'a self,
        _trail: TrailId,
        partition: PartitionId,
        range: &'a Range,
        account: Account,
    ) -> Answer<'a, Found> {
        let look = move |_: &Server| {
            if self.world.lacks(Safeguard::ReadBack) {
                return self.broker.as_if_all_were_there(partition, range);
            }
            self.found(partition, range, account)
        };
        self.ask("read back", look).boxed()
    }

    fn stored_end(&self, _trail: TrailId, partition: PartitionId) -> Answer<'_, StoredEnd> {
        let look = move |server: &Server| {
            if self.world.lacks(Safeguard::EventBatchesCheck) {
                return self.broker.stored_end_as_committed(partition);
            }
            let last_batch = server.look("event_batches", |rows| {
                let of_partition = rows.accounts().filter(|row| row.partition == partition.0);
                let last = of_partition.max_by_key(|row| row.to)?;
                Some(LastBatch { from: Offset(last.from), to: NextOffset(last.to) })
            });
            let least = last_batch.map_or(0, |batch| batch.to.0);
            let highest = TABLES.iter().filter_map(|table| {
                server.look(table.as_str(), |rows| {
                    let of_partition = rows.records().filter(|row| row.partition == partition.0);
                    of_partition.map(|row| row.offset).filter(|offset| *offset >= least).max()
                })
            });
            StoredEnd { last_batch, highest_row: highest.max().map(Offset) }
        };
        self.ask("read the last batch", look).boxed()
    }

    fn trailing_dead_letters(&self, _trail: TrailId, _partition: PartitionId) -> Answer<'_, u64> {
        self.ask("count the last dead letters", |_| 0).boxed()
    }

    fn restore_window<'a>(
        &'a self,
        _trail: TrailId,
        partition: PartitionId,
        before: Offset,
        rules: DedupeRules,
        take: &'a mut (dyn FnMut(StoredRecord<'_>) + Send),
    ) -> Answer<'a, u64> {
        let least = before.0 - rules.window_offsets;
        let look = move |server: &Server| {
            let mut stored = Vec::new();
            for table in ["events", "duplicates"] {
                server.look(table, |rows| stored.extend(rows.records().cloned()));
            }
            stored.retain(|row| row.partition == partition.0 && (least..before.0).contains(&row.offset));
            stored
        };
        async move {
            let stored = self.ask("restore the dedupe window", look).await?;
            for row in &stored {
                let event = self.broker.event_at(partition, Offset(row.offset)).expect("a decodable record");
                take(StoredRecord {
                    offset: Offset(row.offset),
                    received_at: RecordTime(row.received_ms),
                    tenant_id: event.tenant_id.as_str(),
                    event_id: EventId(uuid::Uuid::from_u128(row.event_id.unwrap_or_default())),
                    first: Offset(row.first.unwrap_or(row.offset)),
                });
            }
            Ok(stored.len() as u64)
        }
        .boxed()
    }

    fn earlier_events<'a>(
        &'a self,
        _trail: TrailId,
        partition: PartitionId,
        wanted: &'a BTreeSet<Offset>,
        tenants: Option<&'a [TenantId]>,
        take: &'a mut (dyn FnMut(StoredEvent) + Send),
    ) -> Answer<'a, ()> {
        let look = move |server: &Server| rows_at("events", partition, wanted, server);
        async move {
            for (offset, received_at) in self.ask("read earlier events", look).await? {
                let event = self.broker.event_at(partition, offset).expect("a decodable record");
                if tenants.is_none_or(|tenants| tenants.contains(&event.tenant_id)) {
                    take(StoredEvent { offset, received_at, body: StoredBody::Event(Box::new(event)) });
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn earlier_repeats<'a>(
        &'a self,
        _trail: TrailId,
        partition: PartitionId,
        wanted: &'a BTreeSet<Offset>,
    ) -> Answer<'a, Vec<(Offset, RecordTime)>> {
        let look = move |server: &Server| rows_at("duplicates", partition, wanted, server);
        self.ask("read earlier duplicates", look).boxed()
    }
}

fn rows_at(
    table: &str,
    partition: PartitionId,
    wanted: &BTreeSet<Offset>,
    server: &Server,
) -> Vec<(Offset, RecordTime)> {
    server.look(table, |rows| {
        let rows = rows.records().filter(|row| row.partition == partition.0);
        let found = rows.map(|row| (Offset(row.offset), RecordTime(row.received_ms)));
        found.filter(|(offset, _)| wanted.contains(offset)).collect()
    })
}
