//! Dead letters counted by reason and claimed tenant.

use super::{HEAD_KEY_BYTES, LetterFilter};
use crate::client::{ClickHouse, EngineError};
use crate::sql::Sql;

/// Groups of a summary.
pub const MAX_GROUPS: usize = 10_000;

/// How many letters share a reason and a claimed tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterGroup {
    pub reason: String,
    pub tenant: String,
    pub letters: u64,
    /// Those under whose key an event is stored.
    pub resolved: u64,
    /// Those that carry the header of a replay.
    pub replays: u64,
    pub first_received_ms: i64,
    pub last_received_ms: i64,
}

impl ClickHouse {
    /// Counts the letters by reason and claimed tenant, the most first; at most [`MAX_GROUPS`].
    pub async fn letter_groups(
        &self,
        filter: &LetterFilter,
        header: &'static str,
    ) -> Result<Vec<LetterGroup>, EngineError> {
        // an event under the letter's key is looked for; what is no id is NULL, and found nowhere
        let condition = filter.condition();
        let sql = Sql::new(format!(
            "WITH letters AS (SELECT reason, tenant_id, received_at, has(header_names, {{header:String}}) AS is_replay, \
                 substring(record_key, length(tenant_id) + 2) AS id_text, \
                 if(length(id_text) = 36, toUUIDOrNull(id_text), NULL) AS id FROM dead_letters WHERE {condition}) \
             SELECT toString(reason) AS reason_text, substringUTF8(toString(tenant_id), 1, {HEAD_KEY_BYTES}) AS tenant, count() AS letters, \
                 countIf(id IS NOT NULL AND reason NOT IN ('conflicting_duplicate', 'foreign_tenant') \
                     AND (toString(tenant_id), assumeNotNull(id)) IN (SELECT toString(tenant_id), event_id FROM events \
                         WHERE event_id IN (SELECT assumeNotNull(id) FROM letters WHERE id IS NOT NULL))) AS resolved, \
                 countIf(is_replay) AS replays, toUnixTimestamp64Milli(min(received_at)) AS first_received_ms, \
                 toUnixTimestamp64Milli(max(received_at)) AS last_received_ms \
             FROM letters GROUP BY reason_text, tenant ORDER BY letters DESC, reason_text, tenant LIMIT {MAX_GROUPS}"
        ))
        .param("header", header);
        let rows: Vec<(String, String, u64, u64, u64, i64, i64)> =
            self.fetch_all("count the dead letters", filter.params(sql)).await?;
        let group = |(reason, tenant, letters, resolved, replays, first_received_ms, last_received_ms)| {
            LetterGroup { reason, tenant, letters, resolved, replays, first_received_ms, last_received_ms }
        };
        Ok(rows.into_iter().map(group).collect())
    }
}
