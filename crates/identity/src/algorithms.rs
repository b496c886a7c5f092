//! What a token may be signed by. Only algorithms with a public key have a name here: one with a shared secret would
//! make the published keys into secrets.

use std::fmt;

use jsonwebtoken::Algorithm;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const NAMES: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// The algorithm of this name (RFC 7518, section 3.1), if tokens may have it at all.
pub(crate) fn named(name: &str) -> Option<Algorithm> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, algorithm)| *algorithm)
}

/// A list of algorithms; in the settings a text with commas, or a list of texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(Vec<Algorithm>);

impl Algorithms {
    pub(crate) fn as_slice(&self) -> &[Algorithm] {
        &self.0
    }

    fn of<'a, E: de::Error>(names: impl Iterator<Item = &'a str>) -> Result<Self, E> {
        let mut list = Vec::new();
        for name in names.map(str::trim).filter(|name| !name.is_empty()) {
            let known = || NAMES.map(|(name, _)| name).join(", ");
            let algorithm = named(name)
                .ok_or_else(|| E::custom(format!("`{name}` is not taken; choose from {}", known())))?;
            if !list.contains(&algorithm) {
                list.push(algorithm);
            }
        }
        if list.is_empty() { Err(E::custom("name one algorithm at least")) } else { Ok(Self(list)) }
    }
}

impl Default for Algorithms {
    fn default() -> Self {
        Self(vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA])
    }
}

impl fmt::Display for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().filter_map(|of| NAMES.iter().find(|(_, known)| known == of));
        f.write_str(&names.map(|(name, _)| *name).collect::<Vec<_>>().join(","))
    }
}

impl Serialize for Algorithms {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Algorithms {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Algorithms;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("algorithms such as RS256,ES256")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Algorithms, E> {
                Algorithms::of(text.split(','))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Algorithms, A::Error> {
                let mut names: Vec<String> = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Algorithms::of(names.iter().map(String::as_str))
            }
        }
        deserializer.deserialize_any(Names)
    }
}

impl JsonSchema for Algorithms {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Algorithms".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "names, joined by commas" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn read(value: Value) -> Result<String, String> {
        let read: Result<Algorithms, _> = serde_json::from_value(value);
        read.map(|list| list.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_list_is_a_text_or_a_list() {
        assert_eq!(read(json!("ES384, PS256,ES384")), Ok("ES384,PS256".to_owned()));
        assert_eq!(read(json!(["EdDSA"])), Ok("EdDSA".to_owned()));
        let default = serde_json::to_value(Algorithms::default()).expect("a text");
        assert_eq!(default, json!("RS256,ES256,EdDSA"));
        assert_eq!(read(default), Ok("RS256,ES256,EdDSA".to_owned()));
    }

    #[test]
    fn a_shared_secret_or_none_cannot_be_configured() {
        for name in ["HS256", "HS384", "HS512", "none", "NONE", "rs256", "RS256,HS256", "dir"] {
            assert!(read(json!(name)).is_err_and(|said| said.contains("not taken")), "{name}");
            assert!(read(json!([name])).is_err(), "{name}");
        }
        for nothing in [json!(""), json!([]), json!(" , "), json!(256)] {
            assert!(read(nothing.clone()).is_err(), "{nothing}");
        }
    }
}
