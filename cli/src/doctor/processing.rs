//! Processing: is somebody in the consumer group, how far behind is it, do its commits and the tables agree, and do the
//! accounts add up?

use audit_event::control::TrailRecord;
use audit_event::{NextOffset, Offset, PartitionId};
use clickhouse_io::ClickHouse;
use clickhouse_io::examine::TrailAccount;
use kafka_io::commits::{self, Committed};
use kafka_io::{KafkaConfig, topics};
use pipeline_core::assignment::{Commit, Facts, decide};

use super::clickhouse::{judge_skew, now_ms};
use super::finding::Finding;
use super::kafka::KafkaFacts;
use super::{Seen, why};

const GROUP: &str = "processing.group";
const LAG: &str = "processing.lag";
const POSITIONS: &str = "processing.positions";
const ACCOUNTS: &str = "processing.accounts";
const KAFKA_CLOCK: &str = "clock.kafka";

/// A batch's worth: a processor that keeps up is never so far behind for long.
const WARN_LAG_RECORDS: i64 = 100_000;
/// How often commits and tables are read again while they move.
const READINGS: usize = 8;

#[derive(Debug, Clone)]
pub struct ProcessingFacts {
    /// One for each partition; `None` while its commit moved during every reading.
    positions: Vec<Option<Facts>>,
    lag_records: Vec<i64>,
    account: TrailAccount,
}

pub async fn gather(
    kafka: &KafkaConfig,
    engine: &ClickHouse,
    trail: &TrailRecord,
    group: &str,
) -> Seen<ProcessingFacts> {
    let count = trail.genesis.len();
    let ask = || commits::committed(kafka, group, &trail.topic, count);
    let mut positions = vec![None; count];
    let mut before = ask().await.map_err(why)?;
    for _ in 0..READINGS {
        let mut last = Vec::with_capacity(count);
        for partition in 0..count {
            let read = engine.stored_end(trail.trail_id, PartitionId(partition as i32)).await;
            last.push(read.map_err(why)?);
        }
        let after = ask().await.map_err(why)?;
        let watermarks = topics::watermarks(kafka, &trail.topic, count).await.map_err(why)?;
        for (n, position) in positions.iter_mut().enumerate().filter(|(_, position)| position.is_none()) {
            // what stood before and after the tables were read stood while they were read
            if before[n] == after[n] {
                *position = Some(Facts {
                    partition: PartitionId(n as i32),
                    commit: after[n].clone().map(|c| Commit { offset: c.offset, metadata: c.metadata }),
                    stored: last[n],
                    log_start: Offset(watermarks[n].0),
                    high_watermark: NextOffset(watermarks[n].1),
                });
            }
        }
        before = after;
        if positions.iter().all(Option::is_some) {
            break;
        }
    }
    let watermarks = topics::watermarks(kafka, &trail.topic, count).await.map_err(why)?;
    let lag_records = watermarks.iter().zip(&before).zip(&trail.genesis);
    Ok(ProcessingFacts {
        lag_records: lag_records
            .map(|(((_, end), commit), genesis)| lag(*end, commit.as_ref(), *genesis))
            .collect(),
        positions,
        account: engine.trail_account(trail.trail_id).await.map_err(why)?,
    })
}

fn lag(end: i64, commit: Option<&Committed>, genesis: Offset) -> i64 {
    (end - commit.map_or(genesis.0, |commit| commit.offset.0)).max(0)
}

pub fn judge(
    kafka: &Seen<KafkaFacts>,
    trail: Option<&TrailRecord>,
    facts: &Seen<ProcessingFacts>,
) -> Vec<Finding> {
    let members = kafka.as_ref().map_err(|_| "kafka is not reachable".to_owned());
    let mut findings = vec![judge_members(&members.and_then(|facts| facts.members.clone()))];
    match (facts, trail) {
        (Ok(facts), Some(trail)) => {
            findings.push(judge_lag(&facts.lag_records));
            findings.extend(judge_positions(trail, &facts.positions));
            findings.push(judge_account(&facts.account));
            findings.push(judge_record_times(facts.account.newest_ms, now_ms()));
        }
        (Err(error), _) => {
            findings
                .extend([LAG, POSITIONS, ACCOUNTS, KAFKA_CLOCK].map(|name| Finding::unknown(name, error)));
        }
        (Ok(_), None) => {}
    }
    findings
}

fn judge_members(members: &Seen<Vec<String>>) -> Finding {
    match members {
        Err(error) => Finding::unknown(GROUP, error),
        Ok(members) if members.is_empty() => Finding::broken(
            GROUP,
            "no processor is in the consumer group: events wait in kafka and are not stored",
            "start a processor; if its group.group_id is another one, give --group",
        ),
        Ok(members) => Finding::ok(GROUP, format!("{} in the group: {}", members.len(), members.join(", "))),
    }
}

