//! A receipt: what the gateway promises about records that Kafka has taken. Its text, which is signed as a note:
//!
//! ```text
//! sealtrail receipt v1
//! <trail> <topic> <partition> <offset> <timestamp_ms> <sha256 in hex>
//! …
//! sealed-by <timestamp_ms>
//! ```
//!
//! A line for each record; times are Unix milliseconds; the last line is when all of them are sealed at the latest.

use std::fmt::Write as _;

use audit_event::{Offset, PartitionId, RecordTime, TrailId};
use thiserror::Error;

use crate::key::{KeyError, SigningKey, VerifierKeys};

/// More would make a note that is longer than the 1,000,000 bytes that readers of signed notes take.
pub const MAX_RECORDS_OF_A_RECEIPT: usize = 5_000;

const FIRST_LINE: &str = "sealtrail receipt v1";
const SEALED_BY: &str = "sealed-by";

/// A record as Kafka has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecord {
    pub partition: PartitionId,
    pub offset: Offset,
    /// The time that the broker gave it.
    pub timestamp: RecordTime,
    /// Of the record's value.
    pub sha256: [u8; 32],
}

/// The records of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub trail: TrailId,
    pub topic: String,
    pub records: Vec<ReceiptRecord>,
    /// When the log holds all of them at the latest.
    pub sealed_by: RecordTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReceiptError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("line {line} of the receipt is not as a receipt has it")]
    Line { line: usize },
    #[error("the receipt names more than one trail or topic")]
    Mixed,
    #[error("the receipt holds no record")]
    Empty,
}

impl Receipt {
    pub fn sign(&self, key: &SigningKey) -> Result<String, ReceiptError> {
        Ok(key.sign(&self.text())?)
    }

    /// Reads a signed receipt, if one of the keys has signed it.
    pub fn open(note: &str, keys: &VerifierKeys) -> Result<Self, ReceiptError> {
        Self::parse(&keys.open(note)?)
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(self.records.len() * 160 + 64);
        text.push_str(FIRST_LINE);
        text.push('\n');
        for ReceiptRecord { partition, offset, timestamp, sha256 } in &self.records {
            let (trail, topic) = (self.trail, &self.topic);
            let _ = write!(text, "{trail} {topic} {partition} {offset} {} ", timestamp.0);
            push_hex(&mut text, sha256);
            text.push('\n');
        }
        let _ = writeln!(text, "{SEALED_BY} {}", self.sealed_by.0);
        text
    }

    fn parse(text: &str) -> Result<Self, ReceiptError> {
        let lines: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split('\n').collect();
        let at = |index: usize| ReceiptError::Line { line: index + 1 };
        let [FIRST_LINE, records @ .., last] = lines.as_slice() else { return Err(at(0)) };
        let sealed_by = last.strip_prefix(SEALED_BY).and_then(|rest| number(rest.strip_prefix(' ')?));
        let sealed_by = RecordTime(sealed_by.ok_or(at(lines.len() - 1))?);
        let mut all = Vec::with_capacity(records.len());
        let mut of: Option<(TrailId, &str)> = None;
        for (index, line) in records.iter().enumerate() {
            let (trail, topic, record) = parse_record(line).ok_or(at(index + 1))?;
            if *of.get_or_insert((trail, topic)) != (trail, topic) {
                return Err(ReceiptError::Mixed);
            }
            all.push(record);
        }
        let (trail, topic) = of.ok_or(ReceiptError::Empty)?;
        Ok(Self { trail, topic: topic.to_owned(), records: all, sealed_by })
    }
}

fn parse_record(line: &str) -> Option<(TrailId, &str, ReceiptRecord)> {
    let mut words = line.split(' ');
    let mut next = || words.next();
    let trail_text = next()?;
    let trail = TrailId(trail_text.parse().ok()?);
    if trail.to_string() != trail_text {
        return None;
    }
    let topic = next()?;
    let partition = PartitionId(number(next()?)?.try_into().ok()?);
    let (offset, timestamp) = (Offset(number(next()?)?), RecordTime(number(next()?)?));
    let sha256 = sha256_of_hex(next()?)?;
    words.next().is_none().then_some((trail, topic, ReceiptRecord { partition, offset, timestamp, sha256 }))
}

fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Bytes in lower-case hex, as receipts have them.
pub fn hex_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push_hex(&mut text, bytes);
    text
}

/// One spelling only: what was signed is what is read.
fn number(text: &str) -> Option<i64> {
    text.parse::<i64>().ok().filter(|number| number.to_string() == text)
}

fn sha256_of_hex(text: &str) -> Option<[u8; 32]> {
    let mut sha256 = [0; 32];
    let is_hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if text.len() != 64 || !is_hex {
        return None;
    }
    for (byte, pair) in sha256.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(sha256)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::of_seed("example.com/receipts", &[7; 32]).expect("a key")
    }

    fn keys() -> VerifierKeys {
        VerifierKeys::parse(&key().verifier()).expect("keys")
    }

    fn record() -> impl Strategy<Value = ReceiptRecord> {
        (0..i32::MAX, 0..i64::MAX, any::<i64>(), any::<[u8; 32]>()).prop_map(
            |(partition, offset, timestamp, sha256)| ReceiptRecord {
                partition: PartitionId(partition),
                offset: Offset(offset),
                timestamp: RecordTime(timestamp),
                sha256,
            },
        )
    }

    fn receipt() -> impl Strategy<Value = Receipt> {
        (any::<u128>(), prop::collection::vec(record(), 1..20), any::<i64>()).prop_map(
            |(trail, records, sealed_by)| Receipt {
                trail: TrailId(uuid::Uuid::from_u128(trail)),
                topic: "audit.events.v1".to_owned(),
                records,
                sealed_by: RecordTime(sealed_by),
            },
        )
    }

    proptest! {
        #[test]
        fn a_receipt_reads_as_it_was_signed(receipt in receipt()) {
            let note = receipt.sign(&key()).expect("signed");
            prop_assert_eq!(Receipt::open(&note, &keys()), Ok(receipt));
        }

        #[test]
        fn no_byte_of_it_can_be_altered(receipt in receipt(), place in any::<prop::sample::Index>(), other in b' '..b'~') {
            let note = receipt.sign(&key()).expect("signed");
            let mut altered = note.clone().into_bytes();
            let place = place.index(altered.len());
            prop_assume!(altered[place] != other && altered[place].is_ascii());
            altered[place] = other;
            let altered = String::from_utf8(altered).expect("ascii for ascii");
            prop_assert!(Receipt::open(&altered, &keys()).is_err());
        }

        #[test]
        fn any_text_reads_or_is_refused(text in "(sealtrail receipt v1\n)?([a-z0-9-]{0,40}[ \n]){0,20}(sealed-by [0-9]{1,20}\n)?") {
            if let Ok(receipt) = Receipt::parse(&text) {
                prop_assert_eq!(receipt.text(), text);
            }
        }
    }

    #[test]
    fn the_largest_receipt_is_a_note_that_others_take() {
        let record = ReceiptRecord {
            partition: PartitionId(9_999),
            offset: Offset(i64::MAX),
            timestamp: RecordTime(9_999_999_999_999),
            sha256: [255; 32],
        };
        let receipt = Receipt {
            trail: TrailId(uuid::Uuid::nil()),
            topic: "audit.events.v1".to_owned(),
            records: vec![record; MAX_RECORDS_OF_A_RECEIPT],
            sealed_by: RecordTime(9_999_999_999_999),
        };
        let note = receipt.sign(&key()).expect("signed");
        assert_eq!(Receipt::open(&note, &keys()), Ok(receipt));
    }
}
