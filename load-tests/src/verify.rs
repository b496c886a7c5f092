//! Holds the trail against a ledger.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use uuid::Uuid;

use crate::args::{StackFlags, VerifyArgs};
use crate::checks::{self, SqlCheck};
use crate::clickhouse::{ClickHouse, Params};
use crate::env::Settings;
use crate::ledger::Account;
use crate::numbers::{Called, Roll};
use crate::report::{self, Check, Verdict};
use crate::settle::{self, Settled};

/// A number and an event id in RowBinary.
const ROW_BYTES: usize = 24;

const ROWS: &str = "
SELECT toUInt64OrZero(attributes['n']), event_id FROM events WHERE attributes['run'] = {run:String}";

const COUNT: &str = "SELECT count() AS count FROM events WHERE attributes['run'] = {run:String}";

/// Where the events of a few numbers are, or what became of them.
const WHEREABOUTS: &str = "
SELECT place FROM
(
    SELECT event_id, format('event_id {} is in events at partition {}, offset {}',
        toString(event_id), toString(kafka_partition), toString(kafka_offset)) AS place
    FROM events WHERE event_id IN {ids:Array(UUID)}
    UNION ALL
    SELECT event_id, format('event_id {} is in duplicates at partition {}, offset {}',
        toString(event_id), toString(kafka_partition), toString(kafka_offset))
    FROM duplicates WHERE event_id IN {ids:Array(UUID)}
    UNION ALL
    SELECT toUUIDOrZero(splitByChar('|', ifNull(record_key, ''))[2]) AS id,
        format('event_id {} is in dead_letters at partition {}, offset {}: {}, {}',
            toString(id), toString(kafka_partition), toString(kafka_offset), reason, detail)
    FROM dead_letters WHERE id IN {ids:Array(UUID)}
)
ORDER BY event_id, place
LIMIT 50";

pub async fn command(stack: &StackFlags, args: &VerifyArgs) -> Result<Verdict> {
    let settings = Settings::read(stack)?;
    let clickhouse = ClickHouse::of(&settings)?;
    let account = Account::read(&args.ledger)?;
    let (verdict, _) = verify(&clickhouse, &account, Duration::from_secs(args.wait_s)).await?;
    Ok(verdict)
}

/// Waits, checks, prints.
pub async fn verify(
    clickhouse: &ClickHouse,
    account: &Account,
    patience: Duration,
) -> Result<(Verdict, Settled)> {
    let settled = settle::settle(clickhouse, account, patience).await?;
    if settled.reached_at.is_none() {
        eprintln!(
            "stopped short: {} of {} acknowledged events are in events, and nothing moved for {} s",
            settled.rows,
            account.accepted.len(),
            patience.as_secs()
        );
    }
    let Called { checks: all, suspects } = examine(clickhouse, account).await?;
    report::checks(&all);
    if !suspects.is_empty() {
        println!("where the events named above are:");
        whereabouts(clickhouse, account, &suspects).await?.iter().for_each(|place| println!("    {place}"));
    }
    let verdict = report::verdict(&all);
    if verdict == Verdict::Holds && account.accepted.is_empty() {
        eprintln!(
            "no event was acknowledged, so there is nothing that could hold: look at what generate printed"
        );
        return Ok((Verdict::CannotTell, settled));
    }
    println!("{}", if verdict == Verdict::Holds { "all holds" } else { "something does not hold" });
    Ok((verdict, settled))
}

/// All checks, at once and without a word.
pub async fn examine(clickhouse: &ClickHouse, account: &Account) -> Result<Called> {
    let mut called = call_roll(clickhouse, account).await?;
    for check in checks::TRAIL {
        called.checks.push(ask(clickhouse, check, &[]).await?);
    }
    if !account.last_offsets.is_empty() {
        called.checks.push(ask(clickhouse, &checks::REACH, &reach_params(account)).await?);
    }
    Ok(called)
}

async fn call_roll(clickhouse: &ClickHouse, account: &Account) -> Result<Called> {
    #[derive(Deserialize)]
    struct Count {
        count: u64,
    }
    let run = [("run", account.run.clone())];
    let mut roll = Roll::new(account);
    clickhouse
        .binary_rows::<ROW_BYTES>(ROWS, &run, |row| {
            let [n, high, low] = [0, 8, 16].map(|at| little_endian(row, at));
            roll.row(n, Uuid::from_u64_pair(high, low));
        })
        .await
        .context("cannot read the rows of the run")?;
    // an answer that was cut off must not pass for a short one
    let Count { count } = clickhouse.row(COUNT, &run).await?;
    anyhow::ensure!(
        count == roll.rows(),
        "read {} rows of the run where clickhouse counts {count}: it is still changing, or the answer was cut; verify again",
        roll.rows()
    );
    Ok(roll.call())
}

fn little_endian(row: &[u8; ROW_BYTES], at: usize) -> u64 {
    row[at..at + 8].iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

async fn ask(clickhouse: &ClickHouse, check: &SqlCheck, params: Params<'_>) -> Result<Check> {
    #[derive(Deserialize)]
    struct Row {
        checked: u64,
        broken: u64,
        offenders: Vec<String>,
    }
    let Row { checked, broken, offenders } = clickhouse
        .row(check.sql, params)
        .await
        .with_context(|| format!("cannot check that {}", check.name))?;
    Ok(Check { name: check.name, checked, broken, offenders })
}

fn reach_params(account: &Account) -> [(&'static str, String); 3] {
    let list = |values: Vec<String>| format!("[{}]", values.join(","));
    [
        ("run", account.run.clone()),
        ("partitions", list(account.last_offsets.keys().map(ToString::to_string).collect())),
        ("offsets", list(account.last_offsets.values().map(ToString::to_string).collect())),
    ]
}

/// Where the events of a few numbers are, a line each.
pub async fn whereabouts(
    clickhouse: &ClickHouse,
    account: &Account,
    suspects: &[u64],
) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Row {
        place: String,
    }
    let run = account.run();
    let ids: Vec<String> = suspects.iter().map(|n| format!("'{}'", run.event_id(*n))).collect();
    let rows: Vec<Row> = clickhouse.rows(WHEREABOUTS, &[("ids", format!("[{}]", ids.join(",")))]).await?;
    if rows.is_empty() {
        return Ok(vec!["in no table".to_owned()]);
    }
    Ok(rows.into_iter().map(|row| row.place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_reads_as_clickhouse_writes_it() {
        // a UUID comes as two numbers of 8 bytes each, the high one first
        let id = Uuid::from_u128(0x0123_4567_89ab_8cde_8f01_2345_6789_abcd);
        let mut row = [0; ROW_BYTES];
        row[..8].copy_from_slice(&7_u64.to_le_bytes());
        let (high, low) = id.as_u64_pair();
        row[8..16].copy_from_slice(&high.to_le_bytes());
        row[16..].copy_from_slice(&low.to_le_bytes());
        assert_eq!([0, 8, 16].map(|at| little_endian(&row, at)), [7, high, low]);
    }
}
