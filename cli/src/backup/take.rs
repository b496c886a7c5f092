//! `sealtrail backup`: the rows of every closed batch, streamed into files.

use std::path::Path;

use anyhow::{Context, bail, ensure};
use audit_event::control::TrailRecord;
use audit_event::{NextOffset, PartitionId};
use chrono::Utc;
use clickhouse_io::ClickHouse;
use clickhouse_io::copy::{Cut, CutAccount, Portion, TABLES};
use indicatif::{HumanBytes, ProgressBar};
use kafka_io::commits::{self, Committed};
use kafka_io::config::TopicCheck;
use kafka_io::control::read_once;
use schemas::{CONTROL_TOPIC, migrations};
use serde::Serialize;
use uuid::Uuid;

use super::directory::{self, Partial};
use super::files::Writer;
use super::manifest::{
    FileEntry, Manifest, MigrationEntry, PartitionCut, SchemaEntry, VERSION, control_records,
};
use super::{BackupFlags, TableRows, progress};
use crate::output::{Format, Show};
use crate::registry::Registry;

/// What was written.
#[derive(Debug, Serialize)]
struct Report {
    directory: String,
    backup_id: Uuid,
    since: Option<Uuid>,
    files: usize,
    bytes: u64,
    tables: Vec<TableRows>,
}

impl Show for Report {
    fn text(&self) -> String {
        let rows: Vec<_> = self.tables.iter().map(|t| format!("{} {}", t.rows, t.table)).collect();
        let size = HumanBytes(self.bytes);
        format!(
            "{}: {} in {} files, {size}\nbackup {}",
            self.directory,
            rows.join(", "),
            self.files,
            self.backup_id
        )
    }
}

pub async fn run(flags: &BackupFlags, format: Format) -> anyhow::Result<()> {
    let kafka = flags.kafka.config(TopicCheck::Off)?;
    let engine = flags.clickhouse.connect_patiently()?;
    let base = flags.since.as_deref().map(directory::open).transpose().context("--since")?;
    let control = read_once(&kafka, CONTROL_TOPIC).await?;
    let trail = control.trail.clone().context("no trail has been begun; run `sealtrail init`")?;
    let group = &flags.group.group;
    let commits = commits::committed(&kafka, group, &trail.topic, trail.genesis.len()).await?;
    refuse_lost_commits(&engine, &trail, group, &commits).await?;
    let cut = cut_at(&trail, base.as_ref(), &commits)?;
    let applied = engine.migrations().await?.applied;
    let mut manifest = Manifest {
        v: VERSION,
        backup_id: Uuid::new_v4(),
        made_at: Utc::now().to_rfc3339(),
        sealtrail: env!("CARGO_PKG_VERSION").to_owned(),
        since: base.map(|base| base.backup_id),
        trail,
        group: group.clone(),
        cut,
        migrations: migrations::ALL.iter().take(applied).map(MigrationEntry::of).collect(),
        schemas: Vec::new(),
        control: control_records(&control)?,
        files: Vec::new(),
    };
    let cut = manifest.as_cut();
    check_account(&engine, &cut).await?;
    manifest.schemas = schemas_of(&engine, &flags.registry.connect()?).await?;
    let partial = Partial::create(&flags.to)?;
    manifest.files = copy_out(&engine, &cut, &partial).await?;
    partial.finish(&manifest)?;
    format.print(&report(&flags.to, &manifest))
}

fn report(to: &Path, manifest: &Manifest) -> Report {
    Report {
        directory: to.display().to_string(),
        backup_id: manifest.backup_id,
        since: manifest.since,
        files: manifest.files.len(),
        bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        tables: TABLES.map(|t| TableRows { table: t.name, rows: manifest.rows_of(t.name) }).to_vec(),
    }
}

/// Under a wrong group, or one whose commits were erased, the backup would be empty.
async fn refuse_lost_commits(
    engine: &ClickHouse,
    trail: &TrailRecord,
    group: &str,
    commits: &[Option<Committed>],
) -> anyhow::Result<()> {
    for (index, _) in commits.iter().enumerate().filter(|(_, commit)| commit.is_none()) {
        let partition = PartitionId(index as i32);
        let stored = engine.stored_end(trail.trail_id, partition).await?;
        ensure!(
            stored.is_empty(),
            "group {group} has no commit for partition {partition}, and clickhouse has rows of it; give the processors' group \
             by --group, or see `sealtrail doctor`"
        );
    }
    Ok(())
}

