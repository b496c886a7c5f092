//! The engines: Kafka, the registry and ClickHouse, started here or foreign, plain or secured.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use audit_event::TenantId;
use clap::Args;

use crate::accounts::Accounts;
use crate::cluster::{Cluster, ClusterFlags};
use crate::layout::Layout;
use crate::ports::Ports;
use crate::secured::{REGISTRY_USER, Security};
use crate::services::{ClickHouseAccess, Engines, Login};
use crate::supervise::{Service, Supervisor};
use crate::{accounts, clickhouse, demo, fetch, kafka, ready};

const ENGINE_START: Duration = Duration::from_secs(60);
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Args)]
pub struct EngineChoice {
    /// TLS and passwords between all parts: Kafka (SASL_SSL), registry and ClickHouse (HTTPS)
    #[arg(long, env = "SEALTRAIL_SECURED", value_parser = clap::builder::FalseyValueParser::new())]
    pub secured: bool,
    /// Use these Kafka brokers instead of starting one
    #[arg(long, env = "SEALTRAIL_USE_KAFKA", value_name = "BROKERS")]
    use_kafka: Option<String>,
    /// Use this schema registry instead of starting one
    #[arg(long, env = "SEALTRAIL_USE_REGISTRY", value_name = "URL")]
    use_registry: Option<String>,
    /// Use this ClickHouse instead of starting one: http://host:8123/?user=…&password=…&database=…
    #[arg(long, env = "SEALTRAIL_USE_CLICKHOUSE", hide_env_values = true, value_name = "URL")]
    use_clickhouse: Option<String>,
    /// Make analysts of these tenants in ClickHouse, beside the one of demo
    #[arg(long = "analyst", env = "SEALTRAIL_ANALYSTS", value_delimiter = ',', value_name = "TENANT")]
    analysts: Vec<TenantId>,
    #[command(flatten)]
    cluster: ClusterFlags,
    /// A library to load into ClickHouse before all others, to try a disk that fails
    #[arg(long, hide = true, value_name = "FILE")]
    clickhouse_preload: Option<PathBuf>,
}

/// What the engines are started with.
pub struct Starter<'a> {
    pub supervisor: &'a mut Supervisor,
    pub choice: &'a EngineChoice,
    pub layout: &'a Layout,
    pub ports: &'a Ports,
}

struct Brokers {
    address: String,
    topic_check: &'static str,
}

impl EngineChoice {
    fn security(&self, layout: &Layout) -> anyhow::Result<Option<Security>> {
        if !self.secured {
            return Ok(None);
        }
        if self.use_kafka.is_some() || self.use_registry.is_some() || self.use_clickhouse.is_some() {
            bail!(
                "--secured is for the engines that the stack starts; leave out --use-kafka, --use-registry and --use-clickhouse"
            );
        }
        Security::create(layout).map(Some)
    }
}

