//! What the dedupe window costs on real ClickHouse. A measurement:
//! `cargo test --release --workspace --test it -- --ignored dedupe_speed --nocapture`.

#![expect(clippy::print_stdout, reason = "it shows what it measured")]

use std::collections::BTreeSet;
use std::time::Instant;

use audit_event::control::DedupeRules;
use audit_event::{Offset, PartitionId, TenantId, TrailId};
use clickhouse_io::ClickHouse;
use clickhouse_io::earlier::{StoredBody, StoredEvent};
use clickhouse_io::restore::StoredRecord;
use integration_tests::clickhouse::Login;
use integration_tests::stack::{Options, Stack};
use pipeline_core::dedupe::{BodyHash, RecordHasher, Restoring};
use uuid::Uuid;

const PARTITION: PartitionId = PartitionId(0);
/// Rows of each of two partitions, which lie in the same parts.
const ROWS: i64 = 10_000_000;
const TENANTS: u64 = 1_000;
const INSERT_ROWS: i64 = 1_000_000;
const REPEATS: i64 = 100_000;

/// A trail whose rows nobody but this test reads.
fn trail() -> TrailId {
    TrailId(Uuid::from_u128(0xded0))
}

/// Blocks of 100,000 rows, as the processor inserts them: 115 records a second in each partition.
async fn fill(stack: &Stack, from: i64) {
    let sql = format!(
        "INSERT INTO events (tenant_id, event_id, occurred_at, event_type, operation, outcome, severity, actor_id, \
         actor_type, actor_name, `targets.id`, `targets.type`, `targets.name`, source_ip, source_user_agent, message, \
         attributes, trail_id, kafka_partition, kafka_offset, received_at, door, schema_id, codec_version, \
         traceparent, correlation_id) \
         WITH number AS n, intDiv(n, 100000) AS block, intDiv(block, 2) * 100000 + n % 100000 AS at, \
         toDateTime64('2026-11-20 00:00:00', 3, 'UTC') + toIntervalMillisecond(toInt64(at * 8.64)) AS time \
         SELECT 't' || toString(cityHash64(n) % {TENANTS}), generateUUIDv4(n), \
         toDateTime64(time, 6, 'UTC') - toIntervalMicrosecond(rand(n) % 2000000), 'document.read', 'read', 'success', \
         'info', 'user-' || toString(n % 50000), 'user', 'Name ' || toString(n % 50000), \
         ['doc-' || toString(rand(n + 1) % 1000000)], ['document'], [NULL], '192.0.2.' || toString(n % 250), \
         'Mozilla/5.0 (X11; Linux x86_64)', 'read document number ' || toString(rand(n + 2) % 100000), \
         map('request', hex(sipHash64(n))), '{}', block % 2, at, time, 'http', 1, 1, \
         '00-' || lower(hex(sipHash128(n))) || '-00f067aa0ba902b7-01', 'correlation-' || toString(n) \
         FROM numbers({from}, {INSERT_ROWS}) SETTINGS max_block_size = 100000, max_insert_block_size = 100000, \
         min_insert_block_size_rows = 100000, min_insert_block_size_bytes = 0, max_insert_threads = 1, max_threads = 1",
        trail()
    );
    stack.sql(&sql).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, which takes minutes"]
async fn dedupe_speed() {
    let options = Options { name: "dedupe-speed", port_shift: 9_000, ..Options::default() };
    let stack = Stack::start(&options);
    for from in (0..2 * ROWS).step_by(INSERT_ROWS as usize) {
        fill(&stack, from).await;
    }
    // as they are a day later
    stack.sql("OPTIMIZE TABLE events").await;
    println!(
        "{}",
        stack.sql("SELECT count(), max(rows) FROM system.parts WHERE table = 'events' AND active").await
    );
    let engine = Login::of(&stack, "sealtrail_processor", "clickhouse-processor").engine();
    restore(&engine).await;
    let hour_ago = ROWS - 115 * 3_600;
    let of_one_hour_ago: BTreeSet<_> = (hour_ago..hour_ago + REPEATS).map(Offset).collect();
    look_up(&engine, "of one hour ago", of_one_hour_ago.clone(), None).await;
    look_up(&engine, "of one hour ago, one tenant's", of_one_hour_ago, Some(7)).await;
    let some = (hour_ago..hour_ago + REPEATS / 20).map(Offset).collect();
    look_up(&engine, "of one hour ago", some, None).await;
    let scattered: BTreeSet<_> = (0..REPEATS).map(|n| Offset(n * ROWS / REPEATS)).collect();
    look_up(&engine, "of all the day", scattered.clone(), None).await;
    look_up(&engine, "of all the day, one tenant's", scattered, Some(7)).await;
    look_up(&engine, "of all the day", (0..10).map(|n| Offset(n * ROWS / 10)).collect(), None).await;
}

async fn restore(engine: &ClickHouse) {
    let hasher = RecordHasher::new((1, 2));
    let rules = DedupeRules::default();
    let began = Instant::now();
    let mut restoring = Restoring::begin(rules, Offset(ROWS)).expect("the default window");
    let mut take = |row: StoredRecord<'_>| {
        restoring.take(row.offset, row.received_at, hasher.key(row.tenant_id, row.event_id), row.first);
    };
    let rows = engine.restore_window(trail(), PARTITION, Offset(ROWS), rules, &mut take).await.unwrap();
    let read_s = began.elapsed().as_secs_f64();
    let window = restoring.finish();
    let all_s = began.elapsed().as_secs_f64();
    assert_eq!((rows, window.len()), (ROWS as u64, ROWS as usize));
    println!(
        "restore {rows} rows: {all_s:.1} s ({read_s:.1} s until all are read), {:.0} rows/s, {} bytes",
        rows as f64 / all_s,
        window.bytes()
    );
}

async fn look_up(engine: &ClickHouse, what: &str, wanted: BTreeSet<Offset>, tenant: Option<u64>) {
    let hasher = RecordHasher::new((1, 2));
    let mut bodies: Vec<BodyHash> = Vec::new();
    let began = Instant::now();
    let mut take = |row: StoredEvent| match row.body {
        StoredBody::Event(event) => bodies.push(hasher.body(&event)),
        StoredBody::Raw(_) => {}
    };
    let tenants = tenant.map(|n| [format!("t{n}").parse().unwrap()]);
    let tenants = tenants.as_ref().map(<[TenantId; 1]>::as_slice);
    engine.earlier_events(trail(), PARTITION, &wanted, tenants, &mut take).await.unwrap();
    assert!(tenant.is_some() || bodies.len() == wanted.len());
    println!(
        "look up {} events {what}: {} rows in {:.2} s",
        wanted.len(),
        bodies.len(),
        began.elapsed().as_secs_f64()
    );
}
