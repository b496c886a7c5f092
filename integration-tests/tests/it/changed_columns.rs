//! F21: somebody changes a column between two looks at the tables. Under a narrower type ClickHouse would store another
//! value and answer with success; under one that is not nullable, a default.

use audit_event::{EventId, Offset, PartitionId, RecordTime, TrailId};
use clickhouse_io::insert::InsertTerms;
use clickhouse_io::{ClickHouse, EngineError, ErrorKind};
use integration_tests::clickhouse::Login;
use integration_tests::stack::shared;
use pipeline_core::announcement::EngineSeconds;
use schemas::columns::{Block, DuplicateRow, DuplicatesColumns, Position};
use uuid::Uuid;

/// More than 32 bits hold.
const FIRST_OFFSET: i64 = 5_000_000_000;

fn block() -> Block {
    let mut columns = DuplicatesColumns::new(TrailId(Uuid::nil()));
    let position =
        Position { partition: PartitionId(0), offset: Offset(FIRST_OFFSET + 1), received_at: RecordTime(0) };
    columns.push(&DuplicateRow {
        position,
        tenant_id: &"demo".parse().unwrap(),
        event_id: EventId(Uuid::nil()),
        record_sha256: [0; 32],
        first_offset: Offset(FIRST_OFFSET),
    });
    columns.finish().unwrap()
}

async fn insert(engine: &ClickHouse, token: &str) -> Result<(), EngineError> {
    let now = engine.clock().await?.now.0;
    let terms =
        InsertTerms { token: token.to_owned(), deadline: EngineSeconds(now + 30), max_execution_s: 10 };
    engine.insert(block(), &terms).await
}

#[tokio::test]
async fn nothing_is_stored_under_a_column_of_another_type() {
    let stack = shared();
    stack.sql("CREATE DATABASE changed").await;
    stack.sql("CREATE TABLE changed.duplicates AS sealtrail.duplicates").await;
    let engine = Login::of(stack, "sealtrail", "clickhouse-owner").engine_in("changed");
    insert(&engine, "as it was").await.unwrap();
    for (change, undo) in [
        ("MODIFY COLUMN first_offset Int32", "MODIFY COLUMN first_offset Int64"),
        ("RENAME COLUMN record_sha256 TO sha256", "RENAME COLUMN sha256 TO record_sha256"),
        ("MODIFY COLUMN tenant_id String", "MODIFY COLUMN tenant_id LowCardinality(String)"),
    ] {
        stack.sql(&format!("ALTER TABLE changed.duplicates {change}")).await;
        let error = insert(&engine, change).await.expect_err(change);
        assert_eq!(error.kind, ErrorKind::Stop, "{change}: {error}");
        assert!(error.to_string().contains("run `sealtrail migrate`, or undo"), "{change}: {error}");
        assert_eq!(stack.sql("SELECT count() FROM changed.duplicates").await, "1", "{change}");
        stack.sql(&format!("ALTER TABLE changed.duplicates {undo}")).await;
    }
    stack.sql("ALTER TABLE changed.duplicates ADD COLUMN added UInt8 DEFAULT 7").await;
    insert(&engine, "one column more").await.unwrap();
    assert_eq!(stack.sql("SELECT sum(added) FROM changed.duplicates").await, "14");
    stack.sql("DROP DATABASE changed").await;
}
