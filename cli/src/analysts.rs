//! `analysts`: users of ClickHouse who read one tenant's events by SQL.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use audit_event::TenantId;
use clap::{Args, Subcommand};
use clickhouse_io::{ClickHouse, EngineError, Sql};
use reqwest::Url;
use schemas::access::analyst::USER_PREFIX;
use schemas::access::probes::{Expected, Probe, probes};
use schemas::access::sql::SqlRenderer;
use schemas::access::{Account, DatabaseName, PasswordHash};
use serde::Serialize;

use crate::connect::ClickHouseFlags;
use crate::credentials::{random_text, write_secret};
use crate::output::{self, Format, Show};

/// 40 letters and digits are 238 bits.
const PASSWORD_CHARS: usize = 40;

/// ClickHouse's codes for what it may refuse here. Source: src/Common/ErrorCodes.cpp.
const UNKNOWN_FUNCTION: u32 = 46;
const ACCESS_DENIED: u32 = 497;

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
    on_cluster: Option<String>,
}

#[derive(Debug, Args)]
pub struct CreateFlags {
    /// Whose events the analyst may read
    tenant: TenantId,
    /// Write the password to this file instead of showing it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    clickhouse: ClickHouseFlags,
}

#[derive(Debug, Args)]
pub struct RemoveFlags {
    /// Whose analyst goes
    tenant: TenantId,
    #[command(flatten)]
    cluster: ClusterFlags,
    #[command(flatten)]
    clickhouse: ClickHouseFlags,
}

#[derive(Debug, Args)]
pub struct SqlFlags {
    /// Whose events the analyst may read; without it the roles of the services are printed
    tenant: Option<TenantId>,
    /// Write the password to this file instead of standard error
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The database of the tables
    #[arg(long, default_value = "sealtrail")]
    database: DatabaseName,
    #[command(flatten)]
    cluster: ClusterFlags,
}

/// An analyst just made.
#[derive(Debug, Serialize)]
struct NewAnalyst {
    tenant_id: TenantId,
    user: String,
    password: Option<String>,
    file: Option<PathBuf>,
}

impl Show for NewAnalyst {
    fn text(&self) -> String {
        match (&self.password, &self.file) {
            (Some(password), _) => format!("user {}, password {password}", self.user),
            (None, Some(file)) => format!("user {}, password in {}", self.user, file.display()),
            (None, None) => format!("user {}", self.user),
        }
    }
}

#[derive(Debug, Serialize)]
struct AnalystView {
    tenant_id: TenantId,
    user: String,
    storage: String,
}

#[derive(Debug, Serialize)]
struct Analysts {
    analysts: Vec<AnalystView>,
}

impl Show for Analysts {
    fn text(&self) -> String {
        let row = |a: &AnalystView| [a.tenant_id.to_string(), a.user.clone(), a.storage.clone()];
        output::table(["tenant", "user", "storage"], self.analysts.iter().map(row))
    }
}

#[derive(Debug, Serialize)]
struct Removed {
    tenant_id: TenantId,
    user: String,
    removed: bool,
}

impl Show for Removed {
    fn text(&self) -> String {
        format!("{} is gone", self.user)
    }
}

#[derive(Debug, Serialize)]
struct Statements {
    statements: Vec<String>,
}

impl Show for Statements {
    fn text(&self) -> String {
        self.statements.iter().map(|statement| format!("{statement};\n")).collect()
    }
}

pub async fn run(command: AnalystCommand, format: Format) -> anyhow::Result<()> {
    match command {
        AnalystCommand::Create(flags) => create(&flags, format).await,
        AnalystCommand::List(flags) => {
            let analysts = known(&flags.connect()?).await?;
            format.print(&Analysts { analysts })
        }
        AnalystCommand::Remove(flags) => remove(&flags, format).await,
        AnalystCommand::Sql(flags) => print_sql(&flags, format),
    }
}

