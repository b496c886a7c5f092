//! The manifest: what a backup is of, where it was cut, and each of its files.

use anyhow::{bail, ensure};
use audit_event::control::{ControlState, PolicyRecord, TRAIL_KEY, TrailRecord, VALUE_VERSION};
use audit_event::{NextOffset, Offset, PartitionId};
use clickhouse_io::copy::Cut;
use schemas::migrations::{self, Migration};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// The version of the manifest itself.
pub const VERSION: u8 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub v: u8,
    pub backup_id: Uuid,
    pub made_at: String,
    /// The version of the command that made it.
    pub sealtrail: String,
    /// The backup that this one builds on; `None` for a full one.
    pub since: Option<Uuid>,
    pub trail: TrailRecord,
    pub group: String,
    pub cut: Vec<PartitionCut>,
    pub migrations: Vec<MigrationEntry>,
    pub schemas: Vec<SchemaEntry>,
    /// The control topic as it was; the keys' hashes are in it.
    pub control: Vec<ControlEntry>,
    pub files: Vec<FileEntry>,
}

/// The offsets `[from, to)` of a partition are in the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionCut {
    pub partition: PartitionId,
    pub from: Offset,
    pub to: NextOffset,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationEntry {
    pub name: String,
    pub checksum: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SchemaEntry {
    pub id: u32,
    /// `None` where the registry did not know it any more.
    pub schema: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ControlEntry {
    pub key: String,
    pub value: Value,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FileEntry {
    pub name: String,
    pub table: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    /// Refuses what this build cannot restore.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.v == VERSION,
            "the manifest has version {}, this build reads {VERSION}; use the build that made it",
            self.v
        );
        for (index, entry) in self.migrations.iter().enumerate() {
            match migrations::ALL.get(index) {
                None => bail!(
                    "the backup has migration {}, which this build does not know; use a newer build",
                    entry.name
                ),
                Some(own) => ensure!(
                    MigrationEntry::of(own) == *entry,
                    "migration {} was applied with another text; use the build that made the backup",
                    entry.name
                ),
            }
        }
        let is_plain = |name: &str| !name.contains(['/', '\\']) && !name.starts_with('.');
        if let Some(file) = self.files.iter().find(|file| !is_plain(&file.name)) {
            bail!("the manifest names a file outside of its directory: {}", file.name);
        }
        Ok(())
    }

    pub fn rows_of(&self, table: &str) -> u64 {
        self.files.iter().filter(|file| file.table == table).map(|file| file.rows).sum()
    }

    pub fn as_cut(&self) -> Cut {
        Cut {
            trail: self.trail.trail_id,
            from: self.cut.iter().map(|cut| cut.from).collect(),
            to: self.cut.iter().map(|cut| cut.to).collect(),
            earlier_trails: self.since.is_none(),
        }
    }
}

impl MigrationEntry {
    pub fn of(migration: &Migration) -> Self {
        Self { name: migration.name.to_owned(), checksum: migration.checksum() }
    }
}

/// The control topic's records, in the order of their keys.
pub fn control_records(state: &ControlState) -> serde_json::Result<Vec<ControlEntry>> {
    let mut records = Vec::new();
    let mut put = |key: String, value: serde_json::Result<Value>| -> serde_json::Result<()> {
        records.push(ControlEntry { key, value: value? });
        Ok(())
    };
    if let Some(trail) = &state.trail {
        put(TRAIL_KEY.to_owned(), serde_json::to_value(trail))?;
    }
    for (id, tenant) in &state.tenants {
        put(format!("tenant/{id}"), serde_json::to_value(tenant))?;
    }
    for (id, policy) in &state.policies {
        let policy = PolicyRecord { v: VALUE_VERSION, tenant_id: id.clone(), policy: policy.clone() };
        put(format!("policy/{id}"), serde_json::to_value(policy))?;
    }
    for (id, key) in &state.api_keys {
        put(format!("api-key/{id}"), serde_json::to_value(key))?;
    }
    records.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(records)
}

/// Refuses backups that do not build on each other, in this order and without a hole.
pub fn check_chain(chain: &[Manifest]) -> anyhow::Result<()> {
    if let Some(first) = chain.first().filter(|first| first.since.is_some()) {
        bail!("backup {} was made with --since; give the full one that it builds on first", first.backup_id);
    }
    for pair in chain.windows(2) {
        let [before, after] = pair else { continue };
        ensure!(
            after.since == Some(before.backup_id),
            "backup {} does not build on backup {}; give them in the order in which they were made",
            after.backup_id,
            before.backup_id
        );
        let meet = before.cut.iter().map(|cut| cut.to.0).eq(after.cut.iter().map(|cut| cut.from.0));
        ensure!(
            meet && before.trail == after.trail,
            "backup {} does not begin where backup {} ends",
            after.backup_id,
            before.backup_id
        );
    }
    Ok(())
}

#[cfg(test)]
pub mod tests {
    use audit_event::control::DedupeRules;
    use audit_event::{TrailId, control::TenantRecord};

    use super::*;

    /// A trail that begins at the begin of each partition.
    pub fn trail(partitions: usize) -> TrailRecord {
        TrailRecord {
            v: VALUE_VERSION,
            trail_id: TrailId(Uuid::nil()),
            topic: "audit.events.v1".into(),
            genesis: vec![Offset(0); partitions],
            begun_at: String::new(),
            dedupe: DedupeRules::default(),
        }
    }

    /// A backup of the trail without files, cut as said.
    pub fn manifest(since: Option<Uuid>, cuts: &[(i64, i64)]) -> Manifest {
        let cut = cuts.iter().enumerate().map(|(n, (from, to))| PartitionCut {
            partition: PartitionId(n as i32),
            from: Offset(*from),
            to: NextOffset(*to),
        });
        Manifest {
            v: VERSION,
            backup_id: Uuid::new_v4(),
            made_at: String::new(),
            sealtrail: String::new(),
            since,
            trail: trail(cuts.len()),
            group: "g".into(),
            cut: cut.collect(),
            migrations: migrations::ALL.iter().map(MigrationEntry::of).collect(),
            schemas: vec![],
            control: vec![],
            files: vec![],
        }
    }

    #[test]
    fn a_chain_is_full_first_and_without_holes() {
        let full = manifest(None, &[(0, 5), (0, 7)]);
        let next = manifest(Some(full.backup_id), &[(5, 9), (7, 7)]);
        let last = manifest(Some(next.backup_id), &[(9, 10), (7, 8)]);
        assert!(check_chain(&[full.clone(), next.clone(), last.clone()]).is_ok());
        assert!(check_chain(std::slice::from_ref(&next)).is_err(), "not a full one");
        assert!(check_chain(&[full.clone(), last]).is_err(), "one is left out");
        let elsewhere = manifest(Some(full.backup_id), &[(6, 9), (7, 7)]);
        assert!(check_chain(&[full, elsewhere]).is_err(), "an offset is missing");
    }

    #[test]
    fn other_versions_and_foreign_paths_are_refused() {
        let good = manifest(None, &[(0, 5)]);
        assert!(good.check().is_ok());
        let mut older = good.clone();
        older.migrations.pop();
        assert!(older.check().is_ok(), "an earlier version's backup can be restored");
        assert!(Manifest { v: 2, ..good.clone() }.check().is_err());
        let mut newer = good.clone();
        newer.migrations.push(MigrationEntry { name: "9999_x".into(), checksum: String::new() });
        assert!(newer.check().is_err());
        let mut changed = good.clone();
        changed.migrations[0].checksum = "0".into();
        assert!(changed.check().is_err());
        let mut outside = good;
        let name = "../x".to_owned();
        outside.files.push(FileEntry {
            name,
            table: "events".into(),
            rows: 0,
            bytes: 0,
            sha256: String::new(),
        });
        assert!(outside.check().is_err());
    }

    #[test]
    fn control_records_add_up_to_the_same_state() {
        let mut state = ControlState::default();
        let tenant_id: audit_event::TenantId = "demo".parse().expect("a tenant");
        let record = TenantRecord { v: VALUE_VERSION, tenant_id: tenant_id.clone(), created_at: "x".into() };
        state.tenants.insert(tenant_id.clone(), record);
        let policy = audit_event::policy::Policy::of_level(audit_event::policy::AuditLevel::All);
        state.policies.insert(tenant_id.clone(), policy);
        let mut again = ControlState::default();
        for entry in control_records(&state).expect("serialises") {
            let value = serde_json::to_vec(&entry.value).expect("serialises");
            again.apply(&entry.key, Some(&value)).expect("applies");
        }
        assert_eq!(again.tenants, state.tenants);
        assert_eq!(again.policy_of(&tenant_id), state.policy_of(&tenant_id));
    }
}
