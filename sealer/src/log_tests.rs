use std::path::Path;

use audit_event::{PartitionId, TrailId};
use log_store::LogStore;
use proptest::prelude::*;
use transparency_log::{LogSecret, Policy};

use super::*;

const GENESIS: i64 = 40;
const TRAIL: TrailId = TrailId(uuid::Uuid::nil());

fn secret() -> LogSecret {
    LogSecret::of_seed("example.com/audit", [3; 32]).expect("a secret")
}

fn terms(directory: &Path) -> Terms {
    let store = LogStore::in_directory(directory).expect("a store");
    Terms {
        files: store.log(TRAIL, PartitionId(0)),
        genesis: Offset(GENESIS),
        key: secret().signing_key(TRAIL, PartitionId(0)).expect("a key"),
        witness: secret().heartbeat(TRAIL).expect("a witness"),
    }
}

async fn resumed(directory: &Path) -> SealedLog {
    SealedLog::resume(terms(directory)).await.expect("resumed")
}

/// Record `index` of the topic; every seventh offset holds none.
fn record(index: u64) -> Option<(Offset, RecordTime, Vec<u8>)> {
    let offset = GENESIS + i64::try_from(index).expect("small");
    (index % 7 != 6)
        .then(|| (Offset(offset), RecordTime(1_000 + offset), format!("record {index}").into_bytes()))
}

/// Reads on, up to this index.
fn read(log: &mut SealedLog, to: u64) -> Result<(), SealError> {
    let from = u64::try_from(log.read_from().0 - GENESIS).expect("after genesis");
    for (offset, timestamp, value) in (from..to).filter_map(record) {
        log.take(offset, timestamp, &value)?;
    }
    Ok(())
}

fn leaf(index: u64) -> Leaf {
    let gap = Leaf::gap(Offset(GENESIS + i64::try_from(index).expect("small")));
    record(index).map_or(gap, |(offset, timestamp, value)| Leaf::of_record(offset, timestamp, &value))
}

/// The tree over the first leaves, made at once.
fn tree(size: u64) -> Tree {
    let mut edge = Edge::default();
    (0..size).for_each(|index| edge.append(leaf(index).hash(), &mut Vec::new()));
    Tree { size, root: edge.root() }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

#[derive(Debug, Clone)]
enum Step {
    /// So many more offsets are read, and sealed.
    Seal(u64),
    /// Read, and lost with the process.
    Crash(u64),
    Heartbeat,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..700).prop_map(Step::Seal),
        2 => (0u64..700).prop_map(Step::Crash),
        1 => Just(Step::Heartbeat),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Two sealers in turn, which know nothing of each other, with crashes between any two steps.
    #[test]
    fn whatever_happens_there_is_one_history(steps in prop::collection::vec((any::<bool>(), step()), 1..14)) {
        run(async {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path();
            let mut sealers = [resumed(path).await, resumed(path).await];
            let (mut end, mut newest) = (0, 0);
            for (who, step) in steps {
                let sealer = &mut sealers[usize::from(who)];
                let outcome = match step {
                    Step::Seal(more) => {
                        end += more;
                        read(sealer, end).expect("the same records");
                        if !sealer.has_news() { continue; }
                        sealer.seal(1).await.map(|sealed| Some(sealed.tree))
                    }
                    Step::Crash(more) => {
                        read(sealer, end + more).expect("the same records");
                        *sealer = resumed(path).await;
                        continue;
                    }
                    Step::Heartbeat => sealer.heartbeat(2).await.map(|_| None),
                };
                match outcome {
                    Ok(Some(sealed)) => {
                        prop_assert!(sealed.size > newest, "never a smaller tree");
                        newest = sealed.size;
                        prop_assert_eq!(sealed, tree(sealed.size));
                    }
                    Ok(None) => {}
                    Err(SealError::Overtaken) => *sealer = resumed(path).await,
                    Err(error) => prop_assert!(false, "{error}"),
                }
                prop_assert_eq!(resumed(path).await.sealed().map_or(0, |tree| tree.size), newest);
            }
            Ok(())
        })?;
    }
}

#[test]
fn what_is_served_is_signed_cosigned_and_whole() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let mut log = resumed(directory.path()).await;
        read(&mut log, 300).expect("read");
        let sealed = log.seal(1_700_000_000).await.expect("sealed");
        assert_eq!(sealed.accepted.len(), (0..300).filter_map(record).count());
        read(&mut log, 1_000).expect("read");
        log.seal(1_700_000_001).await.expect("sealed");
        log.heartbeat(1_700_000_060).await.expect("shown");
        let files = terms(directory.path()).files;
        let note = files.checkpoint().await.expect("read").expect("a checkpoint");
        let (key, witness) = (terms(directory.path()).key, secret().heartbeat(TRAIL).expect("a witness"));
        let policy = format!("log {}\nwitness beat {}\nquorum beat\n", key.verifier(), witness.verifier());
        let trusted = Policy::parse(&policy).expect("a policy").check(&note).expect("trusted");
        assert_eq!(trusted.cosigned_at_s, Some(1_700_000_060));
        let last = u64::try_from(log.next_unsealed().0 - GENESIS).expect("after genesis");
        assert_eq!(trusted.checkpoint.tree, tree(last));
        for tile in Tile::all_of(last) {
            assert!(files.tile(tile).await.expect("read").is_some(), "{tile}");
        }
        let first = directory.path().join(format!("{TRAIL}/0/tile/0"));
        assert!(
            !first.join("000.p").join("44").exists() && !first.join("001.p").join("44").exists(),
            "the full ones are there"
        );
    });
}

