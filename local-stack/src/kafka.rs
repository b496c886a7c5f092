//! Apache Kafka: one node that is broker and controller (KRaft).

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::process::Command;

use crate::layout::Layout;
use crate::ports::Ports;
use crate::supervise::Service;

const LEAST_JAVA: u32 = 17;
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
pub async fn service(libs: &Path, layout: &Layout, ports: &Ports) -> anyhow::Result<Service> {
    let data = layout.data("kafka");
    fs::create_dir_all(&data)?;
    let properties = layout.run_dir().join("kafka.properties");
    fs::write(&properties, render(&data, ports))?;
    if !data.join("meta.properties").is_file() {
        format_storage(libs, &properties).await?;
    }
    let mut command = java(libs);
    command
        .args(["-Xms256m", "-Xmx512m", "-XX:+UseG1GC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"])
        .arg("kafka.Kafka")
        .arg(&properties);
    Ok(Service::new("kafka", command))
}

fn java(libs: &Path) -> std::process::Command {
    let mut command = std::process::Command::new("java");
    command.arg("-cp").arg(libs.join("*"));
    command
}

async fn format_storage(libs: &Path, properties: &Path) -> anyhow::Result<()> {
    let cluster_id = URL_SAFE_NO_PAD.encode(uuid::Uuid::new_v4().as_bytes());
    let mut command = java(libs);
    command.args(["kafka.tools.StorageTool", "format", "-t", &cluster_id, "-c"]).arg(properties);
    let output = Command::from(command).stdin(Stdio::null()).output().await.context("java")?;
    if !output.status.success() {
        bail!("kafka cannot format its directory: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn render(data: &Path, ports: &Ports) -> String {
    let Ports { kafka, kafka_controller, .. } = ports;
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{kafka_controller}\n\
         listeners=PLAINTEXT://{kafka},CONTROLLER://{kafka_controller}\n\
         advertised.listeners=PLAINTEXT://{kafka}\n\
         controller.listener.names=CONTROLLER\n\
         inter.broker.listener.name=PLAINTEXT\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=8\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         # commits carry announcements; they outlive any outage of the processor\n\
         offsets.retention.minutes=525600\n",
        data.display()
    )
}

/// Whether the broker answers.
pub async fn answers(address: &str) -> bool {
    let address = address.to_owned();
    let asked = tokio::task::spawn_blocking(move || {
        let consumer: Option<BaseConsumer> =
            ClientConfig::new().set("bootstrap.servers", &address).set("log_level", "0").create().ok();
        consumer.is_some_and(|consumer| consumer.fetch_metadata(None, PROBE_TIMEOUT).is_ok())
    });
    asked.await.unwrap_or(false)
}
