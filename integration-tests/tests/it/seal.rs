//! The seal, with real processes: what was answered stands in the log, and there is one history whatever happens to
//! the sealers (F39).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use audit_event::{Offset, PartitionId, RecordTime, TrailId};
use integration_tests::stack::{Stack, shared};
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::{eventually, program};
use log_store::{LogStore, PartitionLog};
use nix::sys::signal::Signal;
use serde_json::Value;
use transparency_log::{
    Checkpoint, Leaf, Policy, ProofError, TileSet, Tree, check_consistency, check_inclusion,
};

const PARTITIONS: i32 = 4;
/// Beside those of the shared stack.
const SECOND_SEALER: &str = "127.0.0.1:19979";

/// The logs of a stack as an auditor sees them: its files, and the policy that was handed out.
struct Logs {
    policy: Policy,
    logs: Vec<PartitionLog>,
}

impl Logs {
    fn of(stack: &Stack) -> Self {
        let policy = fs::read_to_string(stack.dir.join("policy.txt")).expect("the stack writes a policy");
        let policy = Policy::parse(&policy).expect("a policy");
        let origin = policy.origins().next().expect("a log").to_owned();
        let trail: TrailId =
            origin.rsplit('/').nth(1).and_then(|id| id.parse().ok()).map(TrailId).expect("a trail");
        let store = LogStore::in_directory(&stack.dir.join("data/sealed")).expect("the store");
        let logs = (0..PARTITIONS).map(|partition| store.log(trail, PartitionId(partition))).collect();
        Self { policy, logs }
    }

    /// The checkpoint that is served, if the policy believes it.
    async fn checkpoint(&self, partition: usize) -> Option<Checkpoint> {
        let note = self.logs[partition].checkpoint().await.expect("read")?;
        Some(self.policy.check(&note).expect("signed by the log and its witness").checkpoint)
    }

    async fn trees(&self) -> Vec<Option<Tree>> {
        let mut trees = Vec::new();
        for partition in 0..self.logs.len() {
            trees.push(self.checkpoint(partition).await.map(|checkpoint| checkpoint.tree));
        }
        trees
    }

