//! Keys by which a tenant's producers sign their events: parts of its policy. Several at once make a rotation with overlap.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, ensure};
use audit_event::TenantId;
use audit_event::policy::{SignatureAlgorithm, SignatureKey, signing_secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueEnum};
use client_security::private_file::{random_text, write_private};
use kafka_io::config::TopicCheck;
use kafka_io::control::read_once;
use schemas::CONTROL_TOPIC;
use serde::Serialize;
use service_kit::clock;

use crate::connect::{KafkaFlags, PepperFlags, RegistryFlags};
use crate::help;
use crate::moment::parse_span;
use crate::output::{self, Format, Outcome, Show};
use crate::policies::{Change, change};

const KEY_ID_CHARS: usize = 12;

#[derive(Debug, Subcommand)]
pub enum SigningKeyCommand {
    /// Make a key by which a tenant's producers sign
    #[command(after_help = help::SIGNING_KEYS_CREATE)]
    Create(Box<CreateFlags>),
    /// List a tenant's signing keys
    #[command(after_help = help::SIGNING_KEYS_LIST)]
    List(ListFlags),
    /// End a key, at once or with time for its successor
    #[command(after_help = help::SIGNING_KEYS_END)]
    End(Box<EndFlags>),
}

#[derive(Debug, Args)]
pub struct CreateFlags {
    /// Whose producers sign with it
    #[arg(long)]
    tenant: TenantId,
    /// How they sign
    #[arg(long)]
    algorithm: Algorithm,
    /// The public half of an Ed25519 key that the producer has made itself, 32 bytes in base64; without it a key is made here
    #[arg(long, value_name = "BASE64")]
    public_key: Option<String>,
    /// Write the secret half to this file instead of showing it
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    pepper: PepperFlags,
    #[command(flatten)]
    change: ChangeFlags,
}

#[derive(Debug, Args)]
pub struct ListFlags {
    /// Whose keys
    #[arg(long)]
    tenant: TenantId,
    #[command(flatten)]
    kafka: KafkaFlags,
}

#[derive(Debug, Args)]
pub struct EndFlags {
    /// The key, as `signing-keys list` shows it
    key_id: String,
    /// Whose key it is
    #[arg(long)]
    tenant: TenantId,
    /// When it ends
    #[arg(long = "in", value_name = "TIME", default_value = "0s", value_parser = parse_span)]
    after: Duration,
    #[command(flatten)]
    change: ChangeFlags,
}

