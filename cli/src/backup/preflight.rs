//! What must hold before a restore changes anything: a judgement of what Kafka, ClickHouse and the backup say.

use audit_event::control::TrailRecord;
use audit_event::{NextOffset, Offset};
use kafka_io::commits::Committed;
use pipeline_core::announcement::{Announcement, EngineSeconds};

use super::manifest::{Manifest, PartitionCut};

/// All that is known before a restore.
#[derive(Debug, Clone)]
pub struct Facts {
    /// What the control topic says now.
    pub trail: Option<TrailRecord>,
    /// The group whose commits would be set.
    pub group: String,
    /// Members of the processors' group.
    pub members: Vec<String>,
    pub commits: Vec<Option<Committed>>,
    /// First and next offset of each partition.
    pub watermarks: Vec<(Offset, NextOffset)>,
    /// Tables that have rows, and how many.
    pub filled_tables: Vec<(&'static str, u64)>,
    /// How many migrations the database has.
    pub migrations: usize,
    pub engine_now: EngineSeconds,
}

/// Every reason not to restore; each says what to do.
pub fn refusals(first: &Manifest, last: &Manifest, facts: &Facts) -> Vec<String> {
    let mut refusals = Vec::new();
    match &facts.trail {
        None => refusals.push(
            "kafka has no trail: its topics are gone or this is another cluster; a backup's rows go with the topic that \
             they came from"
                .to_owned(),
        ),
        Some(trail) if *trail != last.trail => refusals.push(format!(
            "kafka has trail {}, the backup is of trail {}; the topic was made anew, or the address is wrong",
            trail.trail_id, last.trail.trail_id
        )),
        Some(_) => {}
    }
    if facts.group != last.group {
        refusals.push(format!(
            "the backup is of the processors' group {}, asked for is {}; give --group {0}",
            last.group, facts.group
        ));
    }
    if !facts.members.is_empty() {
        let members = facts.members.join(", ");
        refusals.push(format!("a processor is running ({members}); stop every processor, then restore"));
    }
    for (table, rows) in &facts.filled_tables {
        refusals.push(format!(
            "table {table} has {rows} rows; restore into an empty database, the one that the \
             processors write to: DROP DATABASE first"
        ));
    }
    if facts.migrations > first.migrations.len() {
        refusals.push(format!(
            "the database has {} migrations, the backup was made with {}; drop the database, restore makes it anew",
            facts.migrations,
            first.migrations.len()
        ));
    }
    refusals.extend(log_refusals(&last.cut, &facts.watermarks));
    refusals.extend(landing_refusal(facts));
    refusals
}

/// What came after the backup must still be in Kafka, all of it.
fn log_refusals(cuts: &[PartitionCut], watermarks: &[(Offset, NextOffset)]) -> Vec<String> {
    let mut refusals = Vec::new();
    let pairs = || cuts.iter().zip(watermarks);
    let missing: i64 = pairs().map(|(cut, (start, _))| (start.0 - cut.to.0).max(0)).sum();
    if missing > 0 {
        refusals.push(format!(
            "{missing} records after the backup are no longer in kafka: its retention removed them; restore a later backup"
        ));
    }
    let short = pairs().find(|(cut, (_, end))| end < &cut.to);
    if let Some((cut, (_, end))) = short {
        refusals.push(format!(
            "partition {} ends at {end} in kafka, below {} where the backup ends: the topic lost records or was made anew",
            cut.partition, cut.to
        ));
    }
    refusals
}

/// How long after its deadline a block that passed it may still be written: well above `insert.max_execution_s`, which
/// only the processors know.
const LANDING_S: i64 = 30;

/// An insert that a processor announced may still be on its way.
fn landing_refusal(facts: &Facts) -> Option<String> {
    let announced = facts.commits.iter().flatten().filter_map(|commit| {
        // what cannot be read is not ours, and is about to be replaced
        Announcement::from_metadata(&commit.metadata).ok().flatten()
    });
    let last = announced.map(|announcement| announcement.deadline).max()?;
    let wait_s = last.0 + LANDING_S - facts.engine_now.0;
    (wait_s > 0).then(|| format!("a processor's last insert may still land; run it again in {wait_s} s"))
}

#[cfg(test)]
mod tests {
    use pipeline_core::announcement::Attempt;

    use super::*;
    use crate::backup::manifest::tests::manifest;

    fn facts(manifest: &Manifest) -> Facts {
        Facts {
            trail: Some(manifest.trail.clone()),
            group: manifest.group.clone(),
            members: vec![],
            commits: vec![None, None],
            watermarks: vec![(Offset(0), NextOffset(10)), (Offset(7), NextOffset(7))],
            filled_tables: vec![],
            migrations: 0,
            engine_now: EngineSeconds(1_000),
        }
    }

    fn refused(change: impl FnOnce(&mut Facts)) -> Vec<String> {
        let backup = manifest(None, &[(0, 10), (0, 7)]);
        let mut facts = facts(&backup);
        change(&mut facts);
        refusals(&backup, &backup, &facts)
    }

    #[test]
    fn a_sound_restore_is_not_refused() {
        assert_eq!(refused(|_| {}), Vec::<String>::new());
        assert_eq!(refused(|facts| facts.migrations = 1), Vec::<String>::new(), "tables made, and empty");
    }

    #[test]
    fn every_reason_is_named() {
        let all = refused(|facts| {
            facts.trail = None;
            facts.group = "another".into();
            facts.members = vec!["sealtrail-processor at 10.0.0.1".into()];
            facts.filled_tables = vec![("events", 3)];
            facts.migrations = 99;
            facts.watermarks = vec![(Offset(12), NextOffset(20)), (Offset(0), NextOffset(6))];
        });
        assert_eq!(all.len(), 7, "{all:#?}");
        assert!(all[5].starts_with("2 records after the backup are no longer in kafka"), "{all:#?}");
        assert!(all[6].starts_with("partition 1 ends at 6"), "{all:#?}");
        let other =
            refused(|facts| facts.trail.as_mut().expect("a trail").trail_id.0 = uuid::Uuid::from_u128(9));
        assert!(other[0].contains("the backup is of trail"), "{other:?}");
    }

    #[test]
    fn an_insert_that_may_land_is_waited_for() {
        let announced = |deadline| {
            refused(|facts| {
                let trail = facts.trail.as_ref().expect("a trail").trail_id;
                let range =
                    Announcement::new(trail, NextOffset(12), Attempt::FIRST, 1, EngineSeconds(deadline));
                facts.commits[0] = Some(Committed { offset: NextOffset(10), metadata: range.to_metadata() });
            })
        };
        assert!(announced(1_004)[0].ends_with("run it again in 34 s"), "{:?}", announced(1_004));
        assert_eq!(announced(970), Vec::<String>::new());
    }
}
