//! Which events are asked for: read out of a query string, written as conditions. Conditions are texts of our own;
//! values stand beside them, on their way to be server-side parameters.

use audit_event::{Operation, Outcome, Severity, TenantId, Timestamp, event_type};
use clickhouse_io::Sql;

use crate::parameters::{BadParameter, Form, Parameter, Parameters};

/// The most words of a full-text search.
const MAX_WORDS: usize = 32;

const TIME_ALLOWED: &str = "must be an RFC 3339 time such as 2026-11-02T10:00:00Z (a `+` is written %2B)";

/// The parameters of every route that reads events.
pub const PARAMETERS: &[Parameter] = &[
    Parameter { name: "from", form: Form::Time, about: "Events that occurred at this time or later." },
    Parameter { name: "to", form: Form::Time, about: "Events that occurred before this time." },
    Parameter { name: "event_type", form: Form::Text, about: "Such as user.login, in full." },
    Parameter { name: "actor_id", form: Form::Text, about: "Who did it, in full." },
    Parameter {
        name: "target_type",
        form: Form::Text,
        about: "What kind of thing it was done to, in full. With target_id, the same target must match both.",
    },
    Parameter { name: "target_id", form: Form::Text, about: "What it was done to, in full." },
    Parameter { name: "operation", form: Form::OneOf(Operation::SYMBOLS), about: "What kind of act it was." },
    Parameter { name: "outcome", form: Form::OneOf(Outcome::SYMBOLS), about: "How it ended." },
    Parameter { name: "severity", form: Form::OneOf(Severity::SYMBOLS), about: "How much it matters." },
    Parameter {
        name: "trace_id",
        form: Form::Text,
        about: "Events of this W3C trace, by their own `trace` or by the request that brought them.",
    },
    Parameter {
        name: "correlation_id",
        form: Form::Text,
        about: "Events of the request that was answered with this X-Correlation-Id.",
    },
    Parameter {
        name: "q",
        form: Form::Text,
        about: "Full text: all these words, as they are written, stand in the message, or all in the target ids, or \
                all in the attribute values. Words are split at what is neither letter nor digit.",
    },
];

/// What an event must match; nothing set matches all of the tenant's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    event_type: Option<String>,
    actor_id: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
    operation: Option<Operation>,
    outcome: Option<Outcome>,
    severity: Option<Severity>,
    trace_id: Option<String>,
    correlation_id: Option<String>,
    words: Option<String>,
}

impl Filter {
    pub fn parse(parameters: &Parameters) -> Result<Self, BadParameter> {
        let filter = Self {
            from: parameters.parsed("from", TIME_ALLOWED, Timestamp::parse_rfc3339)?,
            to: parameters.parsed("to", TIME_ALLOWED, Timestamp::parse_rfc3339)?,
            event_type: parameters.parsed("event_type", "must look like user.login", |text| {
                event_type::is_well_formed(text).then(|| text.to_owned())
            })?,
            actor_id: parameters.owned("actor_id"),
            target_type: parameters.owned("target_type"),
            target_id: parameters.owned("target_id"),
            operation: parameters.symbol("operation")?,
            outcome: parameters.symbol("outcome")?,
            severity: parameters.symbol("severity")?,
            trace_id: parameters.owned("trace_id"),
            correlation_id: parameters.owned("correlation_id"),
            words: parameters.parsed("q", format_args!("must have 1 to {MAX_WORDS} words"), |text| {
                is_searchable(text).then(|| text.to_owned())
            })?,
        };
        match (filter.from, filter.to) {
            (Some(from), Some(to)) if from > to => Err(BadParameter::value("from", "must not be after `to`")),
            _ => Ok(filter),
        }
    }

