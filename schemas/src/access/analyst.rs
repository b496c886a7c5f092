//! A tenant's analyst: what they read, what hides the others, and how much a query of theirs may take.

use audit_event::TenantId;

use super::DatabaseName;
use super::quote::literal;

pub const USER_PREFIX: &str = "analyst_";
pub const ROLE: &str = "sealtrail_analyst";
pub const PROFILE: &str = "sealtrail_analyst";

/// Tables whose every row says whose it is. Dead letters are not among them: a dead letter's tenant is only what its
/// key claims; nor are batches and trails, which are nobody's.
pub const TABLES: &[&str] = &["events", "duplicates"];
/// Views over them; they run with the rights of who asks.
pub const VIEWS: &[&str] = &["audit_events"];

/// Table functions that a reader may call and that pass row policies by: those that show a table's keys, its text
/// index's words or its projections, and those that ask other servers under another name. Seen on ClickHouse 26.7.
pub const CLOSED_FUNCTIONS: &[&str] = &[
    "mergeTreeIndex",
    "mergeTreeTextIndex",
    "mergeTreeProjection",
    "mergeTreeAnalyzeIndexes",
    "mergeTreeAnalyzeIndexesUUID",
    "cluster",
    "clusterAllReplicas",
    "eval",
];
/// The database under which ClickHouse looks up the row policies of a table function.
pub const FUNCTIONS_DATABASE: &str = "_table_function";

/// Seconds that a query may run.
pub const MAX_EXECUTION_S: u64 = 60;
pub const MAX_MEMORY_BYTES: u64 = 2 * 1024 * 1024 * 1024;
pub const MAX_RESULT_ROWS: u64 = 1_000_000;
pub const MAX_RESULT_BYTES: u64 = 1024 * 1024 * 1024;
pub const MAX_CONCURRENT_QUERIES: u64 = 8;

/// Whether an analyst may change a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    Never,
    /// To anything from 1 to the value; not to 0, which is without bound.
    Down,
}

/// A setting of the analysts' profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    pub name: &'static str,
    pub value: u64,
    pub change: Change,
}

const fn bound(name: &'static str, value: u64, change: Change) -> Bound {
    Bound { name, value, change }
}

pub const BOUNDS: &[Bound] = &[
    // nothing may be written, and no setting changed but those that say so
    bound("readonly", 1, Change::Never),
    bound("max_execution_time", MAX_EXECUTION_S, Change::Down),
    bound("max_memory_usage", MAX_MEMORY_BYTES, Change::Never),
    bound("max_result_rows", MAX_RESULT_ROWS, Change::Down),
    bound("max_result_bytes", MAX_RESULT_BYTES, Change::Down),
    bound("max_concurrent_queries_for_user", MAX_CONCURRENT_QUERIES, Change::Never),
    // EXPLAIN shows what a skip index decides, and an index over rows of several tenants decides by all of them
    bound("use_skip_indexes", 0, Change::Never),
    // shared by all users, and filled before row policies
    bound("use_query_condition_cache", 0, Change::Never),
];

/// What a row must fulfil to be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowFilter {
    pub database: String,
    pub table: &'static str,
    pub condition: String,
}

/// Only the tenant's own rows.
pub fn tenant_filters(database: &DatabaseName, tenant: &TenantId) -> Vec<RowFilter> {
    let condition = format!("tenant_id = {}", literal(tenant.as_str()));
    let filter = |table: &&'static str| RowFilter {
        database: database.to_string(),
        table,
        condition: condition.clone(),
    };
    TABLES.iter().map(filter).collect()
}

/// The same for every analyst: no way round by the functions above, nor by the sizes of tables that hold all tenants.
pub fn common_filters(database: &DatabaseName) -> Vec<RowFilter> {
    let name = literal(database.as_str());
    let views: Vec<_> = VIEWS.iter().map(|view| literal(view)).collect();
    let filter = |database: &str, table, condition: String| RowFilter {
        database: database.to_owned(),
        table,
        condition,
    };
    let closed = CLOSED_FUNCTIONS.iter().map(|name| filter(FUNCTIONS_DATABASE, name, "0".to_owned()));
    let sizes = [
        filter("system", "tables", format!("database != {name} OR engine = 'View'")),
        filter("system", "columns", format!("database != {name} OR table IN ({})", views.join(", "))),
    ];
    closed.chain(sizes).collect()
}
