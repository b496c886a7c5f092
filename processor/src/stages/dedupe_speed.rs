//! What the window costs, measured: `cargo test --release --workspace --bins -- --ignored dedupe_speed --nocapture`.

use std::time::Instant;

use ::schemas::{avro, wire};
use audit_event::control::DedupeRules;
use audit_event::{AuditEvent, EventId, Offset, RecordTime, SchemaId};
use pipeline_core::dedupe::{Candidate, Judging, RecordHasher, Restoring, Told, ToldEvent, Window};
use uuid::Uuid;

const BATCH: usize = 100_000;
const RECORDS: i64 = 10_000_000;
const RULES: DedupeRules = DedupeRules { window_offsets: RECORDS, window_ms: 24 * 60 * 60 * 1000 };

struct Measured {
    hasher: RecordHasher,
    body: pipeline_core::dedupe::BodyHash,
}

impl Measured {
    fn candidate(&self, offset: i64, id: i64) -> Candidate {
        Candidate {
            offset: Offset(offset),
            received_at: RecordTime(offset / 100),
            key: self.hasher.key("some-tenant", EventId(Uuid::from_u128(id as u128))),
            body: self.body,
        }
    }

    /// Judges records of these offsets; all rows that are wanted are told at once. Nanoseconds a record.
    fn judge(&self, window: &mut Window, offsets: std::ops::Range<i64>, id: impl Fn(i64) -> i64) -> f64 {
        let records = (offsets.end - offsets.start) as f64;
        let mut judging_ns = 0;
        let offsets: Vec<_> = offsets.collect();
        for batch in offsets.chunks(BATCH) {
            let began = Instant::now();
            let candidates: Vec<_> =
                batch.iter().map(|offset| self.candidate(*offset, id(*offset))).collect();
            let mut judging = Judging::begin(window, &candidates);
            while let Some(wanted) = judging.wants() {
                let event = |offset: &Offset| {
                    let Candidate { offset, received_at, key, body } = self.candidate(offset.0, offset.0);
                    ToldEvent { offset, received_at, key, body }
                };
                let events = wanted.events.keys().map(event).collect();
                judging.tell(Told { events, repeats: Vec::new() }).expect("all of it");
            }
            judging_ns += began.elapsed().as_nanos();
        }
        judging_ns as f64 / records
    }
}

fn example() -> AuditEvent {
    let json = include_str!("../../../schemas/examples/full.json");
    let surroundings = audit_event::json::Surroundings {
        tenant_id: &"demo".parse().expect("a tenant"),
        assigned_id: EventId(Uuid::nil()),
        defaults_of: &::schemas::catalogue::defaults_of,
    };
    let json = serde_json::from_str(json).expect("json");
    audit_event::json::parse_event(&json, &surroundings).unwrap_or_else(|problem| panic!("{problem}"))
}

fn say(what: &str, ns: f64, window: &Window) {
    #[allow(clippy::print_stdout, reason = "a measurement")]
    {
        println!(
            "{what}: {ns:.0} ns a record; the window holds {} records and takes {} bytes",
            window.len(),
            window.bytes()
        );
    }
}

#[test]
#[ignore = "a measurement"]
fn dedupe_speed() {
    let hasher = RecordHasher::new(rand::random());
    let event = example();
    let datum = avro::encode(&event, SchemaId(1)).expect("encodes").split_off(wire::HEADER_BYTES);
    let schema = avro::WriterSchema::own();
    let began = Instant::now();
    let decoded = (0..BATCH)
        .map(|_| schema.decode(&datum).expect("decodes"))
        .fold(None, |_, event| Some(event))
        .expect("some");
    let decode_ns = began.elapsed().as_nanos() as f64 / BATCH as f64;
    let began = Instant::now();
    let body = (0..BATCH).map(|_| hasher.body(&decoded)).fold(None, |_, body| Some(body)).expect("some");
    let body_ns = began.elapsed().as_nanos() as f64 / BATCH as f64;
    let measured = Measured { hasher, body };
    let mut window = Window::new(RULES).expect("short enough");
    say("decode an event, which comes before", decode_ns, &window);
    say("hash its body", body_ns, &window);
    let ns = measured.judge(&mut window, 0..RECORDS, |offset| offset);
    say("fill", ns, &window);
    let ns = measured.judge(&mut window, RECORDS..RECORDS + 2_000_000, |offset| offset);
    say("slide", ns, &window);
    let ns = measured.judge(&mut window, RECORDS + 2_000_000..RECORDS + 3_000_000, |offset| offset - 500_000);
    say("repeat what is known", ns, &window);
    let ns =
        measured.judge(&mut window, RECORDS + 3_000_000..RECORDS + 4_000_000, |offset| offset - 5_000_000);
    say("repeat what is looked up, without the look-up", ns, &window);
    drop(window);

    let began = Instant::now();
    let mut restoring = Restoring::begin(RULES, Offset(RECORDS)).expect("short enough");
    for offset in 0..RECORDS {
        let Candidate { offset, received_at, key, .. } = measured.candidate(offset, offset);
        restoring.take(offset, received_at, key, offset);
    }
    let window = restoring.finish();
    say("restore, without the query", began.elapsed().as_nanos() as f64 / RECORDS as f64, &window);
}