    async fn ask<T>(&self, partition: usize, question: impl Fn(&TileSet) -> Result<T, ProofError>) -> T {
        let mut tiles = TileSet::default();
        loop {
            match question(&tiles) {
                Ok(answer) => return answer,
                Err(ProofError::Missing(missing)) => {
                    for tile in missing {
                        let bytes = self.logs[partition].tile(tile).await.expect("read").expect("served");
                        tiles.add(tile, bytes);
                    }
                }
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    /// Waits until the record that a result tells of is sealed, and proves it.
    async fn prove(&self, result: &Value) {
        let partition = usize::try_from(result["partition"].as_i64().unwrap()).unwrap();
        let index = result["offset"].as_u64().unwrap();
        let sealed = || async { self.checkpoint(partition).await.filter(|c| c.tree.size > index) };
        let tree = eventually("the record is sealed", sealed).await.tree;
        let proof = self.ask(partition, |tiles| tiles.inclusion(tree, index)).await;
        assert_eq!(check_inclusion(tree, index, leaf_of(result).hash(), &proof), Ok(()), "{result}");
        let mut other = leaf_of(result);
        other.record_sha256[0] ^= 1;
        assert!(check_inclusion(tree, index, other.hash(), &proof).is_err());
    }

    /// Each log continues what it was.
    async fn only_grew(&self, before: &[Option<Tree>]) {
        for (partition, before) in before.iter().enumerate() {
            let (Some(before), Some(now)) = (before, self.checkpoint(partition).await) else { continue };
            let proof = self.ask(partition, |tiles| tiles.consistency(now.tree, before.size)).await;
            assert_eq!(check_consistency(*before, now.tree, &proof), Ok(()), "partition {partition}");
        }
    }
}

/// What an answer of the gateway says of a record is all that its leaf needs.
fn leaf_of(result: &Value) -> Leaf {
    let text = |name: &str| result[name].as_str().unwrap();
    let hex = text("record_sha256");
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap();
    let received = audit_event::Timestamp::parse_rfc3339(text("received_at")).unwrap();
    Leaf {
        offset: Offset(result["offset"].as_i64().unwrap()),
        timestamp: RecordTime(received.micros() / 1_000),
        record_sha256: std::array::from_fn(byte),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_stands_in_the_log() {
    let stack = shared();
    let logs = Logs::of(stack);
    let tenant = Tenant::create(stack, "sealed", "admin").await;
    let events: Vec<Value> = (1..=20).map(event).collect();
    let results = tenant.send(&events).await;
    let partitions: BTreeMap<_, _> = results.iter().map(|r| (r["partition"].as_i64().unwrap(), r)).collect();
    assert!(partitions.len() > 1, "spread over the partitions");
    for result in &results {
        logs.prove(result).await;
    }
}

/// As an auditor does it, with a copy of the files and a command that connects to nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_auditors_command_tells_a_genuine_log_from_an_altered_one() {
    let stack = shared();
    let tenant = Tenant::create(stack, "sealed-audited", "admin").await;
    let (_, answered) = answer(tenant.post("/v1/events", &event(1))).await;
    Logs::of(stack).prove(&answered).await;
    let copy = stack.dir.join("audited");
    let receipt = stack.dir.join("audited-receipt.txt");
    fs::write(&receipt, answered["receipt"].as_str().unwrap()).unwrap();
    let listed = format!("{}/.well-known/sealtrail-keys", stack.var("SEALTRAIL_GATEWAY_URL"));
    let keys = reqwest::get(listed).await.unwrap().text().await.unwrap();
    let policy = stack.dir.join("audited-policy.txt");
    let receipt_keys: String = keys.lines().map(|key| format!("# receipt-key {key}\n")).collect();
    let text = fs::read_to_string(stack.dir.join("policy.txt")).unwrap();
    fs::write(&policy, text + &receipt_keys).unwrap();
    let verify = |arguments: &[&str]| {
        let mut command = Command::new(program("sealtrail-verify"));
        command.args(arguments).arg("--files").arg(&copy).arg("--policy").arg(&policy);
        let done = command.output().expect("the command runs");
        (done.status.code(), String::from_utf8(done.stdout).unwrap())
    };
    // a copy that is made while the log grows may lack what came in between
    let whole = || async {
        copy_logs(&stack.dir.join("data/sealed"), &copy);
        (verify(&["log"]).0 == Some(0)).then_some(())
    };
    eventually("a copy is whole", whole).await;
    let (code, said) = verify(&["receipt", receipt.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    let partition = format!("{}", answered["partition"]);
    let trail = fs::read_dir(&copy).unwrap().next().unwrap().unwrap().path();
    let kept = trail.join(&partition).join("checkpoint");
    let (code, said) = verify(&["growth", kept.to_str().unwrap(), kept.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    alter_all(&trail.join(&partition).join("tile/0"));
    let (code, said) = verify(&["log", "--output", "json"]);
    assert_eq!(code, Some(1), "{said}");
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["judgement"], "not_genuine", "{said}");
    assert!(said["fault"].as_str().unwrap().contains(&format!("/{partition}")), "it names the log: {said}");
    fs::remove_file(&kept).unwrap();
    assert_eq!(verify(&["log"]).0, Some(2), "nobody can tell without a checkpoint");
}

/// Turns a bit of every file.
fn alter_all(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            alter_all(&entry);
        } else {
            let mut bytes = fs::read(&entry).unwrap();
            bytes[0] ^= 1;
            fs::write(&entry, bytes).unwrap();
        }
    }
}

fn copy_logs(from: &Path, to: &Path) {
    let _none_yet = fs::remove_dir_all(to);
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = waiting.pop() {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(&from).unwrap() {
            let entry = entry.unwrap();
            let (source, target) = (entry.path(), to.join(entry.file_name()));
            if source.is_dir() {
                waiting.push((source, target));
            } else {
                // a partial tile may go while we look
                let _gone = fs::copy(source, target);
            }
        }
    }
}

/// Killed, frozen, and joined by a second one, while events come in.
#[tokio::test(flavor = "multi_thread")]
async fn there_is_one_history_whatever_happens_to_the_sealers() {
    let stack = shared();
    let logs = Logs::of(stack);
    let tenant = Tenant::create(stack, "sealed-twice", "admin").await;
    let mut sent = Vec::new();
    let mut seen = vec![logs.trees().await];
    let mut second = None;
    for round in 0..6 {
        match round {
            1 => stack.signal("sealer", Signal::SIGKILL),
            2 => second = Some(second_sealer(stack)),
            3 => stack.signal("sealer", Signal::SIGSTOP),
            // it wakes up behind the other one
            4 => stack.signal("sealer", Signal::SIGCONT),
            5 => drop(second.take()),
            _ => {}
        }
        for batch in 0..4 {
            let first = 100 * round + 10 * batch;
            sent.extend(tenant.send(&(first..first + 10).map(event).collect::<Vec<_>>()).await);
            tokio::time::sleep(Duration::from_millis(400)).await;
            seen.push(logs.trees().await);
        }
    }
    for result in &sent {
        logs.prove(result).await;
    }
    for trees in &seen {
        logs.only_grew(trees).await;
    }
}

/// Ended when dropped, as by kill -9.
struct Second(Child);

impl Drop for Second {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn second_sealer(stack: &Stack) -> Second {
    let mut command = Command::new(program("sealtrail-sealer"));
    command
        .env("SEALTRAIL_SEALER__KAFKA__BROKERS", stack.var("SEALTRAIL_KAFKA"))
        .env("SEALTRAIL_SEALER__KAFKA__TOPIC_CHECK", "single_broker")
        .env("SEALTRAIL_SEALER__ADMIN__LISTEN", SECOND_SEALER)
        .env("SEALTRAIL_SEALER__KEY_FILE", stack.dir.join("secrets/log-key"))
        .env("SEALTRAIL_SEALER__STORE_DIR", stack.dir.join("data/sealed"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Second(command.spawn().expect("the sealer starts"))
}
