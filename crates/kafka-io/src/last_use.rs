//! When an API key was last used, told to the control topic about once a minute a key: often enough to find keys that nobody
//! uses, and seldom enough that it costs nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use audit_event::Timestamp;
use audit_event::control::{ApiKeyUseRecord, VALUE_VERSION};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::KafkaError;
use crate::config::KafkaConfig;
use crate::control::ControlWriter;

/// Between two records about one key.
const INTERVAL_MICROS: i64 = 60 * 1_000_000;
/// Records that wait to be written. One more is left out: the key's next use comes soon.
const MAX_WAITING: usize = 1_000;

pub struct LastUse {
    /// Keys that were believed, and nothing else, so that it stays as small as the list of keys.
    told: Mutex<HashMap<String, Timestamp>>,
    waiting: mpsc::Sender<ApiKeyUseRecord>,
}

impl LastUse {
    /// Writes in the background, until the stop.
    pub fn start(
        config: &KafkaConfig,
        topic: &'static str,
        stop: CancellationToken,
    ) -> Result<Self, KafkaError> {
        let writer = ControlWriter::new(config, topic)?;
        let (waiting, records) = mpsc::channel(MAX_WAITING);
        tokio::spawn(async move {
            tokio::select! {
                () = write_all(&writer, records) => {}
                () = stop.cancelled() => {}
            }
        });
        Ok(Self { told: Mutex::default(), waiting })
    }

    /// To be called with keys that exist only.
    pub fn saw(&self, key_id: &str, now: Timestamp) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(key_id).is_some_and(|last| now.micros() - last.micros() < INTERVAL_MICROS) {
            return;
        }
        told.insert(key_id.to_owned(), now);
        let record = ApiKeyUseRecord { v: VALUE_VERSION, key_id: key_id.to_owned(), last_used_at: now };
        let _left_out_when_full = self.waiting.try_send(record);
    }
}

async fn write_all(writer: &ControlWriter, mut records: mpsc::Receiver<ApiKeyUseRecord>) {
    while let Some(record) = records.recv().await {
        if let Err(error) = writer.put(&format!("api-key-use/{}", record.key_id), &record).await {
            tracing::warn!(%error, "the last use of an api key is not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_of_once_a_minute() {
        let (waiting, mut records) = mpsc::channel(MAX_WAITING);
        let last_use = LastUse { told: Mutex::default(), waiting };
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        for (key_id, seconds) in [("a", 0), ("a", 1), ("b", 30), ("a", 59), ("a", 60), ("a", 119)] {
            last_use.saw(key_id, at(seconds));
        }
        let told: Vec<_> = std::iter::from_fn(|| records.try_recv().ok())
            .map(|record| (record.key_id, record.last_used_at))
            .collect();
        let expected = [("a", 0), ("b", 30), ("a", 60)].map(|(key_id, s)| (key_id.to_owned(), at(s)));
        assert_eq!(told, expected);
    }
}
