//! What the fuzzers aim at: a record's value on its way to an event, as the processor takes it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use audit_event::AuditEvent;
use schemas::avro::{MAX_AVRO_ALLOCATION_BYTES, WriterSchema, encode};
use schemas::wire;

use super::examples::{ID, newer_schema_text};

/// Memory beside what one length may ask for: buffers that a decoder takes before it knows how much there is, in bytes.
const SLACK_BYTES: u64 = 2 * 1024 * 1024;
/// Memory for one byte of a record: an empty string takes one byte of the record and 24 of memory, and lists grow by
/// doubling.
const MEMORY_PER_BYTE: u64 = 128;
/// A record that takes longer hangs its partition.
const MAX_DECODE: Duration = Duration::from_secs(10);

pub enum Outcome {
    Decoded,
    Refused,
}

impl Outcome {
    pub fn is_decoded(&self) -> bool {
        matches!(self, Self::Decoded)
    }
}

/// The value that is being decoded, and how many were before it.
#[derive(Default)]
struct Current {
    number: u64,
    value: Option<Vec<u8>>,
}

pub struct Target {
    schema: WriterSchema,
    own: WriterSchema,
    current: Arc<Mutex<Current>>,
}

impl Target {
    pub fn of_own_schema() -> Self {
        Self::new(WriterSchema::own())
    }

    pub fn of_newer_schema() -> Self {
        Self::new(WriterSchema::parse(&newer_schema_text()).expect("a usable schema"))
    }

    fn new(schema: WriterSchema) -> Self {
        let current = Arc::new(Mutex::default());
        let watched = Arc::downgrade(&current);
        std::thread::spawn(move || watch(&watched));
        Self { schema, own: WriterSchema::own(), current }
    }

    /// Panics if the value does what no value may do.
    pub fn take(&self, value: &[u8]) -> Outcome {
        self.begin(value);
        let mut event = None;
        let memory = allocation_counter::measure(|| event = self.decode(value));
        lock(&self.current).value = None;
        let most = MAX_AVRO_ALLOCATION_BYTES as u64 + SLACK_BYTES + MEMORY_PER_BYTE * value.len() as u64;
        assert!(memory.bytes_max <= most, "{} bytes of memory, {most} are allowed", memory.bytes_max);
        let Some(event) = event else { return Outcome::Refused };
        let again = encode(&event, ID).expect("what was decoded encodes");
        let back = self.own.decode(&again[wire::HEADER_BYTES..]).expect("what was encoded decodes");
        assert_eq!(back, event, "an event must come back from its bytes");
        Outcome::Decoded
    }

    fn decode(&self, value: &[u8]) -> Option<AuditEvent> {
        let (_schema_id, datum) = wire::split(value).ok()?;
        self.schema.decode(datum).ok()
    }

    fn begin(&self, value: &[u8]) {
        let mut current = lock(&self.current);
        current.number += 1;
        current.value = Some(value.to_vec());
    }
}

fn lock(current: &Mutex<Current>) -> MutexGuard<'_, Current> {
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loop that never ends cannot be failed from within: the whole run ends, with the value.
fn watch(current: &Weak<Mutex<Current>>) {
    let mut seen = 0;
    while let Some(current) = current.upgrade() {
        {
            let current = lock(&current);
            if let Some(value) = current.value.as_ref().filter(|_| current.number == seen) {
                eprintln!("not decoded after {MAX_DECODE:?}: {value:02x?}");
                std::process::abort();
            }
            seen = current.number;
        }
        drop(current);
        std::thread::sleep(MAX_DECODE);
    }
}
