//! Types for ids and positions, so that no bare integer crosses a module border.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use uuid::Uuid;

/// The longest tenant id, in bytes.
pub const MAX_TENANT_ID_BYTES: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum IdError {
    #[error(
        "a tenant id has 1 to {MAX_TENANT_ID_BYTES} characters out of a-z, 0-9, '-' and '_', and starts with a letter or digit"
    )]
    Tenant,
    #[error("an event id must be a uuid")]
    Event,
}

/// Who an event belongs to. `^[a-z0-9][a-z0-9_-]{0,63}$`, so that it can stand in a record key before the `|`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TenantId(String);

impl TenantId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TenantId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let tail_is_fine =
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        let head_is_fine = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if tail_is_fine && head_is_fine && text.len() <= MAX_TENANT_ID_BYTES {
            Ok(Self(text.to_owned()))
        } else {
            Err(IdError::Tenant)
        }
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

/// An event's own id: any UUID, written in lower case with hyphens in JSON and in Avro.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub Uuid);

impl FromStr for EventId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        // RFC 9562's text form only: the braced, simple and URN forms would be second spellings of one id
        if text.len() == uuid::fmt::Hyphenated::LENGTH {
            Uuid::try_parse(text).map(Self).map_err(|_| IdError::Event)
        } else {
            Err(IdError::Event)
        }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = Uuid::encode_buffer();
        serializer.serialize_str(self.0.as_hyphenated().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

fn parse_str<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: FromStr,
    T::Err: fmt::Display,
    D: Deserializer<'de>,
{
    struct Parse<T>(std::marker::PhantomData<T>);
    impl<T> de::Visitor<'_> for Parse<T>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Parse(std::marker::PhantomData))
}

/// A trail: one topic's life. Random, made once with the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrailId(pub Uuid);

impl fmt::Display for TrailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A partition of the topic.
    PartitionId(i32)
);
number!(
    /// The position of a record in its partition.
    Offset(i64)
);
number!(
    /// A committed position: the offset of the next record to read, that is the last one's plus one.
    NextOffset(i64)
);
number!(
    /// A schema's id in the registry.
    SchemaId(u32)
);
number!(
    /// Counts the assignments of partitions that this process has seen. Work built under an older one has no effect.
    AssignmentGeneration(u64)
);

impl Offset {
    pub fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }
}

impl NextOffset {
    pub fn as_offset(self) -> Offset {
        Offset(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_ids_cannot_break_a_record_key() {
        for good in ["demo", "a", "0", "team-1_x"] {
            assert!(good.parse::<TenantId>().is_ok(), "{good}");
        }
        for bad in ["", "Demo", "a|b", "-a", "_a", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(bad.parse::<TenantId>(), Err(IdError::Tenant), "{bad}");
        }
    }

    #[test]
    fn an_event_id_has_one_spelling() {
        let id: EventId = "0192F0C1-2345-7abc-8def-0123456789AB".parse().expect("a uuid");
        assert_eq!(id.to_string(), "0192f0c1-2345-7abc-8def-0123456789ab");
        assert!("{0192f0c1-2345-7abc-8def-0123456789ab}".parse::<EventId>().is_err());
        assert!("0192f0c123457abc8def0123456789ab".parse::<EventId>().is_err());
    }
}
