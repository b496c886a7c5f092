//! The faults that need a real engine to be believed: a token without rows, and a clock that Java reads.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chaos::tools::clock::{FakeClock, Shift};
use chaos::tools::library::VARIABLE;
use chaos::tools::shim::{Part, PartFault, Shim};
use chrono::{DateTime, Utc};

const PATIENCE: Duration = Duration::from_secs(60);
const HTTP: &str = "127.0.0.1:18923";
const NATIVE: &str = "127.0.0.1:18900";
const USERS: &str = "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users>\
     <default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile>\
     <quota>default</quota></default></users></clickhouse>";

fn target() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from)
}

/// ClickHouse alone, as the local stack runs it, with the shim in it.
struct Engine {
    dir: PathBuf,
    library: String,
    shim: Shim,
    child: Child,
}

impl Engine {
    async fn start(dir: PathBuf, shim: Shim) -> Self {
        let program = target().join("release/sealtrail-local-stack");
        let fetched = Command::new(&program).arg("fetch").output().expect("`make build` leaves it");
        let fetched = String::from_utf8(fetched.stdout).expect("text");
        let library =
            fetched.lines().find(|line| line.ends_with("libchdb.so")).expect("the engine").to_owned();
        fs::write(dir.join("users.xml"), USERS).expect("written");
        let config = format!(
            "<clickhouse><users_config>{}</users_config></clickhouse>",
            dir.join("users.xml").display()
        );
        fs::write(dir.join("config.xml"), config).expect("written");
        let child = spawn(&dir, &library, &shim);
        let engine = Self { dir, library, shim, child };
        engine.is_up().await;
        engine
    }

    /// Waits for its death by kill -9, then starts it again on the same data.
    async fn comes_again(&mut self) {
        let status = self.child.wait().expect("it ends");
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
        self.child = spawn(&self.dir, &self.library, &self.shim);
        self.is_up().await;
    }

    async fn is_up(&self) {
        let began = Instant::now();
        while self.ask("SELECT 1", &[]).await.ok().as_deref() != Some("1") {
            assert!(began.elapsed() < PATIENCE, "see {}/log", self.dir.display());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What it answers, or why it does not.
    async fn ask(&self, sql: &str, settings: &[(&str, &str)]) -> Result<String, String> {
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let request = client.post(format!("http://{HTTP}/")).query(settings).body(sql.to_owned());
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let is_ok = answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        if is_ok { Ok(text.trim_end().to_owned()) } else { Err(text) }
    }

    /// Ten rows, half of them of each of two days.
    async fn insert(&self, token: &str) -> Result<String, String> {
        let sql = "INSERT INTO t SELECT number, toDate('2026-01-01') + number % 2 FROM numbers(10)";
        self.ask(sql, &[("insert_deduplication_token", token)]).await
    }

    /// The rows of each day.
    async fn rows(&self) -> String {
        let sql =
            "SELECT countIf(day = '2026-01-01') || ' ' || countIf(day = '2026-01-02') FROM t FORMAT TSV";
        self.ask(sql, &[]).await.expect("an answer")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn spawn(dir: &Path, library: &str, shim: &Shim) -> Child {
    let log = fs::OpenOptions::new().create(true).append(true).open(dir.join("log")).expect("a log");
    Command::new(target().join("release/sealtrail-local-stack"))
        .args(["clickhouse", "--library", library, "--http", HTTP, "--native", NATIVE])
        .arg("--data")
        .arg(dir.join("data"))
        .arg("--config")
        .arg(dir.join("config.xml"))
        .env(VARIABLE, shim.library())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn()
        .expect("the engine starts")
}

/// What the processor's read-back is for: the retry is answered with success, and rows are missing.
#[tokio::test]
async fn clickhouse_believes_a_token_whose_part_was_never_renamed() {
    let dir = target().join("it/chaos-shim");
    let _none_yet = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let shim = Shim::build(&dir.join("shim")).unwrap();
    let mut engine = Engine::start(dir, shim.clone()).await;
    let table = "CREATE TABLE t (n UInt64, day Date) ENGINE = MergeTree PARTITION BY day ORDER BY n \
         SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1";
    engine.ask(table, &[]).await.expect("a table");
    engine.insert("whole").await.expect("inserted");
    assert_eq!(engine.rows().await, "5 5");

    shim.arm(PartFault::Eio, Part::Any).unwrap();
    let refused = engine.insert("eio").await.expect_err("the disk is broken");
    assert!(refused.contains("Input/output error"), "{refused}");
    engine.insert("eio").await.expect("the token is known, so this is a success");
    assert_eq!(engine.rows().await, "5 10", "the rows of the part that was not renamed are nowhere");

    shim.arm(PartFault::Kill, Part::of_day("20260102")).unwrap();
    engine.insert("kill").await.expect_err("it died");
    engine.comes_again().await;
    assert_eq!(engine.rows().await, "10 10", "the first day's part was renamed before");
    engine.insert("kill").await.expect("the token is known, so this is a success");
    assert_eq!(engine.rows().await, "10 10", "half of the insert is missing for ever");
    assert_eq!(shim.met().unwrap().len(), 2);
}

#[test]
fn java_reads_the_clock_that_we_set() {
    let dir = target().join("it/chaos-clock");
    let day = Duration::from_secs(86_400);
    let clock = FakeClock::create(&dir, Shift::ahead(day)).unwrap();
    let java = || {
        // the first thing that Java logs, with its time
        let arguments = ["-Xlog:gc+init=info:stdout:utctime", "-version"];
        let output =
            Command::new("java").args(arguments).env(VARIABLE, clock.library()).output().expect("java");
        let text = String::from_utf8(output.stdout).expect("text");
        let time = text.trim_start_matches('[').split(']').next().expect("a time").to_owned();
        DateTime::parse_from_str(&time, "%Y-%m-%dT%H:%M:%S%.3f%z").expect("a time").to_utc()
    };
    let close = chrono::Duration::seconds(10);
    assert!(java() - Utc::now() > chrono::Duration::days(1) - close);
    clock.set(Shift::NONE).unwrap();
    assert!((java() - Utc::now()).abs() < close);
}
