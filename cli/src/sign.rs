//! Signs an event as a producer does: over its Avro datum without `signature`, every default filled in.

use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, bail};
use audit_event::json::{Surroundings, parse_event};
use audit_event::policy::Signer;
use audit_event::{EventId, TenantId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, ValueEnum};
use schemas::{avro, catalogue};
use serde_json::Value;
use uuid::Uuid;

use crate::output::print_text;

#[derive(Debug, Args)]
pub struct SignFlags {
    /// Whose event it is
    #[arg(long)]
    tenant: TenantId,
    /// The signing key's id
    #[arg(long)]
    key_id: String,
    /// How to sign
    #[arg(long)]
    algorithm: Algorithm,
    /// The file that holds the secret, as `signing-keys create` gave it
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The event in JSON; without it standard input
    event: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Algorithm {
    HmacSha256,
    Ed25519,
}

/// Prints the event with all its fields and its signature, ready to be sent.
pub fn run(flags: &SignFlags) -> anyhow::Result<()> {
    let mut value: Value = serde_json::from_str(&flags.text()?).context("the event is not JSON")?;
    let signature = flags.signer()?.sign(&flags.key_id, &flags.datum(&mut value)?);
    value["signature"] = serde_json::to_value(signature)?;
    print_text(&value.to_string())
}

impl SignFlags {
    fn text(&self) -> anyhow::Result<String> {
        match &self.event {
            Some(file) => std::fs::read_to_string(file).with_context(|| format!("read {}", file.display())),
            None => {
                let mut text = String::new();
                std::io::stdin().read_to_string(&mut text).context("read standard input")?;
                Ok(text)
            }
        }
    }

    fn signer(&self) -> anyhow::Result<Signer> {
        let secret = std::fs::read_to_string(&self.key_file)
            .with_context(|| format!("read {}", self.key_file.display()))?;
        let secret = secret.trim();
        Ok(match self.algorithm {
            Algorithm::HmacSha256 => Signer::HmacSha256 { secret: secret.to_owned() },
            Algorithm::Ed25519 => {
                let bytes = STANDARD.decode(secret).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
                let bytes = bytes.context("the key file does not hold 32 bytes in base64")?;
                Signer::Ed25519 { key: Box::new(ed25519_dalek::SigningKey::from_bytes(&bytes)) }
            }
        })
    }

    /// What is signed must not be up to the gateway: an id is given here, and so are operation and severity.
    fn datum(&self, value: &mut Value) -> anyhow::Result<Vec<u8>> {
        let Value::Object(fields) = &mut *value else { bail!("the event is not a JSON object") };
        fields.remove("signature");
        fields.entry("event_id").or_insert_with(|| Value::String(Uuid::now_v7().to_string()));
        let surroundings = Surroundings {
            tenant_id: &self.tenant,
            assigned_id: EventId(Uuid::nil()),
            defaults_of: &catalogue::defaults_of,
        };
        let event = parse_event(value, &surroundings)
            .map_err(|problem| anyhow::anyhow!("{}: {}", problem.pointer, problem.detail))?;
        value["operation"] = serde_json::to_value(event.operation)?;
        value["severity"] = serde_json::to_value(event.severity)?;
        Ok(avro::unsigned_datum(&event))
    }
}
