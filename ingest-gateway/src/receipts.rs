//! Receipts: signed notes that hold us to what was answered. The keys come from files that are read again when they change,
//! so that a key is replaced without a restart; a file that cannot be read leaves the last good keys in place.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arc_swap::ArcSwap;
use audit_event::{RecordTime, TrailId};
use aws_lc_rs::signature::Ed25519KeyPair;
use schemars::JsonSchema;
use schemas::EVENTS_TOPIC;
use serde::{Deserialize, Serialize};
use service_kit::Shutdown;
use transparency_log::{
    Ed25519Signer, MAX_RECORDS_OF_A_RECEIPT, Receipt, ReceiptRecord, SigningKey, VerifierKeys,
};

/// The signed answers for accepted events.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptConfig {
    /// The file that holds the key which signs receipts; `sealtrail receipt-keys create` makes one. It is required.
    pub key_file: Option<PathBuf>,
    /// Verifier keys that are listed at `/.well-known/sealtrail-keys` beside that of `key_file`, one a line: former ones,
    /// whose receipts still hold, and those of other gateways.
    pub listed_keys_file: Option<PathBuf>,
    /// How often the files are looked at for changes.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub reload_interval_ms: u64,
    /// What a receipt promises: the log holds its records so long after the broker took them, at the latest.
    #[schemars(range(min = 1, max = 86_400))]
    pub sealed_within_s: u32,
}

impl Default for ReceiptConfig {
    fn default() -> Self {
        Self { key_file: None, listed_keys_file: None, reload_interval_ms: 5_000, sealed_within_s: 60 }
    }
}

/// The largest file of keys that is read.
const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;

/// Signs, and tells by which keys others can check.
pub struct Receipts {
    config: ReceiptConfig,
    keys: ArcSwap<Keys>,
}

struct Keys {
    signing: SigningKey,
    listed: VerifierKeys,
    /// The texts of both files.
    texts: (String, Option<String>),
}

impl Receipts {
    pub fn load(config: &ReceiptConfig) -> anyhow::Result<Self> {
        let keys = ArcSwap::from_pointee(Keys::parse(read(config)?)?);
        Ok(Self { config: config.clone(), keys })
    }

    /// Looks at the files from time to time, until the stop.
    pub fn follow(self: &Arc<Self>, shutdown: &Shutdown) {
        let (receipts, stop) = (self.clone(), shutdown.token());
        let interval = Duration::from_millis(self.config.reload_interval_ms);
        tokio::spawn(async move {
            while tokio::time::timeout(interval, stop.cancelled()).await.is_err() {
                let again = receipts.clone();
                let reloaded = tokio::task::spawn_blocking(move || again.reload()).await;
                if let Ok(Err(error)) = reloaded {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "receipt keys not read again; the last good ones stay"
                    );
                }
            }
        });
    }

    fn reload(&self) -> anyhow::Result<()> {
        let texts = read(&self.config)?;
        if texts != self.keys.load().texts {
            let keys = Keys::parse(texts)?;
            tracing::info!(
                verifier = keys.signing.verifier(),
                "the keys of receipts changed; this one signs now"
            );
            self.keys.store(Arc::new(keys));
        }
        Ok(())
    }

    /// Verifier keys, one a line: first the one that signs now.
    pub fn verifier_keys(&self) -> String {
        self.keys.load().listed.to_string()
    }

    /// A note for every 5,000 records, since readers of notes take no longer ones.
    pub fn sign(&self, trail: TrailId, records: &[ReceiptRecord]) -> Vec<String> {
        let keys = self.keys.load();
        let notes = records.chunks(MAX_RECORDS_OF_A_RECEIPT).map(|records| {
            let latest = records.iter().map(|record| record.timestamp.0).max().unwrap_or_default();
            let sealed_by = RecordTime(latest + i64::from(self.config.sealed_within_s) * 1_000);
            let receipt =
                Receipt { trail, topic: EVENTS_TOPIC.to_owned(), records: records.to_vec(), sealed_by };
            receipt.sign(&keys.signing)
        });
        // the text of a receipt is ours and within a note's bounds
        notes.collect::<Result<_, _>>().unwrap_or_else(|error| {
            tracing::error!(%error, "no receipt");
            Vec::new()
        })
    }
}

impl Keys {
    fn parse(texts: (String, Option<String>)) -> anyhow::Result<Self> {
        let signing = SigningKey::parse(&texts.0).context("receipts.key_file")?;
        let signing = signing.signed_by(in_assembly).context("receipts.key_file")?;
        let mut listed = VerifierKeys::default();
        listed.add(&signing.verifier());
        let others = texts.1.as_deref().unwrap_or_default();
        let others = VerifierKeys::parse(others).context("receipts.listed_keys_file")?;
        others.iter().for_each(|key| listed.add(key));
        Ok(Self { signing, listed, texts })
    }
}

