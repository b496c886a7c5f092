//! The stack the secured way (`--secured`): TLS and passwords between all of its parts.

pub mod certificates;
pub mod door;
pub mod users;

use std::path::PathBuf;

use anyhow::bail;

use crate::layout::Layout;
use certificates::Certificates;
use users::{KafkaUser, KafkaUsers};

pub const REGISTRY_USER: &str = "sealtrail";

/// What the parts need to know each other.
#[derive(Clone)]
pub struct Security {
    pub certificates: Certificates,
    pub users: KafkaUsers,
    pub registry_password: String,
    pub registry_password_file: PathBuf,
    /// The owner's settings for Kafka, as `sealtrail --kafka-config` reads them.
    pub owner_settings: PathBuf,
    /// The owner's settings for Kafka, as `kcat -F` reads them.
    pub owner_properties: PathBuf,
}

impl Security {
    /// Makes what is not there yet.
    pub fn create(layout: &Layout) -> anyhow::Result<Self> {
        if layout.data("kafka").join("meta.properties").is_file() && !Certificates::exist(layout) {
            bail!(
                "the kafka in this directory was begun without users, and they are made at its begin; \
                 use another --dir, or `make reset`"
            );
        }
        let users = KafkaUsers::create(layout)?;
        let registry_password = layout.secret("registry")?;
        let certificates = Certificates::create(layout)?;
        let security = Self {
            owner_settings: layout.secret_file("kafka.toml"),
            owner_properties: layout.secret_file("kafka-owner.properties"),
            registry_password_file: layout.secret_file("registry"),
            registry_password,
            certificates,
            users,
        };
        security.users.owner.write_settings(&security.owner_settings, &security.certificates)?;
        security.users.owner.write_properties(&security.owner_properties, &security.certificates)?;
        Ok(security)
    }

    /// What a client under this user's name sets.
    pub fn properties(&self, user: &KafkaUser) -> Vec<(String, String)> {
        user.properties(&self.certificates)
    }
}
