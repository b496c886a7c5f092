//! Counts of events by what they have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use audit_event::{TenantId, Timestamp};
use clickhouse_io::Sql;
use serde::Serialize;
use service_kit::Problem;
use thiserror::Error;
use utoipa::ToSchema;

use crate::filter::{self, Filter};
use crate::parameters::{BadParameter, Form, Parameter, Parameters};
use crate::store::{Store, StoreFault};

const MAX_GROUP_BY: usize = 4;
const MAX_GROUPS: usize = 10_000;
/// The key that an interval adds.
const TIME_KEY: &str = "time";

/// A closed set whose names are the API's and, where it groups, ClickHouse's columns.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($variant),+ }

        impl $name {
            const NAMES: &'static [&'static str] = &[$($text),+];
        }

        impl FromStr for $name {
            type Err = UnknownName;
            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownName(Self::NAMES)) }
            }
        }
    };
}

#[derive(Debug)]
pub struct UnknownName(&'static [&'static str]);

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be out of {}", self.0.join(", "))
    }
}

names!(
    /// A column that events are grouped by.
    GroupBy {
        EventType => "event_type", Operation => "operation", Outcome => "outcome", Severity => "severity",
        ActorId => "actor_id", ActorType => "actor_type", Door => "door",
    }
);
names!(
    /// The width of a time bucket; buckets begin at whole multiples of it, in UTC.
    Interval {
        Minute => "1m", FiveMinutes => "5m", QuarterHour => "15m", Hour => "1h", SixHours => "6h", Day => "1d",
    }
);

impl GroupBy {
    fn column(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

impl Interval {
    fn micros(self) -> i64 {
        let minutes = match self {
            Self::Minute => 1,
            Self::FiveMinutes => 5,
            Self::QuarterHour => 15,
            Self::Hour => 60,
            Self::SixHours => 6 * 60,
            Self::Day => 24 * 60,
        };
        minutes * 60 * 1_000_000
    }
}

/// The parameters of the counts beside the filter's.
pub const GROUP_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "group_by",
        form: Form::SomeOf(GroupBy::NAMES),
        about: "One to four names joined by commas. This or interval must be given.",
    },
    Parameter {
        name: "interval",
        form: Form::OneOf(Interval::NAMES),
        about: "Adds the key `time`: the begin of the bucket in which the event occurred, UTC.",
    },
];

/// Counts that are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    filter: Filter,
    group_by: Vec<GroupBy>,
    interval: Option<Interval>,
}

/// Groups by time, the largest first within a time.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsAnswer {
    pub groups: Vec<Group>,
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Group {
    /// A value for each name in `group_by`, and `time` where an interval was given.
    pub key: BTreeMap<&'static str, String>,
    pub count: u64,
}

#[derive(Debug, Error)]
pub enum StatsFault {
    #[error("there are more than {MAX_GROUPS} groups; narrow the filter, or group by less")]
    TooManyGroups,
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl From<StatsFault> for Problem {
    fn from(fault: StatsFault) -> Self {
        match fault {
            StatsFault::TooManyGroups => Self::bad_request(fault.to_string()),
            StatsFault::Store(fault) => fault.into(),
        }
    }
}

/// A group in ClickHouse's answer: the values in the order asked for, the bucket's begin, the count.
type GroupRow = (Vec<String>, i64, u64);

impl Stats {
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, BadParameter> {
        let parameters = Parameters::read(pairs, &[filter::PARAMETERS, GROUP_PARAMETERS])?;
        let group_by = parameters.text("group_by").map(read_group_by).transpose()?.unwrap_or_default();
        let interval = parameters.symbol("interval")?;
        if group_by.is_empty() && interval.is_none() {
            return Err(BadParameter::value("group_by", "or `interval` must be given"));
        }
        Ok(Self { filter: Filter::parse(&parameters)?, group_by, interval })
    }

    fn sql(&self, tenant_id: &TenantId) -> Sql {
        let conditions = self.filter.conditions(tenant_id);
        let mut by: Vec<&str> = self.group_by.iter().map(|name| name.column()).collect();
        let values = match by.iter().map(|column| format!("toString({column})")).collect::<Vec<_>>() {
            none if none.is_empty() => "emptyArrayString()".to_owned(),
            some => format!("[{}]", some.join(", ")),
        };
        let bucket = if self.interval.is_some() {
            // on whole numbers: ClickHouse's own rounding answers in a type that ends in 2106
            let bucket = "toUnixTimestamp64Micro(occurred_at) \
                - positiveModulo(toUnixTimestamp64Micro(occurred_at), {step_us:Int64})";
            by.push(bucket);
            bucket
        } else {
            "toInt64(0)"
        };
        let text = format!(
            "SELECT {values} AS group_values, {bucket} AS bucket_us, count() AS events_counted FROM events WHERE {} \
             GROUP BY {} ORDER BY bucket_us, events_counted DESC, group_values LIMIT {{rows:UInt64}}",
            conditions.text(),
            by.join(", ")
        );
        let sql = conditions.bind(Sql::new(text)).param("rows", MAX_GROUPS as u64 + 1);
        match self.interval {
            Some(interval) => sql.param("step_us", interval.micros()),
            None => sql,
        }
    }

    pub async fn run(&self, store: &Store, tenant_id: &TenantId) -> Result<StatsAnswer, StatsFault> {
        let rows: Vec<GroupRow> = store
            .run(self.sql(tenant_id), async |engine, sql| engine.fetch_all("count events", sql).await)
            .await?;
        if rows.len() > MAX_GROUPS {
            return Err(StatsFault::TooManyGroups);
        }
        Ok(StatsAnswer { groups: rows.into_iter().map(|row| self.group(row)).collect() })
    }

    fn group(&self, (values, bucket_us, count): GroupRow) -> Group {
        let mut key: BTreeMap<_, _> = self.group_by.iter().map(|name| name.column()).zip(values).collect();
        if self.interval.is_some() {
            let time = Timestamp::from_micros(bucket_us).to_rfc3339();
            key.insert(TIME_KEY, time.unwrap_or_else(|| bucket_us.to_string()));
        }
        Group { key, count }
    }
}

fn read_group_by(text: &str) -> Result<Vec<GroupBy>, BadParameter> {
    let mut names = Vec::new();
    for part in text.split(',') {
        let name: GroupBy = part.trim().parse().map_err(|error| BadParameter::value("group_by", error))?;
        if names.contains(&name) {
            return Err(BadParameter::value("group_by", format_args!("has {} twice", name.column())));
        }
        names.push(name);
    }
    if names.len() > MAX_GROUP_BY {
        return Err(BadParameter::value("group_by", format_args!("takes at most {MAX_GROUP_BY} names")));
    }
    Ok(names)
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