#[derive(Debug, Args)]
struct ChangeFlags {
    /// Who says so, if not the user of the operating system; kept in the event beside that one
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    kafka: KafkaFlags,
    #[command(flatten)]
    registry: RegistryFlags,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Algorithm {
    /// A secret that producer and gateway share
    HmacSha256,
    /// A key pair, of which the gateway knows the public half only
    Ed25519,
}

/// A key as it is shown once.
#[derive(Debug, Serialize)]
struct Created {
    tenant_id: TenantId,
    key_id: String,
    algorithm: SignatureAlgorithm,
    /// The secret half, if it was made here and not written to a file.
    secret: Option<String>,
    file: Option<PathBuf>,
}

impl Show for Created {
    fn text(&self) -> String {
        let Self { tenant_id, key_id, algorithm, .. } = self;
        let first = format!("tenant {tenant_id} has signing key {key_id} ({})", algorithm.as_str());
        match (&self.secret, &self.file) {
            (Some(secret), _) => format!("{first}; its secret is not shown again:\n{secret}"),
            (None, Some(file)) => format!("{first}; its secret is in {}", file.display()),
            (None, None) => first,
        }
    }
}

#[derive(Debug, Serialize)]
struct SigningKeys {
    tenant_id: TenantId,
    /// Whether events without a good signature are refused.
    required: bool,
    keys: Vec<KeyView>,
}

#[derive(Debug, Serialize)]
struct KeyView {
    key_id: String,
    #[serde(flatten)]
    key: SignatureKey,
}

impl Show for SigningKeys {
    fn text(&self) -> String {
        let row = |view: &KeyView| {
            let ends_at = view.key.ends_at.and_then(|end| end.to_rfc3339()).unwrap_or_else(|| "-".to_owned());
            [view.key_id.clone(), view.key.algorithm.as_str().to_owned(), ends_at]
        };
        let table = output::table(["key", "algorithm", "ends at"], self.keys.iter().map(row));
        let required = if self.required { "required" } else { "not required" };
        format!("signatures are {required} of tenant {}\n{table}", self.tenant_id)
    }
}

pub async fn run(command: SigningKeyCommand, format: Format) -> anyhow::Result<Outcome> {
    match command {
        SigningKeyCommand::Create(flags) => create(&flags, format).await,
        SigningKeyCommand::End(flags) => end(&flags, format).await,
        SigningKeyCommand::List(ListFlags { tenant, kafka }) => {
            let state = read_once(&kafka.config(TopicCheck::Off)?, CONTROL_TOPIC).await?;
            format.print(&listed(&tenant, &state.policy_of(&tenant).signatures))?;
            Ok(Outcome::Done)
        }
    }
}

fn listed(tenant_id: &TenantId, signatures: &audit_event::policy::Signatures) -> SigningKeys {
    let keys =
        signatures.keys.iter().map(|(key_id, key)| KeyView { key_id: key_id.clone(), key: key.clone() });
    SigningKeys { tenant_id: tenant_id.clone(), required: signatures.required, keys: keys.collect() }
}

async fn create(flags: &CreateFlags, format: Format) -> anyhow::Result<Outcome> {
    let key_id = random_text(KEY_ID_CHARS);
    let (key, secret) = flags.make(&key_id)?;
    ensure!(key.is_sound(), "--public-key is no Ed25519 public key of 32 bytes in base64");
    let algorithm = key.algorithm;
    // the file first: a key whose secret nobody has is of no use
    if let (Some(secret), Some(file)) = (&secret, &flags.file) {
        write_private(file, secret).with_context(|| format!("write {}", file.display()))?;
    }
    let (_, outcome) = apply(&flags.change, &flags.tenant, |policy| {
        policy.signatures.keys.insert(key_id.clone(), key);
        Ok(())
    })
    .await?;
    format.print(&Created {
        tenant_id: flags.tenant.clone(),
        key_id,
        algorithm,
        secret: secret.filter(|_| flags.file.is_none()),
        file: flags.file.clone(),
    })?;
    Ok(outcome)
}

impl CreateFlags {
    fn make(&self, key_id: &str) -> anyhow::Result<(SignatureKey, Option<String>)> {
        match (self.algorithm, &self.public_key) {
            (Algorithm::HmacSha256, None) => {
                let secret = signing_secret(&self.pepper.read()?, &self.tenant, key_id);
                Ok((SignatureKey::hmac_sha256(), Some(secret)))
            }
            (Algorithm::HmacSha256, Some(_)) => anyhow::bail!("--public-key goes with --algorithm ed25519"),
            (Algorithm::Ed25519, Some(text)) => {
                let bytes = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
                let bytes = bytes.context("--public-key is not 32 bytes in base64")?;
                Ok((SignatureKey::ed25519(bytes), None))
            }
            (Algorithm::Ed25519, None) => {
                let key = ed25519_dalek::SigningKey::from_bytes(&rand::random());
                let public_key = key.verifying_key().to_bytes();
                Ok((SignatureKey::ed25519(public_key), Some(STANDARD.encode(key.as_bytes()))))
            }
        }
    }
}

async fn end(flags: &EndFlags, format: Format) -> anyhow::Result<Outcome> {
    let micros = i64::try_from(flags.after.as_micros()).unwrap_or(i64::MAX);
    let ends_at = audit_event::Timestamp::from_micros(clock::now().micros().saturating_add(micros));
    let (policy, outcome) = apply(&flags.change, &flags.tenant, |policy| {
        let key = policy.signatures.keys.get_mut(&flags.key_id);
        let key =
            key.with_context(|| format!("tenant {} has no signing key {}", flags.tenant, flags.key_id))?;
        key.ends_at = Some(ends_at);
        Ok(())
    })
    .await?;
    format.print(&listed(&flags.tenant, &policy.signatures))?;
    Ok(outcome)
}

async fn apply(
    flags: &ChangeFlags,
    tenant: &TenantId,
    edit: impl FnOnce(&mut audit_event::policy::Policy) -> anyhow::Result<()>,
) -> anyhow::Result<(audit_event::policy::Policy, Outcome)> {
    let of = Change { tenant, actor: flags.actor.as_deref(), kafka: &flags.kafka, registry: &flags.registry };
    let changed = change(&of, edit).await?;
    let outcome = Outcome::done_if(changed.event_id.is_some());
    Ok((changed.policy, outcome))
}