#[test]
fn altered_records_tiles_and_checkpoints_stop_it() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut log = resumed(path).await;
        read(&mut log, 600).expect("read");
        log.seal(1).await.expect("sealed");
        let mut again = resumed(path).await;
        let at = again.read_from();
        let differs = again.take(Offset(at.0), RecordTime(0), b"another");
        assert!(matches!(differs, Err(SealError::Differs { .. })), "{differs:?}");
        // a gap where a record was
        let mut again = resumed(path).await;
        let differs = again.take(Offset(at.0 + 2), RecordTime(1), b"");
        assert!(matches!(differs, Err(SealError::Differs { .. })), "{differs:?}");
        assert!(matches!(again.take(Offset(1), RecordTime(1), b""), Err(SealError::Order { .. })));
        let tile = path.join(format!("{TRAIL}/0/tile/1/000.p/2"));
        let whole = std::fs::read(&tile).expect("a tile");
        std::fs::write(&tile, [&[whole[0] ^ 1], &whole[1..]].concat()).expect("written");
        assert!(matches!(SealedLog::resume(terms(path)).await, Err(SealError::Tiles)));
        std::fs::write(&tile, whole).expect("written");
        let newest = path.join(format!("{TRAIL}/0/checkpoints/{:020}", 1));
        let note = std::fs::read_to_string(&newest).expect("a checkpoint");
        std::fs::write(&newest, note.replacen("\n6", "\n7", 1)).expect("written");
        let foreign = SealedLog::resume(terms(path)).await.err();
        assert!(matches!(foreign, Some(SealError::Foreign(TrustError::Signature { .. }))), "{foreign:?}");
    });
}

/// So late that the numbers after its own were given, and removed.
#[test]
fn who_wakes_up_when_its_number_is_free_again_signs_nothing() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut late = resumed(path).await;
        read(&mut late, 10).expect("read");
        late.seal(1).await.expect("sealed");
        let mut other = resumed(path).await;
        for round in 0..250 {
            read(&mut other, 20 + 8 * round).expect("read");
            other.seal(2).await.expect("sealed");
        }
        let shown = terms(path).files.checkpoint().await.expect("read");
        assert!(matches!(late.heartbeat(3).await, Err(SealError::Overtaken)));
        read(&mut late, 30).expect("read");
        assert!(matches!(late.seal(4).await, Err(SealError::Overtaken)));
        assert_eq!(terms(path).files.checkpoint().await.expect("read"), shown);
        assert_eq!(resumed(path).await.sealed(), other.sealed());
    });
}

/// Retention may have removed what would be compared; what is not sealed yet must be there.
#[test]
fn a_log_goes_on_where_the_records_before_are_gone() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let mut log = resumed(directory.path()).await;
        read(&mut log, 100).expect("read");
        log.seal(1).await.expect("sealed");
        let shown = terms(directory.path()).files.checkpoint().await.expect("read");
        let mut log = resumed(directory.path()).await;
        assert_eq!(
            terms(directory.path()).files.checkpoint().await.expect("read"),
            shown,
            "a resume shows nothing anew"
        );
        let end = log.next_unsealed();
        log.compare_from(NextOffset(end.0 - 3));
        assert_eq!(log.read_from(), NextOffset(end.0 - 3));
        log.compare_from(NextOffset(GENESIS));
        read(&mut log, 200).expect("read");
        let sealed = log.seal(2).await.expect("sealed");
        assert_eq!(sealed.tree, tree(sealed.tree.size));
    });
}

#[test]
fn who_wakes_up_late_signs_nothing() {
    run(async {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path();
        let mut late = resumed(path).await;
        read(&mut late, 100).expect("read");
        let mut other = resumed(path).await;
        read(&mut other, 50).expect("read");
        other.seal(1).await.expect("sealed");
        read(&mut other, 200).expect("read");
        let newest = other.seal(2).await.expect("sealed");
        assert!(matches!(late.seal(3).await, Err(SealError::Overtaken)));
        assert_eq!(terms(path).files.checkpoint().await.expect("read"), Some(newest.note.clone()));
        let mut woken = resumed(path).await;
        let before = other.seal(4).await;
        assert!(before.is_ok() && matches!(woken.heartbeat(5).await, Err(SealError::Overtaken)));
    });
}
