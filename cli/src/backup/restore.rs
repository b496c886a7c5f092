//! `sealtrail restore`: the rows back into an empty database, and the processors' commits to where the backup ends.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use audit_event::{NextOffset, Offset, PartitionId};
use clickhouse_io::copy::{CopiedTable, TABLES};
use clickhouse_io::{ClickHouse, Sql};
use indicatif::ProgressBar;
use kafka_io::config::TopicCheck;
use kafka_io::control::read_once;
use kafka_io::{KafkaConfig, commits, topics};
use schemas::CONTROL_TOPIC;
use serde::Serialize;
use uuid::Uuid;

use super::files::{self, Reader};
use super::manifest::{FileEntry, Manifest, check_chain};
use super::preflight::{Facts, refusals};
use super::{RestoreFlags, TableRows, directory, progress};
use crate::output::{Format, Show};

/// A stopped processor with a name of its own stays a member until its session ends.
const MEMBERS_LEAVE: Duration = Duration::from_secs(40);
const MEMBERS_TICK: Duration = Duration::from_secs(1);

/// What was restored, or would be.
#[derive(Debug, Serialize)]
struct Report {
    backup_ids: Vec<Uuid>,
    restored: bool,
    tables: Vec<TableRows>,
    commits: Vec<PartitionCommit>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct PartitionCommit {
    partition: PartitionId,
    offset: NextOffset,
}

impl Show for Report {
    fn text(&self) -> String {
        let rows: Vec<_> = self.tables.iter().map(|t| format!("{} {}", t.rows, t.table)).collect();
        match self.restored {
            true => format!(
                "restored {}; the commits of {} partitions are set: start the processors of this database, they read on from there",
                rows.join(", "),
                self.commits.len()
            ),
            false => format!("the backup is whole and could be restored: {}", rows.join(", ")),
        }
    }
}

/// A backup and where it is.
struct Source {
    dir: PathBuf,
    manifest: Manifest,
}

pub async fn run(flags: &RestoreFlags, format: Format) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let engine = flags.clickhouse.connect_patiently()?;
    let open = |dir: &PathBuf| Ok(Source { dir: dir.clone(), manifest: directory::open(dir)? });
    let sources: Vec<Source> = flags.from.iter().map(open).collect::<anyhow::Result<_>>()?;
    let manifests: Vec<Manifest> = sources.iter().map(|source| source.manifest.clone()).collect();
    check_chain(&manifests)?;
    verify_files(&sources)?;
    let (Some(first), Some(last)) = (manifests.first(), manifests.last()) else {
        bail!("no backup is named")
    };
    let mut facts = gather(&kafka, &engine, flags, last).await?;
    let but_for_members = Facts { members: Vec::new(), ..facts.clone() };
    if !facts.members.is_empty() && refusals(first, last, &but_for_members).is_empty() {
        await_no_members(&kafka, &flags.group.group, &facts.members).await?;
        facts = gather(&kafka, &engine, flags, last).await?;
    }
    let refusals = refusals(first, last, &facts);
    ensure!(refusals.is_empty(), "nothing was changed: {}", refusals.join("; "));
    let commits = last.cut.iter().map(|cut| PartitionCommit { partition: cut.partition, offset: cut.to });
    let report = Report {
        backup_ids: manifests.iter().map(|manifest| manifest.backup_id).collect(),
        restored: !flags.check_only,
        tables: TABLES
            .map(|table| TableRows { table: table.name, rows: expected(&manifests, &table) })
            .to_vec(),
        commits: commits.collect(),
    };
    if !flags.check_only {
        put_rows_back(&engine, &sources).await?;
        check_rows(&engine, &manifests).await?;
        set_commits(&kafka, &flags.group.group, last).await?;
    }
    format.print(&report)
}

