//! The parameters of a query string: one table that both the reading and `/openapi.json` go by.

use std::collections::BTreeMap;
use std::fmt::Display;

use service_kit::Problem;
use thiserror::Error;

/// How much of an unknown name is said back.
const MAX_ECHOED_CHARS: usize = 64;

/// One parameter that a route knows.
pub struct Parameter {
    pub name: &'static str,
    pub form: Form,
    pub about: &'static str,
}

/// What a value looks like, for `/openapi.json`.
pub enum Form {
    Text,
    Time,
    OneOf(&'static [&'static str]),
    /// Names joined by commas.
    SomeOf(&'static [&'static str]),
    Number {
        min: i64,
        max: i64,
        default: i64,
    },
}

/// What is wrong with a query string.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadParameter {
    #[error("parameter `{name}` is not known; {known}")]
    Unknown { name: String, known: String },
    #[error("parameter `{name}` may be given once only")]
    Twice { name: &'static str },
    #[error("parameter `{name}` is empty; give a value or leave it out")]
    Empty { name: &'static str },
    #[error("parameter `{name}` {allowed}")]
    Value { name: &'static str, allowed: String },
}

impl BadParameter {
    pub fn value(name: &'static str, allowed: impl Display) -> Self {
        Self::Value { name, allowed: allowed.to_string() }
    }
}

impl From<BadParameter> for Problem {
    fn from(bad: BadParameter) -> Self {
        Self::bad_request(bad.to_string())
    }
}

/// The values of a request, each name known and given once.
#[derive(Debug)]
pub struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    pub fn read(pairs: Vec<(String, String)>, known: &[&[Parameter]]) -> Result<Self, BadParameter> {
        let names = || known.iter().flat_map(|table| table.iter()).map(|parameter| parameter.name);
        let mut values = BTreeMap::new();
        for (key, value) in pairs {
            let Some(name) = names().find(|name| *name == key) else {
                let known = match names().collect::<Vec<_>>().join(", ") {
                    none if none.is_empty() => "this route takes none".to_owned(),
                    some => format!("known are {some}"),
                };
                return Err(BadParameter::Unknown {
                    name: key.chars().take(MAX_ECHOED_CHARS).collect(),
                    known,
                });
            };
            if value.is_empty() {
                return Err(BadParameter::Empty { name });
            }
            if values.insert(name, value).is_some() {
                return Err(BadParameter::Twice { name });
            }
        }
        Ok(Self(values))
    }

    pub fn text(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub fn owned(&self, name: &'static str) -> Option<String> {
        self.0.get(name).cloned()
    }

    /// Reads a value; `allowed` says what would have been right.
    pub fn parsed<T>(
        &self,
        name: &'static str,
        allowed: impl Display,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, BadParameter> {
        self.text(name).map(|text| read(text).ok_or_else(|| BadParameter::value(name, allowed))).transpose()
    }

    /// Reads a value out of a closed set.
    pub fn symbol<T>(&self, name: &'static str) -> Result<Option<T>, BadParameter>
    where
        T: std::str::FromStr,
        T::Err: Display,
    {
        self.text(name).map(|text| text.parse().map_err(|error| BadParameter::value(name, error))).transpose()
    }
}

#[cfg(test)]
pub fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Parameter] = &[
        Parameter { name: "from", form: Form::Time, about: "" },
        Parameter { name: "q", form: Form::Text, about: "" },
    ];

    #[test]
    fn unknown_repeated_and_empty_names_are_said() {
        let fault = |of: &[(&str, &str)]| Parameters::read(pairs(of), &[KNOWN]).expect_err("bad").to_string();
        assert_eq!(fault(&[("form", "x")]), "parameter `form` is not known; known are from, q");
        let none = Parameters::read(pairs(&[("q", "x")]), &[]).expect_err("bad").to_string();
        assert_eq!(none, "parameter `q` is not known; this route takes none");
        assert_eq!(fault(&[("q", "a"), ("q", "b")]), "parameter `q` may be given once only");
        assert_eq!(fault(&[("q", "")]), "parameter `q` is empty; give a value or leave it out");
        assert!(fault(&[(&"ä".repeat(10_000), "x")]).len() < 300, "a long name is not said back whole");
    }

    #[test]
    fn a_value_that_does_not_parse_names_its_parameter() {
        let read = Parameters::read(pairs(&[("q", "x")]), &[KNOWN]).expect("known");
        let number = read.parsed("q", "must be a number", |text| text.parse::<u8>().ok());
        assert_eq!(number.expect_err("no number").to_string(), "parameter `q` must be a number");
        assert_eq!(read.parsed("from", "", |_| Some(1)), Ok(None));
    }
}
