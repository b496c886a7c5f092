//! Sealtrail's own services and commands, found beside this program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use audit_event::TenantId;
use schemas::access::Account;

use crate::accounts::Accounts;
use crate::clickhouse::DATABASE;
use crate::layout::Layout;
use crate::ports::Ports;
use crate::secured::users::{KafkaUser, KafkaUsers};
use crate::secured::{REGISTRY_USER, Security};
use crate::supervise::Service;

/// The addresses of the engines that the services use, ours or foreign.
#[derive(Clone)]
pub struct Engines {
    pub kafka: String,
    pub topic_check: &'static str,
    pub registry_url: String,
    pub clickhouse: ClickHouseAccess,
    /// TLS and passwords, if the stack is secured.
    pub security: Option<Security>,
}

#[derive(Debug, Clone)]
pub struct ClickHouseAccess {
    /// Without the query string.
    pub url: String,
    pub database: String,
    pub owner: Login,
    pub processor: Login,
    pub query_api: Login,
    /// The demo tenant's, where the stack makes the users.
    pub analyst: Option<Login>,
}

#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: String,
}

impl Login {
    /// The stack's own ClickHouse with this login.
    pub fn url(&self, base: &str, database: &str) -> String {
        let fields = [("database", database), ("user", &self.user), ("password", &self.password)];
        // a person's own password may hold any character
        let url = reqwest::Url::parse_with_params(&format!("{base}/"), fields);
        url.expect("a server's address is a URL").into()
    }
}

impl ClickHouseAccess {
    /// As `SEALTRAIL_CLICKHOUSE_URL` holds it.
    pub fn owner_url(&self) -> String {
        self.owner.url(&self.url, &self.database)
    }

    /// As `SEALTRAIL_ANALYST_URL` holds it.
    fn analyst_url(&self) -> Option<String> {
        self.analyst.as_ref().map(|login| login.url(&self.url, &self.database))
    }

    pub fn local(url: String, accounts: &Accounts, demo: TenantId) -> anyhow::Result<Self> {
        Ok(Self {
            url,
            database: DATABASE.to_owned(),
            owner: accounts.login(&Account::Owner)?,
            processor: accounts.login(&Account::Processor)?,
            query_api: accounts.login(&Account::QueryApi)?,
            analyst: Some(accounts.login(&Account::Analyst(demo))?),
        })
    }
}

impl Engines {
    /// What the `sealtrail` command reads. What a plain stack does not need is empty, so that a shell that knew a
    /// secured one forgets it.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let path = |path: Option<&PathBuf>| path.map(|p| p.display().to_string()).unwrap_or_default();
        let security = self.security.as_ref();
        vec![
            ("SEALTRAIL_KAFKA", self.kafka.clone()),
            ("SEALTRAIL_KAFKA_CONFIG", path(security.map(|s| &s.owner_settings))),
            ("SEALTRAIL_REGISTRY_URL", self.registry_owner_url()),
            ("SEALTRAIL_CLICKHOUSE_URL", self.clickhouse.owner_url()),
            ("SEALTRAIL_ANALYST_URL", self.clickhouse.analyst_url().unwrap_or_default()),
            ("SEALTRAIL_CA_FILE", path(security.map(|s| &s.certificates.ca))),
        ]
    }

    /// With the login, which stands before the host.
    fn registry_owner_url(&self) -> String {
        match (&self.security, self.registry_url.split_once("://")) {
            (Some(security), Some((scheme, host))) => {
                format!("{scheme}://{REGISTRY_USER}:{}@{host}", security.registry_password)
            }
            _ => self.registry_url.clone(),
        }
    }

    /// What kcat needs besides the address.
    pub fn kcat_flags(&self) -> String {
        let file = self.security.as_ref().map(|security| security.owner_properties.display());
        file.map(|file| format!(" -F {file}")).unwrap_or_default()
    }
}

/// The file of the key that signs receipts, among the secrets.
pub const RECEIPT_KEY: &str = "receipt-key";
const RECEIPT_KEY_NAME: &str = "local.sealtrail/receipts";

/// Makes the key that signs receipts, once.
pub async fn make_receipt_key(layout: &Layout) -> anyhow::Result<()> {
    let file = layout.secret_file(RECEIPT_KEY).display().to_string();
    sealtrail(&["receipt-keys", "create", "--name", RECEIPT_KEY_NAME, "--file", &file], &[]).await?;
    Ok(())
}

/// The file of the secret that the logs' keys come from, among the secrets.
const LOG_KEY: &str = "log-key";
const LOG_NAME: &str = "local.sealtrail/audit";

/// Makes the secret of the logs' keys, once.
pub async fn make_log_key(layout: &Layout) -> anyhow::Result<()> {
    let file = layout.secret_file(LOG_KEY).display().to_string();
    sealtrail(&["log-keys", "create", "--name", LOG_NAME, "--file", &file], &[]).await?;
    Ok(())
}

/// Writes what an auditor needs to believe the logs, beside the address list.
pub async fn write_policy(layout: &Layout, variables: &[(&str, String)]) -> anyhow::Result<()> {
    let file = layout.secret_file(LOG_KEY).display().to_string();
    let policy = sealtrail(&["log-keys", "policy", "--file", &file], variables).await?;
    std::fs::write(layout.policy(), policy).with_context(|| format!("write {}", layout.policy().display()))
}

pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    if !path.is_file() {
        bail!("{} is not built; run `make build`", path.display());
    }
    Ok(path)
}

pub fn gateway(engines: &Engines, layout: &Layout, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-gateway")?);
    common(&mut command, "GATEWAY", engines, |users| &users.gateway);
    registry(&mut command, "GATEWAY", engines);
    set(&mut command, "GATEWAY", "HTTP__LISTEN", &ports.gateway.to_string());
    set(&mut command, "GATEWAY", "ADMIN__LISTEN", &ports.gateway_admin.to_string());
    set(&mut command, "GATEWAY", "PEPPER_FILE", &layout.secret_file("pepper").display().to_string());
    set_path(&mut command, "GATEWAY", "RECEIPTS__KEY_FILE", &layout.secret_file(RECEIPT_KEY));
    set_path(
        &mut command,
        "GATEWAY",
        "RECEIPTS__LISTED_KEYS_FILE",
        &layout.secret_file("receipt-keys.listed"),
    );
    set_path(&mut command, "GATEWAY", "DELIVERY__BOOK_FILE", &layout.data("gateway-buffered"));
    Ok(Service::new("gateway", command))
}

pub fn processor(engines: &Engines, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-processor")?);
    common(&mut command, "PROCESSOR", engines, |users| &users.processor);
    registry(&mut command, "PROCESSOR", engines);
    set(&mut command, "PROCESSOR", "ADMIN__LISTEN", &ports.processor_admin.to_string());
    set(&mut command, "PROCESSOR", "GROUP__INSTANCE_ID", "local-processor");
    clickhouse(&mut command, "PROCESSOR", engines, &engines.clickhouse.processor);
    Ok(Service::new("processor", command))
}

pub fn sealer(engines: &Engines, layout: &Layout, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-sealer")?);
    common(&mut command, "SEALER", engines, |users| &users.sealer);
    set(&mut command, "SEALER", "ADMIN__LISTEN", &ports.sealer_admin.to_string());
    set_path(&mut command, "SEALER", "KEY_FILE", &layout.secret_file(LOG_KEY));
    set_path(&mut command, "SEALER", "STORE_DIR", &layout.data("sealed"));
    Ok(Service::new("sealer", command))
}

pub fn query_api(engines: &Engines, layout: &Layout, ports: &Ports) -> anyhow::Result<Service> {
    let mut command = Command::new(program("sealtrail-query-api")?);
    common(&mut command, "QUERY_API", engines, |users| &users.query_api);
    set(&mut command, "QUERY_API", "HTTP__LISTEN", &ports.query.to_string());
    set(&mut command, "QUERY_API", "ADMIN__LISTEN", &ports.query_admin.to_string());
    set(&mut command, "QUERY_API", "PEPPER_FILE", &layout.secret_file("pepper").display().to_string());
    clickhouse(&mut command, "QUERY_API", engines, &engines.clickhouse.query_api);
    Ok(Service::new("query-api", command))
}

/// `user` is who the service is at Kafka.
fn common(command: &mut Command, service: &str, engines: &Engines, user: fn(&KafkaUsers) -> &KafkaUser) {
    set(command, service, "KAFKA__BROKERS", &engines.kafka);
    set(command, service, "KAFKA__TOPIC_CHECK", engines.topic_check);
    if let Some(security) = &engines.security {
        let user = user(&security.users);
        set(command, service, "KAFKA__SECURITY__PROTOCOL", "sasl_ssl");
        set_path(command, service, "KAFKA__SECURITY__CA_FILE", &security.certificates.ca);
        set(command, service, "KAFKA__SECURITY__MECHANISM", user.mechanism.setting());
        set(command, service, "KAFKA__SECURITY__USERNAME", user.name);
        set_path(command, service, "KAFKA__SECURITY__PASSWORD_FILE", &user.password_file);
    }
}

fn registry(command: &mut Command, service: &str, engines: &Engines) {
    set(command, service, "REGISTRY__URL", &engines.registry_url);
    if let Some(security) = &engines.security {
        set_path(command, service, "REGISTRY__CA_FILE", &security.certificates.ca);
        set(command, service, "REGISTRY__USERNAME", REGISTRY_USER);
        set_path(command, service, "REGISTRY__PASSWORD_FILE", &security.registry_password_file);
    }
}

fn clickhouse(command: &mut Command, service: &str, engines: &Engines, login: &Login) {
    let access = &engines.clickhouse;
    if let Some(security) = &engines.security {
        set_path(command, service, "CLICKHOUSE__CA_FILE", &security.certificates.ca);
    }
    set(command, service, "CLICKHOUSE__URL", &access.url);
    set(command, service, "CLICKHOUSE__DATABASE", &access.database);
    set(command, service, "CLICKHOUSE__USER", &login.user);
    set(command, service, "CLICKHOUSE__PASSWORD", &login.password);
}

fn set_path(command: &mut Command, service: &str, key: &str, path: &Path) {
    set(command, service, key, &path.display().to_string());
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