fn judge_lag(lag_records: &[i64]) -> Finding {
    let sum: i64 = lag_records.iter().sum();
    let worst = lag_records.iter().copied().enumerate().max_by_key(|(_, lag)| *lag);
    match worst {
        Some((partition, lag)) if lag > WARN_LAG_RECORDS => Finding::warn(
            LAG,
            format!("{sum} records wait in kafka, {lag} of them in partition {partition}"),
            "ask again in a minute; if it grows, add processors up to the number of partitions, or see their logs",
        ),
        _ => Finding::ok(LAG, format!("{sum} records wait in kafka")),
    }
}

/// The processor itself would refuse to begin on these.
fn judge_positions(trail: &TrailRecord, positions: &[Option<Facts>]) -> Vec<Finding> {
    let refusals =
        positions.iter().flatten().filter_map(|facts| Some((facts.partition, decide(trail, facts).err()?)));
    let findings: Vec<_> = refusals
        .map(|(partition, refusal)| {
            Finding::broken_by(POSITIONS, &format!("partition {partition}: {refusal}"))
        })
        .collect();
    if !findings.is_empty() {
        return findings;
    }
    let moving = positions.iter().filter(|position| position.is_none()).count();
    let moving = if moving == 0 { String::new() } else { format!(", {moving} of them in motion") };
    vec![Finding::ok(
        POSITIONS,
        format!("commits and tables agree in {} partitions{moving}", positions.len()),
    )]
}

fn judge_account(account: &TrailAccount) -> Finding {
    let TrailAccount { rows, breaks, sums_off, .. } = account;
    if *breaks == 0 && *sums_off == 0 {
        return Finding::ok(ACCOUNTS, format!("batches tile and add up; {rows} events"));
    }
    Finding::broken(
        ACCOUNTS,
        format!("batch_accounting shows {breaks} breaks and {sums_off} sums off: rows were lost or changed"),
        "SELECT * FROM batch_accounting WHERE breaks + sums_off > 0 names the partitions; restore from a backup",
    )
}

/// The broker's clock is seen in the times that it gives to records: they are never in the future.
fn judge_record_times(newest_ms: i64, now_ms: i64) -> Finding {
    let ahead_ms = (newest_ms - now_ms).max(0);
    if newest_ms == 0 {
        return Finding::unknown(KAFKA_CLOCK, "no record has been stored yet");
    }
    judge_skew(KAFKA_CLOCK, "the newest record's time, by the broker's clock,", "this machine's", ahead_ms)
}

#[cfg(test)]
mod tests {
    use pipeline_core::assignment::{LastBatch, StoredEnd};

    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::kafka::tests::{sound, trail};

    fn position(partition: i32, commit: i64, last_to: i64) -> Option<Facts> {
        Some(Facts {
            partition: PartitionId(partition),
            commit: Some(Commit { offset: NextOffset(commit), metadata: String::new() }),
            stored: StoredEnd {
                last_batch: Some(LastBatch { from: Offset(0), to: NextOffset(last_to) }),
                highest_row: None,
            },
            log_start: Offset(0),
            high_watermark: NextOffset(100),
        })
    }

    #[test]
    fn positions_are_judged_as_the_processor_would() {
        let states = |positions: &[Option<Facts>]| {
            judge_positions(&trail(), positions).iter().map(|finding| finding.state).collect::<Vec<_>>()
        };
        assert_eq!(states(&[position(0, 7, 7), None]), [State::Ok]);
        let bad = [position(0, 9, 7), position(1, 7, 7), position(2, 5, 7)];
        assert_eq!(states(&bad), [State::Broken, State::Broken]);
        let named = judge_positions(&trail(), &bad);
        assert!(named[0].seen.starts_with("partition 0: the commit 9 is ahead"), "{named:#?}");
        assert_eq!(
            named[0].advice.as_deref(),
            Some("restore clickhouse from a backup, which sets the commits")
        );
    }

    #[test]
    fn nobody_in_the_group_and_accounts_that_are_off_are_broken() {
        assert_eq!(judge_members(&Ok(vec![])).state, State::Broken);
        assert_eq!(judge_members(&Ok(vec!["a".into()])).state, State::Ok);
        let account = TrailAccount { rows: 5, breaks: 1, sums_off: 0, newest_ms: 1 };
        assert_eq!(judge_account(&account).state, State::Broken);
        assert_eq!(judge_account(&TrailAccount { breaks: 0, ..account }).state, State::Ok);
        assert_eq!(judge_lag(&[3, WARN_LAG_RECORDS + 1]).state, State::Warn);
        assert_eq!(judge_lag(&[3, 5]).seen, "8 records wait in kafka");
    }

    #[test]
    fn records_from_the_future_show_the_brokers_clock() {
        assert_eq!(judge_record_times(0, 1_000_000).state, State::Unknown);
        assert_eq!(judge_record_times(500_000, 1_000_000).state, State::Ok, "old records say nothing");
        assert_eq!(judge_record_times(1_100_000, 1_000_000).state, State::Broken);
    }

    #[test]
    fn what_hangs_on_an_unreachable_part_is_unknown() {
        let findings = judge(&Ok(sound(trail())), Some(&trail()), &Err("clickhouse is not reachable".into()));
        let states: Vec<_> = findings.iter().map(|finding| finding.state).collect();
        assert_eq!(states, [State::Ok, State::Unknown, State::Unknown, State::Unknown, State::Unknown]);
    }
}
