//! Ways round the filters, and what an analyst must get on each: asked after an analyst was made, and by the tests.

use audit_event::TenantId;

use super::DatabaseName;
use super::analyst::TABLES;
use super::quote::literal;

/// What the server must do with the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Answer with one row that holds 0.
    Zero,
    /// Refuse it for want of a right.
    Refused,
}

/// A query that an analyst might try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub sql: String,
    pub expected: Expected,
}

fn probe(sql: impl Into<String>, expected: Expected) -> Probe {
    Probe { sql: sql.into(), expected }
}

/// Queries that tell whether the walls stand, whatever the tables hold.
pub fn probes(database: &DatabaseName, tenant: &TenantId) -> Vec<Probe> {
    use Expected::{Refused, Zero};
    let tenant = literal(tenant.as_str());
    let own_tables = TABLES.iter().chain(super::analyst::VIEWS);
    let foreign = own_tables.map(|table| {
        probe(format!("SELECT count() FROM {database}.{table} WHERE tenant_id != {tenant}"), Zero)
    });
    let inside = TABLES.iter().flat_map(|table| {
        ["mergeTreeIndex", "mergeTreeAnalyzeIndexes"]
            .map(|function| probe(format!("SELECT count() FROM {function}('{database}', '{table}')"), Zero))
    });
    let words = ["message_text", "target_text", "attribute_text"].map(|index| {
        probe(format!("SELECT count() FROM mergeTreeTextIndex('{database}', 'events', '{index}')"), Zero)
    });
    let sizes = [probe(
        format!("SELECT count() FROM system.tables WHERE database = '{database}' AND total_rows > 0"),
        Zero,
    )];
    let others = ["dead_letters", "event_batches", "trails", "batch_accounting"]
        .map(|table| probe(format!("SELECT count() FROM {database}.{table}"), Refused));
    let system = ["parts", "parts_columns", "processes", "users", "row_policies", "data_skipping_indices"]
        .map(|table| probe(format!("SELECT count() FROM system.{table}"), Refused));
    let outside = [
        "SELECT count() FROM file('/etc/hostname', 'LineAsString')",
        "SELECT count() FROM url('http://127.0.0.1:1/', 'LineAsString')",
        "SELECT count() FROM remote('127.0.0.1:1', 'system', 'one')",
    ]
    .map(|sql| probe(sql, Refused));
    foreign.chain(inside).chain(words).chain(sizes).chain(others).chain(system).chain(outside).collect()
}
