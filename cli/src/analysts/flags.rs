//! How `analysts` is called.

use std::path::PathBuf;

use audit_event::TenantId;
use clap::{Args, Subcommand};
use schemas::access::DatabaseName;

use crate::connect::ClickHouseFlags;

const CREATE_HELP: &str = "\
Examples:
  sealtrail analysts create payroll
  sealtrail analysts create payroll --file payroll.password
  sealtrail analysts create payroll --on-cluster main

The user is analyst_TENANT. It reads the tenant's own rows of events, duplicates and audit_events, and nothing else;
ClickHouse's row policies see to that, and the command tries them before it ends. Where the user is there already, it
gets a new password and the policies anew.

JSON: {\"tenant_id\", \"user\", \"password\", \"file\"}; password is null where a file has it";

const LIST_HELP: &str = "\
Examples:
  sealtrail analysts list

JSON: {\"analysts\": [{\"tenant_id\", \"user\", \"storage\"}]}; storage is where the server keeps the user";

const REMOVE_HELP: &str = "\
Examples:
  sealtrail analysts remove payroll

JSON: {\"tenant_id\", \"user\", \"removed\": true}";

const SQL_HELP: &str = "\
Examples:
  sealtrail analysts sql
  sealtrail analysts sql payroll --file payroll.password
  sealtrail analysts sql payroll --on-cluster main

For an administrator who runs it by hand. With a tenant: its analyst, with a new password, of which the SQL holds the
hash; the password goes to the file, or to standard error. Without: the roles of owner, processor and query API.

JSON: {\"statements\": [sql]}";

#[derive(Debug, Subcommand)]
pub enum AnalystCommand {
    /// Make a tenant's analyst in ClickHouse, or give one a new password; it is shown once
    #[command(after_help = CREATE_HELP)]
    Create(CreateFlags),
    /// List the analysts
    #[command(after_help = LIST_HELP)]
    List(ClickHouseFlags),
    /// Take a tenant's analyst away
    #[command(after_help = REMOVE_HELP)]
    Remove(RemoveFlags),
    /// Print the SQL instead of running it
    #[command(after_help = SQL_HELP)]
    Sql(SqlFlags),
}

#[derive(Debug, Args)]
pub struct ClusterFlags {
    /// Run it on every server of this cluster
    #[arg(long, value_name = "CLUSTER")]
    pub on_cluster: Option<String>,
}

#[derive(Debug, Args)]
pub struct CreateFlags {
    /// Whose events the analyst may read
    pub tenant: TenantId,
    /// Write the password to this file instead of showing it
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub cluster: ClusterFlags,
    #[command(flatten)]
    pub clickhouse: ClickHouseFlags,
}

#[derive(Debug, Args)]
pub struct RemoveFlags {
    /// Whose analyst goes
    pub tenant: TenantId,
    #[command(flatten)]
    pub cluster: ClusterFlags,
    #[command(flatten)]
    pub clickhouse: ClickHouseFlags,
}

#[derive(Debug, Args)]
pub struct SqlFlags {
    /// Whose events the analyst may read; without it the roles of the services are printed
    pub tenant: Option<TenantId>,
    /// Write the password to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// The database of the tables
    #[arg(long, default_value = "sealtrail")]
    pub database: DatabaseName,
    #[command(flatten)]
    pub cluster: ClusterFlags,
}