/// The cut is what the processors have closed: their committed offsets. A batch whose row is in `event_batches` may
/// still be in doubt until the commit says that it is closed.
fn cut_at(
    trail: &TrailRecord,
    base: Option<&Manifest>,
    commits: &[Option<Committed>],
) -> anyhow::Result<Vec<PartitionCut>> {
    if let Some(base) = base {
        ensure!(
            base.trail.trail_id == trail.trail_id,
            "the earlier backup is of trail {}, this is trail {}; make a full backup",
            base.trail.trail_id,
            trail.trail_id
        );
    }
    let mut cuts = Vec::with_capacity(commits.len());
    for (index, (genesis, commit)) in trail.genesis.iter().zip(commits).enumerate() {
        let from = base.and_then(|base| base.cut.get(index)).map_or(*genesis, |cut| cut.to.as_offset());
        // nothing was ever closed in a partition without a commit
        let to = commit.as_ref().map_or(NextOffset(genesis.0), |commit| commit.offset);
        let partition = PartitionId(index as i32);
        if to.0 < from.0 {
            bail!(
                "partition {partition} is committed up to {to}, below {from} where the backup would begin; see `sealtrail doctor`"
            );
        }
        cuts.push(PartitionCut { partition, from, to });
    }
    Ok(cuts)
}

/// A backup of rows that do not add up could not be restored to a trail that does.
async fn check_account(engine: &ClickHouse, cut: &Cut) -> anyhow::Result<()> {
    let account = engine.trail_account(cut.trail).await?;
    let closed = engine.cut_account(cut).await?;
    let mut found = CutAccount { offsets: offsets_in(cut), ..CutAccount::default() };
    for table in TABLES {
        let rows = match table.name {
            "events" => &mut found.events,
            "duplicates" => &mut found.duplicates,
            "dead_letters" => &mut found.dead_letters,
            _ => continue,
        };
        *rows = engine.rows_in_cut(&table, cut).await?;
    }
    ensure!(
        account.breaks == 0 && account.sums_off == 0 && found == closed,
        "the trail does not add up, so it could not be restored: {} breaks, {} sums off, batches say {closed:?}, tables have \
         {found:?}; see `sealtrail doctor`",
        account.breaks,
        account.sums_off
    );
    Ok(())
}

fn offsets_in(cut: &Cut) -> i64 {
    cut.from.iter().zip(&cut.to).map(|(from, to)| to.0 - from.0).sum()
}

async fn schemas_of(engine: &ClickHouse, registry: &Registry) -> anyhow::Result<Vec<SchemaEntry>> {
    let mut schemas = Vec::new();
    for id in engine.schema_ids().await? {
        let schema = registry.schema(id).await?;
        if schema.is_none() {
            eprintln!("the registry does not know schema {id} any more; its text is not in the backup");
        }
        schemas.push(SchemaEntry { id, schema });
    }
    Ok(schemas)
}

async fn copy_out(engine: &ClickHouse, cut: &Cut, partial: &Partial) -> anyhow::Result<Vec<FileEntry>> {
    let portions = engine.portions(cut).await?;
    let bar = progress("backup", portions.len());
    let mut files = Vec::with_capacity(portions.len());
    for portion in &portions {
        files.push(copy_portion(engine, cut, partial, portion, &bar).await?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    // rows of closed batches never change, but a day can be dropped
    ensure!(
        engine.portions(cut).await? == portions,
        "rows went away while they were copied; was a partition dropped? take the backup again"
    );
    Ok(files)
}

async fn copy_portion(
    engine: &ClickHouse,
    cut: &Cut,
    partial: &Partial,
    portion: &Portion,
    bar: &ProgressBar,
) -> anyhow::Result<FileEntry> {
    let table = portion.table.name;
    let day = portion.day.map_or(String::new(), |day| format!("-{day}"));
    let name = format!("{table}{day}.native.zst");
    let mut writer = Writer::create(&partial.file(&name)).with_context(|| format!("write {name}"))?;
    let write = |piece: &[u8]| {
        writer.write(piece)?;
        bar.set_message(format!("{name} {}", HumanBytes(writer.bytes())));
        Ok(())
    };
    engine.copy_out(portion, cut, write).await.with_context(|| format!("write {name}"))?;
    let sealed = writer.finish().with_context(|| format!("write {name}"))?;
    Ok(FileEntry {
        name,
        table: table.to_owned(),
        rows: portion.rows,
        bytes: sealed.bytes,
        sha256: sealed.sha256,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::tests::manifest;

    fn commit(offset: i64) -> Option<Committed> {
        // an announcement does not move the cut: its range is not closed yet
        Some(Committed { offset: NextOffset(offset), metadata: "{\"v\":1}".into() })
    }

    #[test]
    fn the_cut_is_what_is_committed_and_begins_where_the_earlier_one_ends() {
        let base = manifest(None, &[(0, 5), (0, 0)]);
        let of = |cuts: Vec<PartitionCut>| cuts.iter().map(|c| (c.from.0, c.to.0)).collect::<Vec<_>>();
        let full = cut_at(&base.trail, None, &[commit(9), None]).expect("cuts");
        assert_eq!(of(full), [(0, 9), (0, 0)], "a partition that was never read is empty");
        let next = cut_at(&base.trail, Some(&base), &[commit(9), commit(3)]).expect("cuts");
        assert_eq!(of(next), [(5, 9), (0, 3)]);
        assert!(cut_at(&base.trail, Some(&base), &[commit(4), None]).is_err(), "commits went back");
        let mut other = base.trail.clone();
        other.trail_id.0 = Uuid::from_u128(7);
        assert!(cut_at(&other, Some(&base), &[commit(9), None]).is_err(), "another trail");
    }
}
