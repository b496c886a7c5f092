//! What must hold when a fault has healed: the answers of the gateway, the topic, the tables and the metrics against each
//! other.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use load_tests::clickhouse::ClickHouse;
use load_tests::ledger::Account;
use load_tests::report::Check;
use load_tests::{checks, numbers, verify};
use nix::unistd::Pid;
use serde::Deserialize;
use tokio::time::Instant;

use crate::fleet::{Fleet, sum_of};
use crate::kafka::GROUP;
use crate::log::Log;
use crate::stack::Stack;

const LOOK_EVERY: Duration = Duration::from_millis(200);
const SAY_EVERY: Duration = Duration::from_secs(10);

/// The trail that the topic has now.
const TRAIL: &str = "(SELECT argMax(trail_id, begun_at) FROM trails)";

/// What the batches of the trail say, and how the metrics name it.
const TALLY: &[(&str, &str)] = &[
    ("sum(rows)", "sealtrail_processor_records_total{table=\"events\"}"),
    ("sum(duplicates)", "sealtrail_processor_records_total{table=\"duplicates\"}"),
    ("sum(dead_letters)", "sealtrail_processor_records_total{table=\"dead_letters\"}"),
    ("sum(gaps)", "sealtrail_processor_gaps_total"),
    ("count()", "sealtrail_processor_batches_total"),
];

/// What the checks came to, in the words of the table.
#[derive(Debug, Default)]
pub struct Findings {
    pub lost: u64,
    pub doubled: u64,
    /// What else does not hold, and the first offenders.
    pub broken: Vec<String>,
}

/// By partition: where the topic ends, and where the batches and the commits do.
async fn ends(stack: &Stack, sql: &ClickHouse) -> anyhow::Result<Vec<(i32, i64, i64, i64)>> {
    #[derive(Deserialize)]
    struct Row {
        kafka_partition: i32,
        next: i64,
    }
    let query = format!(
        "SELECT kafka_partition, max(to_offset) AS next FROM event_batches WHERE trail_id = {TRAIL} GROUP BY 1"
    );
    let watermarks = stack.kafka.watermarks().await?;
    let commits = stack.kafka.commits(GROUP).await?;
    let rows: Vec<Row> = sql.rows(&query, &[]).await?;
    let closed: BTreeMap<i32, i64> = rows.into_iter().map(|row| (row.kafka_partition, row.next)).collect();
    let end = |(partition, (low, high)): (usize, &(i64, i64))| {
        let partition = partition as i32;
        // a partition that never held a record has neither batch nor commit
        let nothing = if low == high { *high } else { -1 };
        let committed = commits.get(&partition).map_or(nothing, |commit| commit.offset);
        (partition, *high, closed.get(&partition).copied().unwrap_or(nothing), committed)
    };
    Ok(watermarks.iter().enumerate().map(end).collect())
}