impl Starter<'_> {
    /// Starts what is not foreign, and waits until it answers.
    pub async fn start(&mut self) -> anyhow::Result<Engines> {
        let security = self.choice.security(self.layout)?;
        let security_ref = security.as_ref();
        let client = http_client(security_ref)?;
        let brokers = self.start_kafka(security_ref).await?;
        let registry_url = self.start_registry(security_ref, &client, &brokers.address).await?;
        let clickhouse = self.start_clickhouse(security_ref, &client).await?;
        let Brokers { address: kafka, topic_check } = brokers;
        Ok(Engines { kafka, topic_check, registry_url, clickhouse, security })
    }

    /// Answers the brokers' address and how strictly topics are checked.
    async fn start_kafka(&mut self, security: Option<&Security>) -> anyhow::Result<Brokers> {
        if let Some(brokers) = &self.choice.use_kafka {
            return Ok(Brokers { address: brokers.clone(), topic_check: "single_broker" });
        }
        let libs = match kafka::check_java().await {
            Ok(()) => fetch::kafka().await.map_err(|error| format!("{error:#}")),
            Err(reason) => Err(reason),
        };
        match libs {
            Ok(libs) => {
                let cluster = Cluster::new(&self.choice.cluster, self.ports)?;
                self.start_nodes(&libs, &cluster, security).await?;
                Ok(Brokers { address: cluster.bootstrap(), topic_check: cluster.topic_check() })
            }
            Err(reason) if security.is_some() => {
                bail!("{reason}; the secured stack needs the real Kafka")
            }
            Err(reason) => {
                eprintln!(
                    "sealtrail: {reason}; using librdkafka's mock broker, which forgets (memory only, 5 MiB a partition) and keeps no promise"
                );
                Ok(Brokers { address: self.start_mock().await?, topic_check: "off" })
            }
        }
    }

    /// All at once: a controller is ready when most of them are there.
    async fn start_nodes(
        &mut self,
        libs: &Path,
        cluster: &Cluster,
        security: Option<&Security>,
    ) -> anyhow::Result<()> {
        for node in &cluster.nodes {
            let mut service =
                kafka::service(libs, self.layout, self.ports, (cluster, node), security).await?;
            if let Some(library) = &self.choice.cluster.broker_preload {
                service.set_env("LD_PRELOAD", library);
            }
            self.supervisor.start(service)?;
        }
        let properties = security.map(|s| s.properties(&s.users.owner)).unwrap_or_default();
        for node in &cluster.nodes {
            let address = node.client.to_string();
            let probe = || kafka::answers(&address, &properties, cluster.nodes.len());
            ready::wait(self.supervisor, node.name, ENGINE_START, probe).await?;
        }
        Ok(())
    }

    async fn start_mock(&mut self) -> anyhow::Result<String> {
        let address_file = self.layout.run_dir().join("mock-kafka.address");
        let _none_yet = fs::remove_file(&address_file);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("mock-kafka").arg("--address-file").arg(&address_file);
        self.supervisor.start(Service::new("kafka", command))?;
        let file: &PathBuf = &address_file;
        ready::wait(self.supervisor, "kafka", ENGINE_START, || async move {
            fs::read_to_string(file).is_ok_and(|text| !text.is_empty())
        })
        .await?;
        Ok(fs::read_to_string(&address_file)?)
    }

    async fn start_registry(
        &mut self,
        security: Option<&Security>,
        client: &reqwest::Client,
        brokers: &str,
    ) -> anyhow::Result<String> {
        if let Some(url) = &self.choice.use_registry {
            return Ok(url.clone());
        }
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["registry", "--listen", &self.ports.registry.to_string(), "--kafka", brokers]);
        let mut probe = client.get(format!("{}/subjects", url_of(security, self.ports.registry)));
        if let Some(security) = security {
            let properties = self.layout.secret_file("kafka-registry.properties");
            security.users.registry.write_properties(&properties, &security.certificates)?;
            command.arg("--kafka-properties").arg(properties);
            command.arg("--password-file").arg(&security.registry_password_file);
            command.arg("--certificate").arg(&security.certificates.server);
            command.arg("--key").arg(&security.certificates.server_key);
            probe = probe.basic_auth(REGISTRY_USER, Some(&security.registry_password));
        }
        self.supervisor.start(Service::new("registry", command))?;
        let probe = probe.build()?;
        let ask = || ready::answers(client, &probe);
        ready::wait(self.supervisor, "registry", ENGINE_START, ask).await?;
        Ok(url_of(security, self.ports.registry))
    }

    async fn start_clickhouse(
        &mut self,
        security: Option<&Security>,
        client: &reqwest::Client,
    ) -> anyhow::Result<ClickHouseAccess> {
        if let Some(url) = &self.choice.use_clickhouse {
            return foreign_clickhouse(url);
        }
        for tenant in std::iter::once(&demo::tenant()?).chain(&self.choice.analysts) {
            accounts::make_analyst(self.layout, tenant)?;
        }
        let accounts = Accounts::read(self.layout)?;
        let library = fetch::clickhouse().await?;
        let ports = self.ports;
        let plain = match security {
            None => (ports.clickhouse, ports.clickhouse_native),
            Some(_) => (ports.clickhouse_inner, ports.clickhouse_native_inner),
        };
        let mut engine = clickhouse::service(&library, self.layout, &accounts, plain)?;
        if let Some(library) = &self.choice.clickhouse_preload {
            engine.set_env("LD_PRELOAD", library);
        }
        self.supervisor.start(engine)?;
        if let Some(security) = security {
            self.supervisor.start(clickhouse::tls(ports, &security.certificates)?)?;
        }
        let url = url_of(security, ports.clickhouse);
        let ping = client.get(format!("{url}/ping")).build()?;
        ready::wait(self.supervisor, "clickhouse", ENGINE_START, || ready::answers(client, &ping)).await?;
        ClickHouseAccess::local(url, &accounts, demo::tenant()?)
    }
}

fn url_of(security: Option<&Security>, address: std::net::SocketAddr) -> String {
    let scheme = if security.is_some() { "https" } else { "http" };
    format!("{scheme}://{address}")
}

fn http_client(security: Option<&Security>) -> anyhow::Result<reqwest::Client> {
    let ca = security.map(|security| security.certificates.ca.as_path());
    let tls = client_security::client_config("the stack's own authority", ca)?;
    Ok(reqwest::Client::builder().timeout(PROBE_TIMEOUT).no_proxy().tls_backend_preconfigured(tls).build()?)
}

/// A server of the person's own: one login does everything, because its users are theirs to make.
fn foreign_clickhouse(url: &str) -> anyhow::Result<ClickHouseAccess> {
    let mut url = reqwest::Url::parse(url).context("SEALTRAIL_USE_CLICKHOUSE is not a URL")?;
    let (mut login, mut database) =
        (Login { user: "default".to_owned(), password: String::new() }, clickhouse::DATABASE.to_owned());
    for (key, value) in url.query_pairs() {
        match &*key {
            "user" => login.user = value.into_owned(),
            "password" => login.password = value.into_owned(),
            "database" => database = value.into_owned(),
            other => bail!(
                "SEALTRAIL_USE_CLICKHOUSE: unknown parameter {other}; user, password and database are read"
            ),
        }
    }
    url.set_query(None);
    let url = url.as_str().trim_end_matches('/').to_owned();
    let (owner, processor) = (login.clone(), login.clone());
    Ok(ClickHouseAccess { url, database, owner, processor, query_api: login, analyst: None })
}