/// Reads every file whole before anything is changed.
fn verify_files(sources: &[Source]) -> anyhow::Result<()> {
    let count = sources.iter().map(|source| source.manifest.files.len()).sum();
    let bar = progress("verify", count);
    for source in sources {
        for file in &source.manifest.files {
            let path = source.dir.join(&file.name);
            let found = files::measure(&path).with_context(|| format!("read {}", path.display()))?;
            ensure!(
                (found.bytes, &found.sha256) == (file.bytes, &file.sha256),
                "{} is not what was written: {} bytes with SHA-256 {}; take another copy of the backup",
                path.display(),
                found.bytes,
                found.sha256
            );
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(())
}

async fn gather(
    kafka: &KafkaConfig,
    engine: &ClickHouse,
    flags: &RestoreFlags,
    last: &Manifest,
) -> anyhow::Result<Facts> {
    let group = &flags.group.group;
    let (topic, partitions) = (&last.trail.topic, last.cut.len());
    let trail = read_once(kafka, CONTROL_TOPIC).await?.trail.clone();
    // another trail is refused anyway, and may have fewer partitions
    let same = trail.as_ref() == Some(&last.trail);
    let (commits, watermarks) = if same {
        let watermarks = topics::watermarks(kafka, topic, partitions).await?;
        (commits::committed(kafka, group, topic, partitions).await?, watermarks)
    } else {
        (Vec::new(), Vec::new())
    };
    let members = commits::members(kafka, group).await?;
    let migrations = engine.migrations().await?.applied;
    let mut filled_tables = Vec::new();
    for table in TABLES.iter().take(if migrations == 0 { 0 } else { TABLES.len() }) {
        let rows = engine.count_rows(table).await?;
        // `sealtrail init` may have remembered the trail already
        if rows > 0 && !(is_trails(table) && only_knows(engine, last).await?) {
            filled_tables.push((table.name, rows));
        }
    }
    Ok(Facts {
        trail,
        group: group.clone(),
        members,
        commits,
        watermarks: watermarks.into_iter().map(|(low, high)| (Offset(low), NextOffset(high))).collect(),
        filled_tables,
        migrations,
        engine_now: pipeline_core::announcement::EngineSeconds(engine.clock_us().await? / 1_000_000),
    })
}

/// Returns when the group is empty, or when it does not become so in time.
async fn await_no_members(kafka: &KafkaConfig, group: &str, members: &[String]) -> anyhow::Result<()> {
    let limit_s = MEMBERS_LEAVE.as_secs();
    eprintln!("waiting up to {limit_s} s until these have left the group {group}: {}", members.join(", "));
    let began = Instant::now();
    while began.elapsed() < MEMBERS_LEAVE && !commits::members(kafka, group).await?.is_empty() {
        tokio::time::sleep(MEMBERS_TICK).await;
    }
    Ok(())
}

fn is_trails(table: &CopiedTable) -> bool {
    table.name == "trails"
}

async fn only_knows(engine: &ClickHouse, manifest: &Manifest) -> anyhow::Result<bool> {
    let known = engine.trails(&manifest.trail.topic).await?;
    Ok(known.iter().all(|trail| trail.is(&manifest.trail)))
}

/// Each backup's rows go into the tables that they came from; what was migrated later is migrated after them.
async fn put_rows_back(engine: &ClickHouse, sources: &[Source]) -> anyhow::Result<()> {
    let bar = progress("restore", sources.iter().map(|source| source.manifest.files.len()).sum());
    for source in sources {
        engine.migrate_up_to(source.manifest.migrations.len()).await?;
        if source.manifest.since.is_none() {
            // the backup has this row too
            engine.execute("empty the trails", Sql::new("TRUNCATE TABLE trails")).await?;
        }
        for table in &TABLES {
            for file in source.manifest.files.iter().filter(|file| file.table == table.name) {
                copy_file(engine, source, table, file, &bar).await?;
                bar.inc(1);
            }
        }
    }
    bar.finish_and_clear();
    engine.migrate().await?;
    Ok(())
}

async fn copy_file(
    engine: &ClickHouse,
    source: &Source,
    table: &CopiedTable,
    file: &FileEntry,
    bar: &ProgressBar,
) -> anyhow::Result<()> {
    bar.set_message(file.name.clone());
    let path = source.dir.join(&file.name);
    let context = || format!("restore {}", path.display());
    let mut reader = Reader::open(&path).with_context(context)?;
    let mut copy = engine.copy_in(table);
    while let Some(piece) = reader.piece().with_context(context)? {
        copy.send(piece).await.with_context(context)?;
    }
    copy.end().await.with_context(context)
}

fn expected(manifests: &[Manifest], table: &CopiedTable) -> u64 {
    manifests.iter().map(|manifest| manifest.rows_of(table.name)).sum()
}

/// The rows are counted, and the batches must tile and add up, before a commit says that they are there.
async fn check_rows(engine: &ClickHouse, manifests: &[Manifest]) -> anyhow::Result<()> {
    const AGAIN: &str = "no commit was set; drop the database and restore again";
    for table in &TABLES {
        let (found, expected) = (engine.count_rows(table).await?, expected(manifests, table));
        ensure!(found == expected, "{} has {found} rows, the backup has {expected}; {AGAIN}", table.name);
    }
    let Some(last) = manifests.last() else { return Ok(()) };
    let account = engine.trail_account(last.trail.trail_id).await?;
    ensure!(
        account.breaks == 0 && account.sums_off == 0,
        "the restored batches have {} breaks and {} sums off; {AGAIN}",
        account.breaks,
        account.sums_off
    );
    Ok(())
}

/// From here on the backup's end is where the processors go on.
async fn set_commits(kafka: &KafkaConfig, group: &str, last: &Manifest) -> anyhow::Result<()> {
    let topic = &last.trail.topic;
    let offsets: Vec<_> = last.cut.iter().map(|cut| (cut.partition, cut.to)).collect();
    commits::commit_plainly(kafka, group, topic, &offsets).await?;
    let stands = commits::committed(kafka, group, topic, offsets.len()).await?;
    let as_set = stands.iter().zip(&last.cut).all(|(commit, cut)| {
        commit.as_ref().is_some_and(|commit| commit.offset == cut.to && commit.metadata.is_empty())
    });
    ensure!(
        as_set,
        "the commits of group {group} are not as they were set; stop every processor, drop the database and restore again"
    );
    Ok(())
}
