use std::cell::RefCell;
use std::collections::BTreeMap;

use audit_event::{Offset, PartitionId, RecordTime, TrailId};
use transparency_log::{
    Checkpoint, Edge, Leaf, LogSecret, Policy, Receipt, ReceiptRecord, SigningKey, Tile, Tree, origin_of,
};

use super::*;

const TRAIL: TrailId = TrailId(uuid::Uuid::nil());
const PARTITION: PartitionId = PartitionId(1);
const GENESIS: i64 = 5;

#[derive(Default)]
struct Shelf(RefCell<BTreeMap<String, Vec<u8>>>);

impl Files for Shelf {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, String> {
        Ok(self.0.borrow().get(path).cloned())
    }
}

impl Shelf {
    fn put(&self, name: &str, bytes: &[u8]) {
        self.0.borrow_mut().insert(format!("{TRAIL}/{PARTITION}/{name}"), bytes.to_vec());
    }

    fn alter(&self, name: &str, at: usize) {
        let mut files = self.0.borrow_mut();
        files.get_mut(&format!("{TRAIL}/{PARTITION}/{name}")).expect("a file")[at] ^= 1;
    }
}

fn secret() -> LogSecret {
    LogSecret::of_seed("example.com/audit", [1; 32]).expect("a secret")
}

fn receipt_key() -> SigningKey {
    SigningKey::of_seed("example.com/receipts", &[2; 32]).expect("a key")
}

fn origin() -> String {
    origin_of("example.com/audit", TRAIL, PARTITION)
}

fn policy() -> Policy {
    let key = secret().signing_key(TRAIL, PARTITION).expect("a key").verifier();
    let beat = secret().heartbeat(TRAIL).expect("a witness").verifier();
    Policy::parse(&format!(
        "log {key}\nwitness beat {beat}\nquorum beat\n# receipt-key {}\n# genesis {} {GENESIS}\n",
        receipt_key().verifier(),
        origin()
    ))
    .expect("a policy")
}

fn leaf(index: u64) -> Leaf {
    let offset = GENESIS + i64::try_from(index).expect("small");
    Leaf::of_record(Offset(offset), RecordTime(1_000 + offset), &index.to_be_bytes())
}

/// A log of so many leaves, seen by its witness at a time; its checkpoint.
fn publish(shelf: &Shelf, size: u64, time_s: u64) -> String {
    let (mut edge, mut tiles) = (Edge::default(), Vec::new());
    (0..size).for_each(|index| edge.append(leaf(index).hash(), &mut tiles));
    tiles.extend(edge.partial_tiles());
    tiles.iter().for_each(|(tile, bytes)| shelf.put(&tile.to_string(), bytes));
    let checkpoint = Checkpoint { origin: origin(), tree: Tree { size, root: edge.root() } };
    let text = checkpoint.text().expect("a text");
    let note = checkpoint.sign(&secret().signing_key(TRAIL, PARTITION).expect("a key")).expect("signed");
    let note = note + &secret().heartbeat(TRAIL).expect("a witness").cosign(&text, time_s).expect("a line");
    shelf.put("checkpoint", note.as_bytes());
    note
}

fn receipt(index: u64, sealed_by: i64) -> String {
    let Leaf { offset, timestamp, record_sha256 } = leaf(index);
    let record = ReceiptRecord { partition: PARTITION, offset, timestamp, sha256: record_sha256 };
    let topic = "audit.events.v1".to_owned();
    let receipt = Receipt { trail: TRAIL, topic, records: vec![record], sealed_by: RecordTime(sealed_by) };
    receipt.sign(&receipt_key()).expect("signed")
}

