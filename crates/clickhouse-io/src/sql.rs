//! A statement and its values. Values travel beside the text as server-side parameters (`{name:Type}`), never in it.

use clickhouse::Client;
use clickhouse::query::Query;
use serde::Serialize;

/// SQL of our own making, with its parameters and settings.
pub struct Sql {
    text: String,
    set: Vec<Box<dyn FnOnce(Query) -> Query + Send>>,
}

impl Sql {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), set: Vec::new() }
    }

    /// The value of `{name:Type}`.
    #[must_use]
    pub fn param(mut self, name: &str, value: impl Serialize + Send + 'static) -> Self {
        let name = name.to_owned();
        self.set.push(Box::new(move |query| query.param(&name, value)));
        self
    }

    #[must_use]
    pub fn setting(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        self.set.push(Box::new(move |query| query.with_setting(name, value)));
        self
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn into_query(self, client: &Client) -> Query {
        self.set.into_iter().fold(client.query_raw(&self.text), |query, set| set(query))
    }
}