/// Waits until every record of the topic is in a closed batch and committed; answers when that was.
pub async fn lag_zero(stack: &Stack, limit: Duration, log: &Log) -> anyhow::Result<Instant> {
    let sql = stack.sql()?;
    let (began, mut said) = (Instant::now(), Instant::now());
    loop {
        let asked = tokio::time::timeout(limit, ends(stack, &sql)).await;
        let asked = asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer")));
        if let Ok(ends) = &asked
            && ends.iter().all(|(_, high, closed, committed)| closed == high && committed == high)
        {
            return Ok(Instant::now());
        }
        if said.elapsed() > SAY_EVERY {
            said = Instant::now();
            log.note(&format!("waiting for lag zero: (partition, topic, batches, commit) {asked:?}"));
        }
        if began.elapsed() > limit {
            bail!("the lag is not zero within {} s: {}", limit.as_secs(), describe(&asked));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until every record that is in the topic now is in a closed batch.
pub async fn stored_up_to_now(stack: &Stack, limit: Duration) -> anyhow::Result<()> {
    let sql = stack.sql()?;
    let now: Vec<_> = ends(stack, &sql).await?.into_iter().map(|(_, high, ..)| high).collect();
    crate::wait::until("what is in the topic is stored", limit, || async {
        let stored = ends(stack, &sql).await;
        stored.is_ok_and(|ends| ends.iter().zip(&now).all(|((_, _, closed, _), high)| closed >= high))
    })
    .await
}

fn describe(asked: &anyhow::Result<Vec<(i32, i64, i64, i64)>>) -> String {
    match asked {
        Ok(ends) => {
            let behind =
                ends.iter().filter(|(_, high, closed, committed)| closed != high || committed != high);
            let line = |(partition, high, closed, committed): &(i32, i64, i64, i64)| {
                format!(
                    "partition {partition} ends at {high}, its batches at {closed}, its commit is {committed}"
                )
            };
            behind.map(line).collect::<Vec<_>>().join("; ")
        }
        Err(error) => format!("{error:#}"),
    }
}

/// Holds the trail against the ledgers. The lag is zero.
pub async fn examine(
    stack: &Stack,
    accounts: &[Account],
    removed_records: u64,
    log: &Log,
) -> anyhow::Result<Findings> {
    let sql = stack.sql()?;
    let mut findings = Findings::default();
    for account in accounts {
        let called = verify::examine(&sql, account).await?;
        for check in &called.checks {
            log.note(&format!("{}: {} looked at, {} broken", check.name, check.checked, check.broken));
            check.offenders.iter().for_each(|offender| log.note(&format!("    {offender}")));
            findings.add(check);
        }
        if !called.suspects.is_empty() {
            let places = verify::whereabouts(&sql, account, &called.suspects).await?;
            places.iter().for_each(|place| log.note(&format!("    {place}")));
        }
    }
    let gaps = gaps(&sql).await?;
    if gaps != removed_records {
        findings.lost += gaps.abs_diff(removed_records);
        findings
            .broken
            .push(format!("the batches have {gaps} gaps, where {removed_records} records were removed"));
    }
    Ok(findings)
}

impl Findings {
    /// Which of the table's numbers a check counts for.
    fn add(&mut self, check: &Check) {
        if check.broken == 0 {
            return;
        }
        match check.name {
            numbers::IS_THERE | checks::BATCHES_REACH => self.lost += check.broken,
            numbers::IS_ONCE | numbers::UNKNOWN_IS_ONCE | checks::POSITION_IS_ONCE => {
                self.doubled += check.broken;
            }
            _ => {}
        }
        let first = check.offenders.first().map_or("", String::as_str);
        self.broken.push(format!("not so: {} ({} broken, such as {first})", check.name, check.broken));
    }

    pub fn holds(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.broken.is_empty()
    }
}

/// No producer of a scenario writes transactions, so each offset holds a record, and a gap is a lost one.
async fn gaps(sql: &ClickHouse) -> anyhow::Result<u64> {
    #[derive(Deserialize)]
    struct Row {
        gaps: u64,
    }
    let query = format!("SELECT sum(gaps) AS gaps FROM event_batches WHERE trail_id = {TRAIL}");
    Ok(sql.row::<Row>(&query, &[]).await?.gaps)
}

/// What batches and metrics say at one moment, while nothing flows.
#[derive(Debug, Clone)]
pub struct Tally {
    stored: Vec<u64>,
    told: Vec<u64>,
    /// The metrics count from each process's start.
    pids: BTreeMap<usize, Pid>,
    /// A batch that is closed under an assignment that ends before its commit is closed, and counted, by the next owner
    /// too.
    assignment_changes: u64,
}

impl Tally {
    pub async fn take(stack: &Stack, fleet: &Fleet) -> anyhow::Result<Self> {
        let sums: Vec<_> = TALLY.iter().map(|(sum, _)| format!("toUInt64({sum})")).collect();
        let query =
            format!("SELECT [{}] AS sums FROM event_batches WHERE trail_id = {TRAIL}", sums.join(", "));
        #[derive(Deserialize)]
        struct Row {
            sums: Vec<u64>,
        }
        let stored = stack.sql()?.row::<Row>(&query, &[]).await?.sums;
        let pids = fleet.pids();
        let (mut told, mut assignment_changes) = (vec![0; TALLY.len()], 0);
        for index in pids.keys() {
            let text = fleet.metrics(*index).await?;
            assignment_changes += sum_of(&text, "sealtrail_processor_assignment_changes_total") as u64;
            for (sum, (_, metric)) in told.iter_mut().zip(TALLY) {
                *sum += sum_of_sample(&text, metric) as u64;
            }
        }
        Ok(Self { stored, told, pids, assignment_changes })
    }

    /// Whether the same processes run under the same assignments, so that the metrics of both can be compared.
    pub fn is_comparable(&self, later: &Self) -> bool {
        self.pids == later.pids && self.assignment_changes == later.assignment_changes
    }

    /// What the metrics say otherwise than the batches since `self`.
    pub fn disagreement(&self, later: &Self) -> Option<String> {
        let since = |before: &[u64], after: &[u64]| -> Vec<u64> {
            after.iter().zip(before).map(|(after, before)| after.saturating_sub(*before)).collect()
        };
        let (stored, told) = (since(&self.stored, &later.stored), since(&self.told, &later.told));
        (stored != told).then(|| {
            format!("[rows, duplicates, dead letters, gaps, batches] are {stored:?} in event_batches and {told:?} in the metrics")
        })
    }

    /// Rows of all three tables since `self`.
    pub fn stored_since(&self, later: &Self) -> u64 {
        let sum = |tally: &Self| tally.stored[..3].iter().sum::<u64>();
        sum(later).saturating_sub(sum(self))
    }
}

/// A sample with its labels, or a metric without labels.
fn sum_of_sample(text: &str, metric: &str) -> f64 {
    let labelled = |line: &str| line.strip_prefix(metric)?.trim().parse::<f64>().ok();
    if metric.contains('{') { text.lines().filter_map(labelled).sum() } else { sum_of(text, metric) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, broken: u64) -> Check {
        Check { name, checked: 10, broken, offenders: Vec::new() }
    }

    #[test]
    fn what_is_broken_is_lost_doubled_or_named() {
        let mut findings = Findings::default();
        findings.add(&check(numbers::IS_THERE, 0));
        assert!(findings.holds());
        findings.add(&check(numbers::IS_THERE, 2));
        findings.add(&check(checks::POSITION_IS_ONCE, 3));
        findings.add(&check("batches tile: each begins where the one before ends", 1));
        assert_eq!((findings.lost, findings.doubled, findings.broken.len()), (2, 3, 3));
        assert!(!findings.holds());
    }

    #[test]
    fn metrics_that_differ_are_named() {
        let tally = |stored: [u64; 5], told: [u64; 5]| Tally {
            stored: stored.to_vec(),
            told: told.to_vec(),
            pids: BTreeMap::new(),
            assignment_changes: 0,
        };
        let before = tally([10, 0, 0, 0, 2], [1, 0, 0, 0, 1]);
        assert_eq!(before.disagreement(&tally([15, 1, 0, 0, 3], [6, 1, 0, 0, 2])), None);
        assert!(before.disagreement(&tally([15, 1, 0, 0, 3], [5, 1, 0, 0, 2])).is_some());
        assert_eq!(before.stored_since(&tally([15, 1, 0, 0, 3], [0; 5])), 6);
    }

    #[test]
    fn a_sample_is_found_by_its_labels() {
        let text = "sealtrail_processor_records_total{table=\"events\"} 7\nsealtrail_processor_records_total{table=\"duplicates\"} 2\n";
        assert_eq!(sum_of_sample(text, TALLY[0].1), 7.0);
        assert_eq!(sum_of_sample(text, TALLY[1].1), 2.0);
    }
}
