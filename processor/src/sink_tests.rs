#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_ipc::reader::StreamReader;
use audit_event::{NextOffset, Offset, RecordTime, SchemaId};
use pipeline_core::batch::Range;
use user_agents::Parser;
use uuid::Uuid;

use super::*;
use crate::stages::enrich::tests::{RECEIVED, broken, event_from, metrics};

const AGENTS: [&str; 3] = ["curl/8.5.0", "", "Boto3/1.26.165 Python/3.10.6 Linux/5.19.0-46-generic"];

/// Three events, the last from another encoder: its row carries the record's own bytes.
fn batch() -> JudgedBatch {
    let records: Vec<_> = (0..3)
        .map(|n| {
            let event = event_from(&format!("81.2.69.{n}"), AGENTS[n]);
            let mut value = avro::encode(&event, SchemaId(7)).unwrap();
            if n == 2 {
                value.push(0);
            }
            let record = Record {
                offset: Offset(n as i64),
                received_at: RECEIVED,
                key: Some(b"demo|x".to_vec()),
                value: Some(value),
                headers: vec![("sealtrail-door".to_owned(), b"http".to_vec())],
            };
            (record, Verdict::Event(Decoded { event, schema_id: SchemaId(7) }))
        })
        .collect();
    let range = Range {
        from: Offset(0),
        to: NextOffset(3),
        records: 3,
        least_received_at: RecordTime(0),
        greatest_received_at: RECEIVED,
    };
    JudgedBatch { range, unknown_schemas: Default::default(), records }
}

/// The columns of the block of `events`, by name.
fn columns(enricher: &Enricher) -> BTreeMap<String, ArrayRef> {
    let place = Place { trail: TrailId(Uuid::nil()), topic: "t", partition: PartitionId(0) };
    let blocks = blocks(&batch(), &Missing::All, Attempt::FIRST, &place, enricher).unwrap();
    let events = blocks.records.iter().find(|block| block.table.name == "events").unwrap();
    let batches: Vec<RecordBatch> =
        StreamReader::try_new(&events.arrow_stream[..], None).unwrap().collect::<Result<_, _>>().unwrap();
    assert_eq!(batches.len(), 1, "one block is one record batch");
    let names = batches[0].schema();
    let names = names.fields().iter().map(|field| field.name().clone());
    names.zip(batches[0].columns().iter().cloned()).collect()
}

fn is_enrichment(name: &str) -> bool {
    name == "flags" || name.starts_with("geo_") || name.starts_with("user_agent_")
}

#[test]
fn however_enrichment_fails_the_sealed_columns_are_the_same() {
    let off = columns(&Enricher::new(None, None, Duration::ZERO, metrics()));
    let sealed = off.keys().filter(|name| !is_enrichment(name)).count();
    assert_eq!((off.len(), sealed), (56, 43), "{:?}", off.keys());
    let sound =
        Enricher::new(Some(Arc::new(Parser::new().unwrap())), None, Duration::from_secs(60), metrics());
    let all = broken().into_iter().chain([("sound", sound)]);
    for (what, enricher) in all {
        let columns = columns(&enricher);
        for (name, column) in columns.iter().filter(|(name, _)| !is_enrichment(name)) {
            assert_eq!(column, &off[name], "{name} where enrichment {what}");
        }
        let differs = columns.iter().any(|(name, column)| column != &off[name]);
        assert!(differs, "enrichment {what} and nothing shows it");
    }
}

#[test]
fn the_row_says_what_the_user_agent_is() {
    let parser = Arc::new(Parser::new().unwrap());
    let columns = columns(&Enricher::new(Some(parser), None, Duration::from_secs(60), metrics()));
    let shown = |name: &str| format!("{:?}", columns[name]);
    assert!(shown("user_agent_name").contains("curl") && shown("user_agent_name").contains("Boto3"));
    assert!(shown("user_agent_os_version").contains("5.19.0"));
    let raw = shown("raw_record");
    assert!(raw.contains("100, 101, 109, 111"), "the third record, as it was: {raw}");
}
