//! `AuditEvent`, one fact: field for field the Avro record `sealtrail.v1.AuditEvent` and the JSON form.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::ids::{EventId, TenantId};
use crate::timestamp::Timestamp;

/// One audit event. Field order is the Avro schema's, and so are the values of fields that a producer's schema leaves out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AuditEvent {
    pub event_id: EventId,
    pub tenant_id: TenantId,
    pub occurred_at: Timestamp,
    pub event_type: String,
    #[serde(default)]
    pub operation: Operation,
    #[serde(default)]
    pub outcome: Outcome,
    #[serde(default)]
    pub severity: Severity,
    pub actor: Actor,
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    pub source: Source,
    pub trace: Option<Trace>,
    pub duration_ms: Option<i64>,
    pub batch_id: Option<String>,
    pub message: Option<String>,
    #[serde(default)]
    pub changes: Vec<Change>,
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    pub signature: Option<Signature>,
}

impl AuditEvent {
    /// Whether both have the body that the producer gave; what counts for it says [`Self::hash_body`].
    pub fn has_body_of(&self, other: &Self) -> bool {
        let as_there = Self { source: other.source.clone(), trace: other.trace.clone(), ..self.clone() };
        as_there == *other
    }

    /// Feeds the body that the producer gave to a hasher: all but `source` and `trace`, which may differ when a
    /// producer sends the same event again.
    pub fn hash_body(&self, hasher: &mut impl Hasher) {
        let Self {
            event_id,
            tenant_id,
            occurred_at,
            event_type,
            operation,
            outcome,
            severity,
            actor,
            targets,
            source: _,
            trace: _,
            duration_ms,
            batch_id,
            message,
            changes,
            attributes,
            signature,
        } = self;
        (event_id, tenant_id, occurred_at, event_type, operation, outcome, severity).hash(hasher);
        (actor, targets, duration_ms, batch_id, message, changes, attributes, signature).hash(hasher);
    }
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: Option<String>,
    pub session_id: Option<String>,
    pub on_behalf_of: Option<String>,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Target {
    pub id: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub name: Option<String>,
}

/// Where it came from, as the producer says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Source {
    pub ip: Option<String>,
    pub user_agent: Option<String>,
    pub service: Option<String>,
    pub host: Option<String>,
    pub request_id: Option<String>,
}

/// W3C trace context.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trace {
    pub trace_id: String,
    pub span_id: String,
}

/// One changed field; the values are JSON text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    pub path: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

/// The producer's own signature over the datum without this field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Signature {
    pub key_id: String,
    pub algorithm: String,
    pub value: String,
}

/// A closed set of symbols with a default that stands for the unknown ones, as Avro's enum defaults do.
macro_rules! symbols {
    ($(#[$doc:meta])* $name:ident, default $default:ident, { $($variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            pub const SYMBOLS: &'static [&'static str] = &[$($text),+];
            pub const DEFAULT: Self = Self::$default;

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::DEFAULT
            }
        }

        impl FromStr for $name {
            type Err = UnknownSymbol;
            fn from_str(text: &str) -> Result<Self, UnknownSymbol> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownSymbol(Self::SYMBOLS)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_unit_variant(stringify!($name), *self as u32, self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Symbol;
                impl<'de> de::Visitor<'de> for Symbol {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a symbol")
                    }
                    // JSON
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        Ok(text.parse().unwrap_or($name::DEFAULT))
                    }
                    // Avro
                    fn visit_enum<A: de::EnumAccess<'de>>(self, access: A) -> Result<$name, A::Error> {
                        let (symbol, variant) = access.variant::<SymbolText>()?;
                        de::VariantAccess::unit_variant(variant)?;
                        Ok(symbol.0.parse().unwrap_or($name::DEFAULT))
                    }
                }
                if deserializer.is_human_readable() {
                    deserializer.deserialize_str(Symbol)
                } else {
                    deserializer.deserialize_enum(stringify!($name), $name::SYMBOLS, Symbol)
                }
            }
        }
    };
}

/// An enum symbol on its way in: at most 64 bytes, read without knowing the set.
struct SymbolText(String);

impl<'de> Deserialize<'de> for SymbolText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = SymbolText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a symbol")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<SymbolText, E> {
                Ok(SymbolText(text.to_owned()))
            }
        }
        deserializer.deserialize_identifier(Text)
    }
}

/// A symbol outside the set; holds the symbols that would have been right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownSymbol(pub &'static [&'static str]);

impl fmt::Display for UnknownSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be one of {}", self.0.join(", "))
    }
}

impl std::error::Error for UnknownSymbol {}

symbols!(
    /// What kind of act it was.
    Operation, default Other, {
        Create => "create", Read => "read", Update => "update", Delete => "delete",
        Execute => "execute", Access => "access", Other => "other",
    }
);
symbols!(
    /// How it ended.
    Outcome, default Unknown, {
        Success => "success", Failure => "failure", Denied => "denied", Unknown => "unknown",
    }
);
symbols!(
    /// How much it matters.
    Severity, default Info, {
        Debug => "debug", Info => "info", Notice => "notice", Warning => "warning",
        Error => "error", Critical => "critical",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_symbol_reads_as_the_default() {
        assert_eq!(serde_json::from_str::<Operation>("\"teleport\"").expect("json"), Operation::Other);
        assert_eq!(serde_json::from_str::<Outcome>("\"denied\"").expect("json"), Outcome::Denied);
        assert!("teleport".parse::<Operation>().is_err());
    }
}
