//! How the stack tells the registry what it is to be.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::{RegistryOptions, Secured};
use crate::secured::REGISTRY_USER;
use crate::secured::door::IdentityFlags;

#[derive(Debug, Args)]
pub struct RegistryFlags {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    kafka: String,
    /// File with further settings of the Kafka client, NAME=VALUE a line
    #[arg(long)]
    kafka_properties: Option<PathBuf>,
    /// Speak TLS, to the user whose password this file holds
    #[arg(long, requires_all = ["certificate", "key"])]
    password_file: Option<PathBuf>,
    /// The server's certificate, in PEM
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long)]
    key: Option<PathBuf>,
}

impl RegistryFlags {
    pub fn options(self) -> anyhow::Result<RegistryOptions> {
        let properties = self.kafka_properties.as_deref().map(read_properties).transpose()?;
        let secured = match (self.certificate, self.key, self.password_file) {
            (Some(certificate), Some(key), Some(password_file)) => {
                let identity = IdentityFlags { certificate, key };
                Some(Secured { identity, user: REGISTRY_USER.to_owned(), password_file })
            }
            (None, None, None) => None,
            _ => bail!("--certificate, --key and --password-file go together"),
        };
        Ok(RegistryOptions {
            listen: self.listen,
            kafka: self.kafka,
            kafka_properties: properties.unwrap_or_default(),
            secured,
        })
    }
}

fn read_properties(file: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let lines = text.lines().filter(|line| !line.is_empty());
    let pairs =
        lines.map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    pairs.collect::<Option<_>>().with_context(|| format!("{}: a line is NAME=VALUE", file.display()))
}
