//! ClickHouse: is it there, are the tables what this build writes, is its clock right, does it know the same trail?

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clickhouse_io::ClickHouse;
use clickhouse_io::examine::StoredTrail;
use clickhouse_io::migrate::Migrations;
use clickhouse_io::tables::TableFault;
use schemas::EVENTS_TOPIC;

use super::finding::Finding;
use super::kafka::KafkaFacts;
use super::{Seen, why};

const CLICKHOUSE: &str = "clickhouse";
const MIGRATIONS: &str = "clickhouse.migrations";
const TABLES: &str = "clickhouse.tables";
const CLOCK: &str = "clock.clickhouse";
const TRAIL: &str = "trail";
const NO_TABLES: &str = "clickhouse has no tables yet";

/// Clocks that differ by more are looked at;
pub const WARN_SKEW_MS: i64 = 1_000;
/// by more than this, event times and deadlines mean nothing to people.
pub const BROKEN_SKEW_MS: i64 = 60_000;

#[derive(Debug)]
pub struct ClickHouseFacts {
    version: String,
    /// The server's clock minus this machine's.
    skew_ms: i64,
    migrations: Seen<Migrations>,
    faults: Seen<Vec<TableFault>>,
    trails: Seen<Vec<StoredTrail>>,
}

/// An error says that ClickHouse could not be reached at all.
pub async fn gather(engine: &ClickHouse) -> Seen<ClickHouseFacts> {
    let version = engine.version().await.map_err(why)?;
    let began = Instant::now();
    let engine_us = engine.clock_us().await.map_err(why)?;
    let skew_ms = skew_ms(engine_us / 1_000, now_ms(), began.elapsed().as_millis() as i64);
    let migrations = engine.migrations().await.map_err(why);
    let is_empty = migrations.as_ref().is_ok_and(|migrations| migrations.applied == 0);
    let (faults, trails) = if is_empty {
        (Err(NO_TABLES.to_owned()), Ok(Vec::new()))
    } else {
        let faults = engine.table_faults().await.map_err(why);
        (faults, engine.trails(EVENTS_TOPIC).await.map_err(why))
    };
    Ok(ClickHouseFacts { version, skew_ms, migrations, faults, trails })
}

/// Why what hangs on the tables cannot be looked at, if so.
pub fn without_tables(clickhouse: &Seen<ClickHouseFacts>) -> Option<&'static str> {
    match clickhouse {
        Err(_) => Some("clickhouse is not reachable"),
        Ok(facts) if facts.migrations.as_ref().is_ok_and(|migrations| migrations.applied == 0) => {
            Some(NO_TABLES)
        }
        Ok(_) => None,
    }
}

pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// How far another clock is surely ahead: what the asking took is no skew. It was read somewhere between the question
/// and now.
fn skew_ms(theirs_ms: i64, now_ms: i64, took_ms: i64) -> i64 {
    let (least, most) = (theirs_ms - now_ms, theirs_ms - now_ms + took_ms);
    if least > 0 {
        least
    } else if most < 0 {
        most
    } else {
        0
    }
}

pub fn judge(clickhouse: &Seen<ClickHouseFacts>) -> Vec<Finding> {
    let facts = match clickhouse {
        Ok(facts) => facts,
        Err(error) => {
            let away = |name| Finding::unknown(name, "clickhouse is not reachable");
            let advice = "start it, or check SEALTRAIL_CLICKHOUSE_URL";
            let mut findings = vec![Finding::broken(CLICKHOUSE, error, advice)];
            findings.extend([MIGRATIONS, TABLES, CLOCK].map(away));
            return findings;
        }
    };
    let mut findings = vec![Finding::ok(CLICKHOUSE, format!("version {}", facts.version))];
    findings.push(judge_migrations(&facts.migrations));
    findings.extend(judge_tables(&facts.faults));
    findings.push(judge_skew(CLOCK, "clickhouse's clock", "this machine's", facts.skew_ms));
    findings
}

fn judge_migrations(migrations: &Seen<Migrations>) -> Finding {
    match migrations {
        Ok(Migrations { applied, pending }) if pending.is_empty() => {
            Finding::ok(MIGRATIONS, format!("all {applied} are applied"))
        }
        Ok(Migrations { pending, .. }) => Finding::broken(
            MIGRATIONS,
            format!("not yet applied: {}", pending.join(", ")),
            "run `sealtrail migrate`",
        ),
        Err(error) => Finding::broken_by(MIGRATIONS, error),
    }
}

fn judge_tables(faults: &Seen<Vec<TableFault>>) -> Vec<Finding> {
    match faults {
        Err(error) => vec![Finding::unknown(TABLES, error)],
        Ok(faults) if faults.is_empty() => {
            vec![Finding::ok(TABLES, "columns, deduplication window and durability as this build needs them")]
        }
        Ok(faults) => faults.iter().map(|fault| Finding::broken_by(TABLES, fault)).collect(),
    }
}

pub fn judge_skew(name: &'static str, whose: &str, than: &str, skew_ms: i64) -> Finding {
    let seconds = skew_ms.abs() as f64 / 1_000.0;
    let side = if skew_ms < 0 { "behind" } else { "ahead of" };
    let seen = format!("{whose} is {seconds:.1} s {side} {than}");
    let advice = "let every machine take its time from NTP; deadlines and the times of events are compared across them";
    match skew_ms.abs() {
        skew if skew > BROKEN_SKEW_MS => Finding::broken(name, seen, advice),
        skew if skew > WARN_SKEW_MS => Finding::warn(name, seen, advice),
        _ => Finding::ok(name, format!("{whose} is within a second of {than}")),
    }
}