    pub fn conditions(&self, tenant_id: &TenantId) -> Conditions {
        let mut all = Conditions::of_tenant(tenant_id);
        if let Some(from) = self.from {
            all.and(
                "occurred_at >= fromUnixTimestamp64Micro({from_us:Int64}, 'UTC')",
                [("from_us", from.micros())],
            );
        }
        if let Some(to) = self.to {
            all.and("occurred_at < fromUnixTimestamp64Micro({to_us:Int64}, 'UTC')", [("to_us", to.micros())]);
        }
        if let Some(event_type) = &self.event_type {
            all.and("event_type = {event_type:String}", [("event_type", event_type)]);
        }
        if let Some(actor_id) = &self.actor_id {
            all.and("actor_id = {actor_id:String}", [("actor_id", actor_id)]);
        }
        self.add_target(&mut all);
        if let Some(operation) = self.operation {
            all.and("operation = {operation:String}", [("operation", operation)]);
        }
        if let Some(outcome) = self.outcome {
            all.and("outcome = {outcome:String}", [("outcome", outcome)]);
        }
        if let Some(severity) = self.severity {
            all.and("severity = {severity:String}", [("severity", severity)]);
        }
        if let Some(trace_id) = &self.trace_id {
            // both sides have an index; the second is spelled as its index is
            all.and(
                "(trace_id = {trace_id:String} OR substring(traceparent, 4, 32) = {trace_id:String})",
                [("trace_id", trace_id)],
            );
        }
        if let Some(correlation_id) = &self.correlation_id {
            all.and("correlation_id = {correlation_id:String}", [("correlation_id", correlation_id)]);
        }
        if let Some(words) = &self.words {
            all.and(
                "(hasAllTokens(message, {words:String}) OR hasAllTokens(`targets.id`, {words:String}) \
                 OR hasAllTokens(mapValues(attributes), {words:String}))",
                [("words", words)],
            );
        }
        all
    }

    fn add_target(&self, all: &mut Conditions) {
        match (&self.target_type, &self.target_id) {
            (Some(kind), Some(id)) => all.and(
                "arrayExists((id, type) -> id = {target_id:String} AND type = {target_type:String}, `targets.id`, \
                 `targets.type`)",
                [("target_id", id), ("target_type", kind)],
            ),
            (Some(kind), None) => all.and("has(`targets.type`, {target_type:String})", [("target_type", kind)]),
            (None, Some(id)) => all.and("has(`targets.id`, {target_id:String})", [("target_id", id)]),
            (None, None) => {}
        }
        if let Some(id) = self.target_id.as_ref().filter(|id| is_searchable(id)) {
            // says nothing new, and lets the text index skip most of the table
            all.and("hasAllTokens(`targets.id`, {target_id:String})", [("target_id", id)]);
        }
    }
}

/// Whether ClickHouse's `splitByNonAlpha` finds words, and not too many: it splits at ASCII that is no letter or digit.
fn is_searchable(text: &str) -> bool {
    let words = text
        .split(|c: char| c.is_ascii() && !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(MAX_WORDS + 1)
        .count();
    (1..=MAX_WORDS).contains(&words)
}

/// Conditions joined by AND, with the values of their parameters. A condition is `'static`: no caller's text can
/// become one.
#[derive(Debug)]
pub struct Conditions {
    texts: Vec<&'static str>,
    values: Vec<(&'static str, String)>,
}

impl Conditions {
    /// The only way to begin, so that no query goes without its tenant.
    pub fn of_tenant(tenant_id: &TenantId) -> Self {
        let mut conditions = Self { texts: Vec::new(), values: Vec::new() };
        conditions.and("tenant_id = {tenant_id:String}", [("tenant_id", tenant_id)]);
        conditions
    }

    pub fn and<V: ToString>(
        &mut self,
        text: &'static str,
        values: impl IntoIterator<Item = (&'static str, V)>,
    ) {
        self.texts.push(text);
        self.values.extend(values.into_iter().map(|(name, value)| (name, value.to_string())));
    }

    pub fn text(&self) -> String {
        self.texts.join(" AND ")
    }

    pub fn bind(self, sql: Sql) -> Sql {
        self.values.into_iter().fold(sql, |sql, (name, value)| sql.param(name, value))
    }
}

#[cfg(test)]
#[path = "filter_tests.rs"]
mod tests;
