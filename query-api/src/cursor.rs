//! Where a page ended, as an opaque text. Versioned, so that a later form can tell itself apart.

use audit_event::{EventId, Offset, Timestamp};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

const VERSION: u8 = 1;
/// Version, time, event id, offset.
const BYTES: usize = 1 + 8 + 16 + 8;

/// The last event of a page in the order of the answer. The offset tells apart the rows of an event that was sent
/// again after the dedupe window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub occurred_at: Timestamp,
    pub event_id: EventId,
    pub kafka_offset: Offset,
}

impl Cursor {
    pub fn encode(self) -> String {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.occurred_at.micros().to_be_bytes());
        bytes.extend_from_slice(self.event_id.0.as_bytes());
        bytes.extend_from_slice(&self.kafka_offset.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// `None` if the text is not one of ours.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (version, rest) = bytes.split_first()?;
        let (occurred_us, rest) = rest.split_first_chunk()?;
        let (event_id, rest) = rest.split_first_chunk()?;
        let (kafka_offset, _nothing) = rest.split_first_chunk()?;
        (*version == VERSION).then(|| Self {
            occurred_at: Timestamp::from_micros(i64::from_be_bytes(*occurred_us)),
            event_id: EventId(Uuid::from_bytes(*event_id)),
            kafka_offset: Offset(i64::from_be_bytes(*kafka_offset)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_comes_back(micros: i64, id: u128, offset: i64) {
            let cursor = Cursor {
                occurred_at: Timestamp::from_micros(micros),
                event_id: EventId(Uuid::from_u128(id)),
                kafka_offset: Offset(offset),
            };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,60}") {
            let _read = Cursor::decode(&text);
        }
    }

    #[test]
    fn foreign_texts_are_refused() {
        let good = Cursor {
            occurred_at: Timestamp::from_micros(1),
            event_id: EventId(Uuid::nil()),
            kafka_offset: Offset(0),
        }
        .encode();
        let other_version = format!("Ag{}", &good[2..]);
        for bad in ["", "AQ", "!!", &good[1..], &format!("{good}AA"), &format!("{good}="), &other_version] {
            assert_eq!(Cursor::decode(bad), None, "{bad}");
        }
    }
}
