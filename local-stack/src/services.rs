//! Sealtrail's own services and commands, found beside this program.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::clickhouse::{DATABASE, PROCESSOR, QUERY_API};
use crate::layout::Layout;
use crate::ports::Ports;
use crate::supervise::Service;

/// The addresses of the engines that the services use, ours or foreign.
#[derive(Debug, Clone)]
pub struct Engines {
    pub kafka: String,
    pub topic_check: &'static str,
    pub registry_url: String,
    pub clickhouse: ClickHouseAccess,
}

#[derive(Debug, Clone)]
pub struct ClickHouseAccess {
    /// Without the query string.
    pub url: String,
    pub database: String,
    pub owner: Login,
    pub processor: Login,
    pub query_api: Login,
}

#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl ClickHouseAccess {
    /// As `SEALTRAIL_CLICKHOUSE_URL` holds it.
    pub fn owner_url(&self) -> String {
        let Login { user, password } = &self.owner;
        format!("{}/?database={}&user={user}&password={password}", self.url, self.database)
    }

    pub fn local(ports: &Ports, owner: String, processor: String, query_api: String) -> Self {
        let login = |user: &str, password| Login { user: user.to_owned(), password };
        Self {
            url: format!("http://{}", ports.clickhouse),
            database: DATABASE.to_owned(),
            owner: login(crate::clickhouse::OWNER, owner),
            processor: login(PROCESSOR, processor),
            query_api: login(QUERY_API, query_api),
        }
    }
}

fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        bail!("{} is not built; run `make build`", path.display());
    }
    Ok(path)
}

pub fn gateway(engines: &Engines, layout: &Layout, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-gateway")?);
    common(&mut command, "GATEWAY", engines);
    set(&mut command, "GATEWAY", "HTTP__LISTEN", &ports.gateway.to_string());
    set(&mut command, "GATEWAY", "ADMIN__LISTEN", &ports.gateway_admin.to_string());
    set(&mut command, "GATEWAY", "REGISTRY__URL", &engines.registry_url);
    set(&mut command, "GATEWAY", "PEPPER_FILE", &layout.secret_file("pepper").display().to_string());
    Ok(Service::new("gateway", command))
}

pub fn processor(engines: &Engines, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-processor")?);
    common(&mut command, "PROCESSOR", engines);
    set(&mut command, "PROCESSOR", "ADMIN__LISTEN", &ports.processor_admin.to_string());
    set(&mut command, "PROCESSOR", "REGISTRY__URL", &engines.registry_url);
    set(&mut command, "PROCESSOR", "GROUP__INSTANCE_ID", "local-processor");
    clickhouse(&mut command, "PROCESSOR", &engines.clickhouse, &engines.clickhouse.processor);
    Ok(Service::new("processor", command))
}

pub fn query_api(engines: &Engines, layout: &Layout, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-query-api")?);
    common(&mut command, "QUERY_API", engines);
    set(&mut command, "QUERY_API", "HTTP__LISTEN", &ports.query.to_string());
    set(&mut command, "QUERY_API", "ADMIN__LISTEN", &ports.query_admin.to_string());
    set(&mut command, "QUERY_API", "PEPPER_FILE", &layout.secret_file("pepper").display().to_string());
    clickhouse(&mut command, "QUERY_API", &engines.clickhouse, &engines.clickhouse.query_api);
    Ok(Service::new("query-api", command))
}

fn common(command: &mut Command, service: &str, engines: &Engines) {
    set(command, service, "KAFKA__BROKERS", &engines.kafka);
    set(command, service, "KAFKA__TOPIC_CHECK", engines.topic_check);
}

fn clickhouse(command: &mut Command, service: &str, access: &ClickHouseAccess, login: &Login) {
    set(command, service, "CLICKHOUSE__URL", &access.url);
    set(command, service, "CLICKHOUSE__DATABASE", &access.database);
    set(command, service, "CLICKHOUSE__USER", &login.user);
    set(command, service, "CLICKHOUSE__PASSWORD", &login.password);
}

/// What the person who starts the stack has set stays.
fn set(command: &mut Command, service: &str, key: &str, value: &str) {
    let name = format!("SEALTRAIL_{service}__{key}");
    if std::env::var_os(&name).is_none() {
        command.env(name, value);
    }
}

/// Runs the `sealtrail` command as a person would, and answers what it said.
pub async fn sealtrail(arguments: &[&str], variables: &[(&str, String)]) -> anyhow::Result<String> {
    let mut command = tokio::process::Command::new(program("sealtrail")?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    for (name, value) in variables {
        command.env(name, value);
    }
    let output = command.output().await.context("sealtrail")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        bail!("`sealtrail {}` failed: {said}", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
