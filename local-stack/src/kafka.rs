//! Apache Kafka: nodes that are broker and controller at once (KRaft).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::process::Command;

use crate::cluster::{Cluster, Node};
use crate::layout::{Layout, write_private};
use crate::ports::Ports;
use crate::secured::Security;
use crate::secured::users::{KafkaUsers, Mechanism};
use crate::supervise::Service;

const LEAST_JAVA: u32 = 17;
const SCRAM_MODULE: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Whether a Java is here that Kafka runs on; where not, why.
pub async fn check_java() -> Result<(), String> {
    let asked = Command::new("java").arg("-version").stdin(Stdio::null()).output().await;
    let Ok(output) = asked else {
        return Err(format!("java is missing; install Java {LEAST_JAVA} or newer"));
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let version = said.split('"').nth(1).and_then(|text| text.split('.').next()?.parse::<u32>().ok());
    match version {
        Some(version) if version >= LEAST_JAVA => Ok(()),
        Some(version) => Err(format!("java is version {version}; install {LEAST_JAVA} or newer")),
        None => Err(format!("`java -version` says no version; install Java {LEAST_JAVA} or newer")),
    }
}

/// Prepares the data directory and answers how to start the broker.
pub async fn service(
    libs: &Path,
    layout: &Layout,
    ports: &Ports,
    (cluster, node): (&Cluster, &Node),
    security: Option<&Security>,
) -> anyhow::Result<Service> {
    let data = layout.data(node.name);
    fs::create_dir_all(&data)?;
    let file = format!("{}.properties", node.name);
    let (properties, text) = match security {
        None => (layout.run_dir().join(file), plain_listener(node)),
        Some(_) if !cluster.is_single() => bail!("--secured has one broker; leave out --brokers"),
        // holds the passwords of those who use PLAIN
        Some(security) => (layout.secret_file(&file), secured_listener(ports, security)),
    };
    write_private(&properties, &format!("{text}{}", render(&data, cluster, node)))?;
    if !data.join("meta.properties").is_file() {
        let scram = security.map(|security| scram_arguments(layout, &security.users)).transpose()?;
        format_storage(libs, &properties, &cluster_id(layout)?, scram.as_deref()).await?;
    }
    let mut command = java(libs);
    command
        .args(["-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
        .arg("kafka.Kafka")
        .arg(&properties);
    Ok(Service::new(node.name, command))
}

/// Made once: all nodes have the same.
fn cluster_id(layout: &Layout) -> anyhow::Result<String> {
    let file = layout.data("kafka-cluster-id");
    if let Ok(id) = fs::read_to_string(&file) {
        return Ok(id);
    }
    let id = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
    fs::write(&file, &id).with_context(|| format!("write {}", file.display()))?;
    Ok(id)
}

fn java(libs: &Path) -> std::process::Command {
    let mut command = std::process::Command::new("java");
    command.arg("-cp").arg(libs.join("*"));
    command
}

/// The SCRAM users, as arguments in a file: what stands on a command line, everybody on the machine can read.
fn scram_arguments(layout: &Layout, users: &KafkaUsers) -> anyhow::Result<PathBuf> {
    let mut lines = Vec::new();
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha512] {
        for user in users.with(mechanism) {
            let (scram, name, password) = (mechanism.kafka_name(), user.name, &user.password);
            lines.push(format!("--add-scram\n{scram}=[name={name},password={password}]"));
        }
    }
    let file = layout.secret_file("kafka-scram.arguments");
    // the tool reads an empty line as an argument, and a written file ends with a line end of its own
    write_private(&file, &lines.join("\n"))?;
    Ok(file)
}

async fn format_storage(
    libs: &Path,
    properties: &Path,
    cluster_id: &str,
    more: Option<&Path>,
) -> anyhow::Result<()> {
    let mut command = java(libs);
    // joined by `=`, since an id may begin with a dash
    command.args(["kafka.tools.StorageTool", "format", &format!("--cluster-id={cluster_id}"), "-c"]);
    command.arg(properties);
    if let Some(file) = more {
        command.arg(format!("@{}", file.display()));
    }
    let output = Command::from(command).stdin(Stdio::null()).output().await.context("java")?;
    if !output.status.success() {
        bail!("kafka cannot format its directory: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn render(data: &Path, cluster: &Cluster, node: &Node) -> String {
    let (replicas, in_sync) = cluster.replication();
    format!(
        "process.roles=broker,controller\n\
         node.id={}\n\
         controller.quorum.voters={}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         min.insync.replicas={in_sync}\n\
         offsets.topic.replication.factor={replicas}\n\
         offsets.topic.num.partitions=8\n\
         transaction.state.log.replication.factor={replicas}\n\
         transaction.state.log.min.isr={in_sync}\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor={replicas}\n\
         share.coordinator.state.topic.min.isr={in_sync}\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         # commits carry announcements; they outlive any outage of the processor\n\
         offsets.retention.minutes=525600\n",
        node.id,
        cluster.voters(),
        data.display()
    )
}

fn plain_listener(node: &Node) -> String {
    let Node { client, controller, doors, .. } = node;
    let (mut listeners, mut advertised, mut map) = (String::new(), String::new(), String::new());
    for (number, door) in doors.iter().enumerate() {
        listeners += &format!(",DOOR{number}://{}", door.listen);
        advertised += &format!(",DOOR{number}://{}", door.advertised);
        map += &format!(",DOOR{number}:PLAINTEXT");
    }
    format!(
        "listeners=PLAINTEXT://{client},CONTROLLER://{controller}{listeners}\n\
         advertised.listeners=PLAINTEXT://{client}{advertised}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{map}\n\
         inter.broker.listener.name=PLAINTEXT\n"
    )
}

/// A listener with TLS and passwords, and one with TLS and clients' certificates; the controller's stays plain.
fn secured_listener(ports: &Ports, security: &Security) -> String {
    let Ports { kafka, kafka_tls, kafka_controller, .. } = ports;
    let Security { certificates, users, .. } = security;
    let broker = &users.broker;
    let plain: String = users
        .with(Mechanism::Plain)
        .map(|user| format!(" user_{}=\"{}\"", user.name, user.password))
        .collect();
    format!(
        "listeners=SASL_SSL://{kafka},SSL://{kafka_tls},CONTROLLER://{kafka_controller}\n\
         advertised.listeners=SASL_SSL://{kafka},SSL://{kafka_tls}\n\
         listener.security.protocol.map=SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:PLAINTEXT\n\
         inter.broker.listener.name=SASL_SSL\n\
         sasl.mechanism.inter.broker.protocol=PLAIN\n\
         sasl.enabled.mechanisms={}\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config=\
         org.apache.kafka.common.security.plain.PlainLoginModule required \
         username=\"{}\" password=\"{}\"{plain};\n\
         listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={SCRAM_MODULE}\n\
         listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={SCRAM_MODULE}\n\
         listener.name.ssl.ssl.client.auth=required\n\
         ssl.keystore.type=PEM\n\
         ssl.keystore.location={}\n\
         ssl.truststore.type=PEM\n\
         ssl.truststore.location={}\n",
        Mechanism::ALL.map(Mechanism::kafka_name).join(","),
        broker.name,
        broker.password,
        certificates.server_both.display(),
        certificates.ca.display(),
    )
}

/// Whether the broker answers, and knows of so many.
pub async fn answers(address: &str, properties: &[(String, String)], brokers: usize) -> bool {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", address).set("log_level", "0");
    for (name, value) in properties {
        client.set(name, value);
    }
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: Option<BaseConsumer> = client.create().ok();
        let metadata = consumer.and_then(|consumer| consumer.fetch_metadata(None, PROBE_TIMEOUT).ok());
        metadata.is_some_and(|metadata| metadata.brokers().len() >= brokers)
    });
    asked.await.unwrap_or(false)
}
