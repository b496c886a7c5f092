//! Events by their identity, in any trail, partition and time: what the dedupe window has long forgotten is still there.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use audit_event::{EventId, TenantId};
use clickhouse::query::RowCursor;
use serde::Deserialize;
use uuid::Uuid;

use crate::client::{ClickHouse, EngineError};
use crate::event_row::{EventRow, SELECT_COLUMNS};
use crate::sql::Sql;

/// Identities in one query. They travel as one parameter, and ClickHouse takes 128 KiB of it.
pub const IDENTITIES_AT_ONCE: usize = 2_000;

/// What makes two records copies of one event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventIdentity {
    pub tenant_id: TenantId,
    pub event_id: EventId,
}

#[derive(Debug, clickhouse::Row, Deserialize)]
struct IdentityRow {
    tenant: String,
    #[serde(with = "clickhouse::serde::uuid")]
    event_id: Uuid,
}

fn params(sql: Sql, identities: &[EventIdentity]) -> Sql {
    let tenants: BTreeSet<_> = identities.iter().map(|identity| identity.tenant_id.to_string()).collect();
    sql.param("tenants", tenants.into_iter().collect::<Vec<_>>())
        .param("ids", identities.iter().map(|identity| identity.event_id.to_string()).collect::<Vec<_>>())
}

/// A superset of the pairs, by what the tables are ordered and indexed by.
const AMONG: &str = "tenant_id IN {tenants:Array(String)} AND event_id IN {ids:Array(UUID)}";

impl ClickHouse {
    /// Those of the identities that an event or a duplicate has. A duplicate alone is left where the day of its event was
    /// dropped.
    pub async fn known_identities(
        &self,
        identities: &[EventIdentity],
    ) -> Result<HashSet<EventIdentity>, EngineError> {
        let mut known = HashSet::new();
        for identities in identities.chunks(IDENTITIES_AT_ONCE) {
            let asked: HashSet<_> = identities.iter().collect();
            let sql = Sql::new(
                ["events", "duplicates"]
                    .map(|table| {
                        format!("SELECT toString(tenant_id) AS tenant, event_id FROM `{table}` WHERE {AMONG}")
                    })
                    .join(" UNION DISTINCT "),
            );
            let rows: Vec<IdentityRow> =
                self.fetch_all("look for stored events", params(sql, identities)).await?;
            let found = rows.into_iter().filter_map(|row| {
                Some(EventIdentity { tenant_id: row.tenant.parse().ok()?, event_id: EventId(row.event_id) })
            });
            known.extend(found.filter(|identity| asked.contains(identity)));
        }
        Ok(known)
    }

    /// The stored events of at most [`IDENTITIES_AT_ONCE`] identities, and of some others; one after the other, for bodies
    /// may be large.
    pub fn stored_events(&self, identities: &[EventIdentity]) -> Result<StoredEvents, EngineError> {
        let sql = Sql::new(format!("SELECT {SELECT_COLUMNS} FROM events WHERE {AMONG}"));
        let query = params(sql, identities).into_query(&self.client);
        let rows = query.fetch().map_err(|error| EngineError::from_client(StoredEvents::ACTION, &error))?;
        Ok(StoredEvents { rows, silence_limit: self.query_timeout })
    }
}

/// Rows on their way from the server.
pub struct StoredEvents {
    rows: RowCursor<EventRow>,
    silence_limit: Duration,
}

impl StoredEvents {
    const ACTION: &str = "read stored events";

    pub async fn next(&mut self) -> Result<Option<EventRow>, EngineError> {
        let next = tokio::time::timeout(self.silence_limit, self.rows.next()).await;
        let row = next.map_err(|_| EngineError::timeout(Self::ACTION, self.silence_limit))?;
        row.map_err(|error| EngineError::from_client(Self::ACTION, &error))
    }
}