/// The trail is named in Kafka and in ClickHouse, and is the same.
pub fn judge_trail(kafka: &Seen<KafkaFacts>, clickhouse: &Seen<ClickHouseFacts>) -> Vec<Finding> {
    let (Ok(kafka), Ok(clickhouse)) = (kafka, clickhouse) else {
        return vec![Finding::unknown(TRAIL, "kafka and clickhouse must both be reachable")];
    };
    let finding = match (&kafka.control, &clickhouse.trails) {
        (Err(error), _) | (_, Err(error)) => Finding::unknown(TRAIL, error),
        (Ok(None), Ok(known)) if known.is_empty() => {
            Finding::broken(TRAIL, "no trail has been begun", "run `sealtrail init`")
        }
        (Ok(None), Ok(_)) => Finding::broken(
            TRAIL,
            "clickhouse knows a trail and kafka does not: the topics were made anew, or these are other brokers",
            "check SEALTRAIL_KAFKA; if the topics are gone, `sealtrail init --new-trail` begins a new one beside it",
        ),
        (Ok(Some(trail)), Ok(known)) => match known.iter().find(|stored| stored.trail_id == trail.trail_id) {
            Some(stored) if stored.is(trail) => Finding::ok(
                TRAIL,
                format!(
                    "{} with {} partitions, in kafka and clickhouse",
                    trail.trail_id,
                    trail.genesis.len()
                ),
            ),
            Some(_) => Finding::broken(
                TRAIL,
                format!("kafka and clickhouse disagree about where trail {} begins", trail.trail_id),
                "one of them was changed by hand; find out which, and mend that one",
            ),
            None => Finding::broken(
                TRAIL,
                format!("clickhouse does not know trail {}", trail.trail_id),
                "run `sealtrail init`, which writes it there too; if rows are missing as well, see `sealtrail restore`",
            ),
        },
    };
    vec![finding]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;
    use crate::doctor::kafka::tests::{sound, trail};

    fn facts() -> ClickHouseFacts {
        let trail = trail();
        ClickHouseFacts {
            version: "26.7".into(),
            skew_ms: 0,
            migrations: Ok(Migrations { applied: 10, pending: vec![] }),
            faults: Ok(vec![]),
            trails: Ok(vec![StoredTrail { trail_id: trail.trail_id, genesis: trail.genesis }]),
        }
    }

    #[test]
    fn what_the_asking_took_is_no_skew() {
        assert_eq!(skew_ms(10_000, 10_100, 200), 0);
        assert_eq!(skew_ms(12_000, 10_000, 200), 2_000);
        assert_eq!(skew_ms(7_000, 10_000, 200), -2_800);
    }

    #[test]
    fn a_second_is_a_warning_and_a_minute_breaks() {
        let state = |skew| judge_skew(CLOCK, "a", "b", skew).state;
        assert_eq!((state(900), state(-1_500), state(61_000)), (State::Ok, State::Warn, State::Broken));
        assert_eq!(judge_skew(CLOCK, "a", "b", -1_500).seen, "a is 1.5 s behind b");
    }

    #[test]
    fn every_table_fault_is_named() {
        let mut facts = facts();
        assert!(judge(&Ok(self::facts())).iter().all(|finding| finding.state == State::Ok));
        facts.migrations = Ok(Migrations { applied: 8, pending: vec!["0009_x", "0010_y"] });
        facts.faults = Ok(vec![
            TableFault::Missing { table: "events" },
            TableFault::NotDurable { table: "duplicates", setting: "fsync_after_insert" },
        ]);
        let findings = judge(&Ok(facts));
        let broken: Vec<_> = findings.iter().filter(|finding| finding.state == State::Broken).collect();
        assert_eq!(broken.len(), 3, "{findings:#?}");
        assert_eq!(broken[0].seen, "not yet applied: 0009_x, 0010_y");
        assert_eq!(
            broken[2].advice.as_deref(),
            Some("ALTER TABLE duplicates MODIFY SETTING fsync_after_insert = 1")
        );
    }

    #[test]
    fn the_trail_must_be_the_same_on_both_sides() {
        let state = |kafka: Option<_>, stored: Vec<StoredTrail>| {
            let mut in_kafka = sound(trail());
            in_kafka.control = Ok(kafka);
            let clickhouse = ClickHouseFacts { trails: Ok(stored), ..facts() };
            judge_trail(&Ok(in_kafka), &Ok(clickhouse))[0].state
        };
        let stored = facts().trails.expect("seen");
        assert_eq!(state(Some(trail()), stored.clone()), State::Ok);
        assert_eq!(state(Some(trail()), vec![]), State::Broken);
        assert_eq!(state(None, stored.clone()), State::Broken);
        assert_eq!(state(None, vec![]), State::Broken);
        let mut moved = stored;
        moved[0].genesis[0].0 += 1;
        assert_eq!(state(Some(trail()), moved), State::Broken);
        assert_eq!(judge_trail(&Err("x".into()), &Ok(facts()))[0].state, State::Unknown);
    }
}