/// A signature for every answer: in 40 % of the time that the portable implementation takes (measured).
fn in_assembly(seed: &[u8; 32]) -> Result<Ed25519Signer, aws_lc_rs::error::KeyRejected> {
    let pair = Ed25519KeyPair::from_seed_unchecked(seed)?;
    Ok(Arc::new(move |text| {
        let mut signature = [0; 64];
        signature.copy_from_slice(pair.sign(text).as_ref());
        signature
    }))
}

fn read(config: &ReceiptConfig) -> anyhow::Result<(String, Option<String>)> {
    let key_file = config.key_file.as_ref().context(
        "receipts.key_file is not set: `sealtrail receipt-keys create --file FILE` makes the key that signs receipts",
    )?;
    let listed = match config.listed_keys_file.as_deref() {
        // a list that only cannot be reached is a fault: its keys must not drop off
        Some(file) if file.try_exists().with_context(|| format!("read {}", file.display()))? => Some(file),
        _ => None,
    };
    Ok((read_text(key_file)?, listed.map(read_text).transpose()?))
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    let length = std::fs::metadata(file).with_context(|| format!("read {}", file.display()))?.len();
    anyhow::ensure!(length <= MAX_KEY_FILE_BYTES, "{} is too large to be a file of keys", file.display());
    std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use audit_event::{Offset, PartitionId};

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::of_seed("example.com/receipts", &[seed; 32]).expect("a key")
    }

    fn record(offset: i64) -> ReceiptRecord {
        let (partition, timestamp) = (PartitionId(0), RecordTime(1_000 + offset));
        ReceiptRecord { partition, offset: Offset(offset), timestamp, sha256: [1; 32] }
    }

    fn receipts(directory: &Path) -> Receipts {
        let config = ReceiptConfig {
            key_file: Some(directory.join("key")),
            listed_keys_file: Some(directory.join("listed")),
            ..ReceiptConfig::default()
        };
        Receipts::load(&config).expect("keys")
    }

    #[test]
    fn a_replaced_key_signs_and_the_former_one_stays_listed() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = |name: &str| directory.path().join(name);
        std::fs::write(file("key"), key(1).secret_text()).expect("written");
        let receipts = receipts(directory.path());
        let trail = TrailId(uuid::Uuid::nil());
        let first = receipts.sign(trail, &[record(1)]).remove(0);
        std::fs::write(file("listed"), key(1).verifier()).expect("written");
        std::fs::write(file("key"), key(2).secret_text()).expect("written");
        receipts.reload().expect("read again");
        let second = receipts.sign(trail, &[record(2)]).remove(0);
        let keys = VerifierKeys::parse(&receipts.verifier_keys()).expect("keys");
        assert_eq!(keys.iter().collect::<Vec<_>>(), [key(2).verifier(), key(1).verifier()]);
        for note in [&first, &second] {
            assert!(Receipt::open(note, &keys).is_ok());
        }
        let by_the_new_one = VerifierKeys::parse(&key(2).verifier()).expect("keys");
        assert!(
            Receipt::open(&first, &by_the_new_one).is_err()
                && Receipt::open(&second, &by_the_new_one).is_ok()
        );
        std::fs::write(file("key"), "rubbish").expect("written");
        assert!(receipts.reload().is_err());
        assert!(
            Receipt::open(&receipts.sign(trail, &[record(3)])[0], &by_the_new_one).is_ok(),
            "the last good key"
        );
    }

    #[test]
    fn the_signature_is_the_one_of_the_portable_implementation() {
        for seed in 0..20 {
            let text = format!("{seed}\n");
            let fast = key(seed).signed_by(in_assembly).expect("a key");
            assert_eq!(fast.sign(&text), key(seed).sign(&text));
        }
    }

    #[test]
    fn each_record_is_in_one_receipt_and_the_promise_counts_from_the_last() {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("key"), key(1).secret_text()).expect("written");
        let receipts = receipts(directory.path());
        let records: Vec<_> = (0..10_000).map(record).collect();
        let notes = receipts.sign(TrailId(uuid::Uuid::nil()), &records);
        let keys = VerifierKeys::parse(&receipts.verifier_keys()).expect("keys");
        let opened: Vec<_> =
            notes.iter().map(|note| Receipt::open(note, &keys).expect("a receipt")).collect();
        let held: Vec<_> = opened.iter().flat_map(|receipt| receipt.records.clone()).collect();
        assert_eq!(held, records);
        assert_eq!(opened[1].sealed_by, RecordTime(1_000 + 9_999 + 60_000));
    }
}
