//! The users at Kafka: one for each part, so that all three mechanisms are in use, and the files that clients read.

use std::path::{Path, PathBuf};

use super::certificates::Certificates;
use crate::layout::{Layout, write_private};

/// How a user shows its password: as our settings, and as Kafka and librdkafka, name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    pub fn setting(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::ScramSha256 => "scram_sha_256",
            Self::ScramSha512 => "scram_sha_512",
        }
    }

    pub fn kafka_name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

/// A user at Kafka.
#[derive(Clone)]
pub struct KafkaUser {
    pub name: &'static str,
    pub password: String,
    pub password_file: PathBuf,
    /// The one that its owner uses.
    pub mechanism: Mechanism,
    /// Those that the broker takes from it.
    pub mechanisms: &'static [Mechanism],
}

/// All users.
#[derive(Clone)]
pub struct KafkaUsers {
    /// The broker itself.
    pub broker: KafkaUser,
    /// The command line, and people.
    pub owner: KafkaUser,
    pub registry: KafkaUser,
    pub gateway: KafkaUser,
    pub processor: KafkaUser,
    pub query_api: KafkaUser,
    pub sealer: KafkaUser,
}

impl KafkaUsers {
    pub fn create(layout: &Layout) -> anyhow::Result<Self> {
        use Mechanism::{Plain, ScramSha256, ScramSha512};
        let user = |name, mechanism, mechanisms| -> anyhow::Result<KafkaUser> {
            let secret = format!("kafka-{name}");
            let (password, password_file) = (layout.secret(&secret)?, layout.secret_file(&secret));
            Ok(KafkaUser { name, password, password_file, mechanism, mechanisms })
        };
        Ok(Self {
            broker: user("broker", Plain, &[Plain])?,
            owner: user("owner", ScramSha512, &Mechanism::ALL)?,
            registry: user("registry", ScramSha256, &[ScramSha256])?,
            gateway: user("gateway", ScramSha512, &[ScramSha512])?,
            processor: user("processor", ScramSha256, &[ScramSha256])?,
            query_api: user("query_api", Plain, &[Plain])?,
            sealer: user("sealer", ScramSha512, &[ScramSha512])?,
        })
    }

    pub fn all(&self) -> [&KafkaUser; 7] {
        let Self { broker, owner, registry, gateway, processor, query_api, sealer } = self;
        [broker, owner, registry, gateway, processor, query_api, sealer]
    }

    /// Those who use a mechanism.
    pub fn with(&self, mechanism: Mechanism) -> impl Iterator<Item = &KafkaUser> {
        self.all().into_iter().filter(move |user| user.mechanisms.contains(&mechanism))
    }
}

impl KafkaUser {
    /// As librdkafka names its settings.
    pub fn properties(&self, certificates: &Certificates) -> Vec<(String, String)> {
        [
            ("security.protocol", "sasl_ssl".to_owned()),
            ("ssl.ca.location", certificates.ca.display().to_string()),
            ("sasl.mechanism", self.mechanism.kafka_name().to_owned()),
            ("sasl.username", self.name.to_owned()),
            ("sasl.password", self.password.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    /// Writes them one a line, for `kcat -F` and for our registry.
    pub fn write_properties(&self, file: &Path, certificates: &Certificates) -> anyhow::Result<()> {
        let lines: Vec<_> = self
            .properties(certificates)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        write_private(file, &lines.join("\n"))
    }

    /// Writes what `sealtrail --kafka-config` and a service's `--config` read.
    pub fn write_settings(&self, file: &Path, certificates: &Certificates) -> anyhow::Result<()> {
        let text = format!(
            "[kafka.security]\nprotocol = \"sasl_ssl\"\nca_file = {:?}\nmechanism = {:?}\nusername = {:?}\n\
             password_file = {:?}",
            certificates.ca,
            self.mechanism.setting(),
            self.name,
            self.password_file,
        );
        write_private(file, &text)
    }
}
