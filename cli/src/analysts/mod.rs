//! `analysts`: users of ClickHouse who read one tenant's events by SQL.

mod answer;
mod flags;
mod walls;

use std::path::Path;

use anyhow::{Context, bail};
use audit_event::TenantId;
use clickhouse_io::{ClickHouse, Sql};
use client_security::private_file::{SECRET_CHARS, random_text, write_private};
use reqwest::Url;
use schemas::access::analyst::USER_PREFIX;
use schemas::access::probes::probes;
use schemas::access::sql::SqlRenderer;
use schemas::access::{Account, DatabaseName, PasswordHash};

use answer::{AnalystView, Analysts, NewAnalyst, Removed, Statements};
pub use flags::AnalystCommand;
use flags::{CreateFlags, RemoveFlags, SqlFlags};
use walls::{ACCESS_DENIED, try_walls};

use crate::connect::ClickHouseFlags;
use crate::output::Format;

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
    let password = random_text(SECRET_CHARS);
    // the file first: it must not be the old password's place that fails, when the old password is gone
    if let Some(file) = &flags.file {
        keep(file, &password)?;
    }
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
    let password = random_text(SECRET_CHARS);
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
    write_private(file, password).with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_login_keeps_server_and_database() {
        let owner = "https://host:8443/?database=d1&user=sealtrail&password=old";
        let flags = ClickHouseFlags { clickhouse: owner.to_owned() };
        let analyst = login(&flags, "analyst_a", "new").expect("a URL");
        assert_eq!(analyst.clickhouse, "https://host:8443/?database=d1&user=analyst_a&password=new");
    }
}