async fn create(flags: &CreateFlags, format: Format) -> anyhow::Result<()> {
    let engine = flags.clickhouse.connect()?;
    let database: DatabaseName = engine.database().parse()?;
    require_storage(&engine, &flags.tenant).await?;
    let user = Account::Analyst(flags.tenant.clone()).user();
    let password = random_text(PASSWORD_CHARS);
    let renderer = SqlRenderer::new(&database, flags.cluster.on_cluster.as_deref());
    for statement in renderer.create_analyst(&flags.tenant, &PasswordHash::of(&password)) {
        execute(&engine, "make an analyst", statement, &flags.tenant).await?;
    }
    let analyst = login(&flags.clickhouse, &user, &password)?.connect()?;
    if let Err(hole) = try_walls(&analyst, &probes(&database, &flags.tenant)).await {
        for statement in renderer.remove_analyst(&flags.tenant) {
            execute(&engine, "take an analyst away", statement, &flags.tenant).await?;
        }
        return Err(hole.context(format!("{user} was taken away again")));
    }
    if let Some(file) = &flags.file {
        keep(file, &password)?;
    }
    let shown = flags.file.is_none().then_some(password);
    format.print(&NewAnalyst {
        tenant_id: flags.tenant.clone(),
        user,
        password: shown,
        file: flags.file.clone(),
    })
}

async fn remove(flags: &RemoveFlags, format: Format) -> anyhow::Result<()> {
    let engine = flags.clickhouse.connect()?;
    let database: DatabaseName = engine.database().parse()?;
    let user = Account::Analyst(flags.tenant.clone()).user();
    if !known(&engine).await?.iter().any(|analyst| analyst.tenant_id == flags.tenant) {
        bail!("there is no analyst of tenant {}; `sealtrail analysts list` shows who there is", flags.tenant);
    }
    require_storage(&engine, &flags.tenant).await?;
    let renderer = SqlRenderer::new(&database, flags.cluster.on_cluster.as_deref());
    for statement in renderer.remove_analyst(&flags.tenant) {
        execute(&engine, "take an analyst away", statement, &flags.tenant).await?;
    }
    format.print(&Removed { tenant_id: flags.tenant.clone(), user, removed: true })
}

fn print_sql(flags: &SqlFlags, format: Format) -> anyhow::Result<()> {
    let renderer = SqlRenderer::new(&flags.database, flags.cluster.on_cluster.as_deref());
    let Some(tenant) = &flags.tenant else {
        return format.print(&Statements { statements: renderer.service_roles() });
    };
    let password = random_text(PASSWORD_CHARS);
    match &flags.file {
        Some(file) => keep(file, &password)?,
        None => eprintln!("{}'s password, shown once: {password}", Account::Analyst(tenant.clone()).user()),
    }
    format.print(&Statements { statements: renderer.create_analyst(tenant, &PasswordHash::of(&password)) })
}

/// Says what to do where the server reads its users from a file only, as the local engine does.
async fn require_storage(engine: &ClickHouse, tenant: &TenantId) -> anyhow::Result<()> {
    let sql = Sql::new("SELECT count() FROM system.user_directories WHERE type NOT IN ('users_xml', 'ldap')");
    let writable: u64 = engine.fetch_one("read where users are stored", sql).await?;
    if writable == 0 {
        bail!(
            "this clickhouse stores no users, it reads them from a file; in the local stack run \
             `sealtrail-local-stack analyst {tenant}` (with --remove to take one away)"
        );
    }
    Ok(())
}

async fn execute(
    engine: &ClickHouse,
    action: &'static str,
    statement: String,
    tenant: &TenantId,
) -> anyhow::Result<()> {
    match engine.execute(action, Sql::new(statement)).await {
        Err(error) if error.code == Some(ACCESS_DENIED) => Err(error).with_context(|| {
            format!(
                "the user of SEALTRAIL_CLICKHOUSE_URL may not manage users; let an administrator run what \
                 `sealtrail analysts sql {tenant}` prints"
            )
        }),
        done => Ok(done?),
    }
}