#[test]
fn a_log_is_derived_again_and_each_altered_byte_is_named() {
    let shelf = Shelf::default();
    publish(&shelf, 70_000, 9);
    let mut seen = 0;
    let checked = check_log(&policy(), &shelf, &origin(), |leaves| seen = leaves).expect("genuine");
    assert_eq!((checked.size, checked.tiles, seen, checked.cosigned_at_s), (70_000, 277, 70_000, Some(9)));
    for (tile, named) in
        [("tile/0/007", "tile/1/000"), ("tile/1/000", "tile/1/000"), ("tile/2/000.p/1", "tile/2/000.p/1")]
    {
        shelf.alter(tile, 40 % 32);
        let fault = check_log(&policy(), &shelf, &origin(), |_| {}).expect_err("altered");
        let wanted: Tile = named.parse().expect("a tile");
        assert_eq!(fault, Fault::AlteredTile { origin: origin(), tile: wanted }, "{tile}");
        shelf.alter(tile, 40 % 32);
    }
    // the last leaves are in no other tile
    shelf.alter("tile/0/273.p/112", 0);
    let fault = check_log(&policy(), &shelf, &origin(), |_| {}).expect_err("altered");
    assert_eq!(fault, Fault::WrongRoot { origin: origin(), size: 70_000 });
    shelf.alter("tile/0/273.p/112", 0);
    shelf.0.borrow_mut().retain(|path, _| !path.ends_with("tile/0/100"));
    let fault = check_log(&policy(), &shelf, &origin(), |_| {}).expect_err("missing");
    assert_eq!(fault.judgement(), Judgement::CannotTell, "{fault}");
    shelf.alter("checkpoint", 60);
    let fault = check_log(&policy(), &shelf, &origin(), |_| {}).expect_err("altered");
    assert_eq!(fault.judgement(), Judgement::NotGenuine, "{fault}");
}

#[test]
fn a_log_only_grows() {
    let shelf = Shelf::default();
    let (older, newer) = (publish(&shelf, 300, 1), publish(&shelf, 1_000, 2));
    let checked = check_growth(&policy(), &shelf, &older, &newer).expect("genuine");
    assert_eq!((checked.from_size, checked.size), (300, 1_000));
    let shrunk = check_growth(&policy(), &shelf, &newer, &older).expect_err("smaller");
    assert_eq!(shrunk.judgement(), Judgement::NotGenuine, "{shrunk}");
    // a fork: another leaf 7, signed by the same key
    let fork = Checkpoint { origin: origin(), tree: Tree { size: 300, root: leaf(7).hash() } };
    let text = fork.text().expect("a text");
    let fork = fork.sign(&secret().signing_key(TRAIL, PARTITION).expect("a key")).expect("signed")
        + &secret().heartbeat(TRAIL).expect("a witness").cosign(&text, 1).expect("a line");
    let forked = check_growth(&policy(), &shelf, &fork, &newer).expect_err("forked");
    assert_eq!(forked.judgement(), Judgement::NotGenuine, "{forked}");
}

#[test]
fn a_receipt_is_kept_or_not_yet_or_broken() {
    let shelf = Shelf::default();
    publish(&shelf, 300, 100);
    let checked = check_receipt(&policy(), &shelf, &receipt(299, 50_000)).expect("genuine");
    assert_eq!(checked, CheckedReceipt { records: 1, sealed_by_ms: 50_000 });
    let later = check_receipt(&policy(), &shelf, &receipt(300, 100_000)).expect_err("not yet");
    assert_eq!(later.judgement(), Judgement::CannotTell, "{later}");
    let broken = check_receipt(&policy(), &shelf, &receipt(300, 99_999)).expect_err("broken");
    assert!(matches!(broken, Fault::PromiseBroken { .. }), "{broken}");
    let mut other = leaf(8);
    other.record_sha256[0] ^= 1;
    let record = ReceiptRecord {
        partition: PARTITION,
        offset: other.offset,
        timestamp: other.timestamp,
        sha256: other.record_sha256,
    };
    let topic = "audit.events.v1".to_owned();
    let other = Receipt { trail: TRAIL, topic, records: vec![record], sealed_by: RecordTime(1) };
    let fault = check_receipt(&policy(), &shelf, &other.sign(&receipt_key()).expect("signed"))
        .expect_err("another record");
    assert_eq!(fault.judgement(), Judgement::NotGenuine, "{fault}");
    let foreign = SigningKey::of_seed("example.com/receipts", &[3; 32]).expect("a key");
    let fault =
        check_receipt(&policy(), &shelf, &other.sign(&foreign).expect("signed")).expect_err("another key");
    assert_eq!(fault.judgement(), Judgement::NotGenuine, "{fault}");
}
