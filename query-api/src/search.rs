//! Events: a page of them, or one.

use audit_event::{EventId, Offset, TenantId, Timestamp};
use clickhouse_io::Sql;
use clickhouse_io::event_row::{EventRow, SELECT_COLUMNS};

use crate::answer::{EventAnswer, EventPage};
use crate::cursor::Cursor;
use crate::filter::{self, Conditions, Filter};
use crate::parameters::{BadParameter, Form, Parameter, Parameters};
use crate::store::{Store, StoreFault};

const DEFAULT_LIMIT: usize = 50;
const MAX_LIMIT: usize = 1_000;

/// The parameters of a search beside the filter's.
pub const PAGE_PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "limit",
        form: Form::Number { min: 1, max: MAX_LIMIT as i64, default: DEFAULT_LIMIT as i64 },
        about: "The most events in the answer.",
    },
    Parameter {
        name: "cursor",
        form: Form::Text,
        about: "The next_cursor of the page before, with the same filter.",
    },
];

/// A search: what, and which page of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    filter: Filter,
    limit: usize,
    after: Option<Cursor>,
}

impl Search {
    pub fn parse(pairs: Vec<(String, String)>) -> Result<Self, BadParameter> {
        let parameters = Parameters::read(pairs, &[filter::PARAMETERS, PAGE_PARAMETERS])?;
        let limit = parameters.parsed(
            "limit",
            format_args!("must be a whole number from 1 to {MAX_LIMIT}"),
            |text| text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)),
        )?;
        Ok(Self {
            filter: Filter::parse(&parameters)?,
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            after: parameters.parsed("cursor", "must be the next_cursor of an answer", Cursor::decode)?,
        })
    }

    fn sql(&self, tenant_id: &TenantId) -> Sql {
        let mut conditions = self.filter.conditions(tenant_id);
        if let Some(cursor) = self.after {
            // the first condition is what the primary key can use
            conditions.and(
                "occurred_at <= fromUnixTimestamp64Micro({after_us:Int64}, 'UTC') AND (occurred_at, event_id, kafka_offset) \
                 < (fromUnixTimestamp64Micro({after_us:Int64}, 'UTC'), {after_id:UUID}, {after_offset:Int64})",
                [
                    ("after_us", cursor.occurred_at.micros().to_string()),
                    ("after_id", cursor.event_id.to_string()),
                    ("after_offset", cursor.kafka_offset.to_string()),
                ],
            );
        }
        let text = format!(
            "SELECT {SELECT_COLUMNS} FROM events WHERE {} \
             ORDER BY occurred_at DESC, event_id DESC, kafka_offset DESC LIMIT {{rows:UInt64}}",
            conditions.text()
        );
        // one more than asked for tells whether there is another page
        conditions.bind(Sql::new(text)).param("rows", self.limit as u64 + 1)
    }

    pub async fn run(&self, store: &Store, tenant_id: &TenantId) -> Result<EventPage, StoreFault> {
        let mut rows: Vec<EventRow> = store
            .run(self.sql(tenant_id), async |engine, sql| engine.fetch_all("search events", sql).await)
            .await?;
        let is_last = rows.len() <= self.limit;
        rows.truncate(self.limit);
        let next_cursor = rows.last().filter(|_| !is_last).map(|row| cursor_at(row).encode());
        let events = rows.into_iter().map(EventAnswer::from_row).collect::<Result<_, _>>()?;
        Ok(EventPage { events, next_cursor })
    }
}

fn cursor_at(row: &EventRow) -> Cursor {
    Cursor {
        occurred_at: Timestamp::from_micros(row.occurred_us),
        event_id: EventId(row.event_id),
        kafka_offset: Offset(row.kafka_offset),
    }
}

/// One event. Where it was sent again after the dedupe window, the first.
pub async fn find(
    store: &Store,
    tenant_id: &TenantId,
    event_id: EventId,
) -> Result<Option<EventAnswer>, StoreFault> {
    let mut conditions = Conditions::of_tenant(tenant_id);
    conditions.and("event_id = {event_id:UUID}", [("event_id", event_id)]);
    let text = format!(
        "SELECT {SELECT_COLUMNS} FROM events WHERE {} ORDER BY received_at, kafka_offset LIMIT 1",
        conditions.text()
    );
    let sql = conditions.bind(Sql::new(text));
    let rows: Vec<EventRow> =
        store.run(sql, async |engine, sql| engine.fetch_all("find an event", sql).await).await?;
    Ok(rows.into_iter().next().map(EventAnswer::from_row).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::pairs;

    #[test]
    fn limit_and_cursor() {
        assert_eq!(Search::parse(vec![]).expect("fine").limit, DEFAULT_LIMIT);
        for (text, limit) in [("1", 1), ("1000", 1_000)] {
            assert_eq!(Search::parse(pairs(&[("limit", text)])).expect("fine").limit, limit);
        }
        for bad in ["0", "1001", "-1", "ten", "1.5", "99999999999999999999"] {
            let fault = Search::parse(pairs(&[("limit", bad)])).expect_err("bad").to_string();
            assert_eq!(fault, "parameter `limit` must be a whole number from 1 to 1000", "{bad}");
        }
        let fault = Search::parse(pairs(&[("cursor", "x")])).expect_err("bad").to_string();
        assert_eq!(fault, "parameter `cursor` must be the next_cursor of an answer");
        assert!(Search::parse(pairs(&[("group_by", "outcome")])).is_err(), "belongs to /v1/stats");
    }

    #[test]
    fn a_statement_holds_no_value() {
        let tenant_id = "demo".parse().expect("a tenant");
        let after = Cursor {
            occurred_at: Timestamp::from_micros(77),
            event_id: EventId(uuid::Uuid::nil()),
            kafka_offset: Offset(99),
        };
        let asked =
            pairs(&[("actor_id", "x'; DROP TABLE events"), ("limit", "7"), ("cursor", &after.encode())]);
        let sql = Search::parse(asked).expect("fine").sql(&tenant_id);
        assert!(sql.text().contains("WHERE tenant_id = {tenant_id:String} AND "));
        for value in ["DROP", "demo", "77", "99"] {
            assert!(!sql.text().contains(value), "{value}: {}", sql.text());
        }
    }
}