/// Fails with the first way round that is open.
async fn try_walls(analyst: &ClickHouse, probes: &[Probe]) -> anyhow::Result<()> {
    for Probe { sql, expected } in probes {
        let answer = analyst.fetch_one::<u64>("try the new analyst", Sql::new(sql.clone())).await;
        if !holds(&answer, *expected) {
            let got = answer.map_or_else(|error| error.to_string(), |count| count.to_string());
            bail!(
                "the analyst could see more than the tenant's own: `{sql}` answered {got}; does the server have \
                 access_control_improvements.select_from_system_db_requires_grant, as its own config.xml does?"
            );
        }
    }
    Ok(())
}

fn holds(answer: &Result<u64, EngineError>, expected: Expected) -> bool {
    match (answer, expected) {
        (Ok(count), Expected::Zero) => *count == 0,
        (Ok(_), Expected::Refused) => false,
        // another version may not have the function
        (Err(error), Expected::Zero) => matches!(error.code, Some(ACCESS_DENIED | UNKNOWN_FUNCTION)),
        (Err(error), Expected::Refused) => error.code == Some(ACCESS_DENIED),
    }
}

async fn known(engine: &ClickHouse) -> anyhow::Result<Vec<AnalystView>> {
    let sql = Sql::new(
        "SELECT name, toString(storage) FROM system.users WHERE startsWith(name, {prefix:String}) ORDER BY name",
    )
    .param("prefix", USER_PREFIX);
    let users: Vec<(String, String)> = engine.fetch_all("list the users", sql).await?;
    let view = |(user, storage): (String, String)| {
        let tenant_id = user.strip_prefix(USER_PREFIX)?.parse().ok()?;
        Some(AnalystView { tenant_id, user, storage })
    };
    Ok(users.into_iter().filter_map(view).collect())
}

/// The same server under another login.
fn login(flags: &ClickHouseFlags, user: &str, password: &str) -> anyhow::Result<ClickHouseFlags> {
    let mut url = Url::parse(&flags.clickhouse).context("SEALTRAIL_CLICKHOUSE_URL is not a URL")?;
    let kept: Vec<_> = url.query_pairs().into_owned().filter(|(key, _)| key == "database").collect();
    url.query_pairs_mut().clear().extend_pairs(kept).extend_pairs([("user", user), ("password", password)]);
    Ok(ClickHouseFlags { clickhouse: url.into() })
}

fn keep(file: &Path, password: &str) -> anyhow::Result<()> {
    write_secret(file, password).with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use clickhouse_io::ErrorKind;

    use super::*;

    #[test]
    fn a_wall_holds_only_by_nothing_or_by_a_refusal() {
        let error = |code| {
            Err(EngineError { action: "test", cause: String::new(), kind: ErrorKind::Stop, code: Some(code) })
        };
        assert!(holds(&Ok(0), Expected::Zero) && holds(&error(ACCESS_DENIED), Expected::Refused));
        assert!(holds(&error(UNKNOWN_FUNCTION), Expected::Zero));
        assert!(!holds(&Ok(1), Expected::Zero) && !holds(&Ok(0), Expected::Refused));
        assert!(!holds(&error(UNKNOWN_FUNCTION), Expected::Refused) && !holds(&error(60), Expected::Zero));
    }

    #[test]
    fn another_login_keeps_server_and_database() {
        let owner = "https://host:8443/?database=d1&user=sealtrail&password=old";
        let flags = ClickHouseFlags { clickhouse: owner.to_owned() };
        let analyst = login(&flags, "analyst_a", "new").expect("a URL");
        assert_eq!(analyst.clickhouse, "https://host:8443/?database=d1&user=analyst_a&password=new");
    }
}
