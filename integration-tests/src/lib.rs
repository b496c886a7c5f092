//! A harness for tests against the real thing: a stack of its own with real Kafka and real ClickHouse, started by the
//! same command that a person uses.

pub mod apicurio;
pub mod clickhouse;
pub mod dashboards;
pub mod docs;
pub mod gateway;
pub mod kafka;
pub mod page;
pub mod prometheus;
pub mod stack;
pub mod storing_server;
pub mod tenant;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest that a test waits for something to come true.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The directory of the workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// One of our programs, as `make build` leaves it.
pub fn program(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let path = target.join("release").join(name);
    assert!(path.is_file(), "{} is not there; run `make build`, or the tests by `make test`", path.display());
    path
}

/// The real CloudTrail files. Where they are absent: a failure in CI, `None` elsewhere.
pub fn cloudtrail_files() -> Option<Vec<PathBuf>> {
    let dir = std::env::var_os("SEALTRAIL_CLOUDTRAIL_DIR")
        .map_or_else(|| workspace().join("../shared/data/cloudtrail"), PathBuf::from);
    let Ok(entries) = std::fs::read_dir(&dir) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is not there", dir.display());
        eprintln!("skipped: {} is not there; set SEALTRAIL_CLOUDTRAIL_DIR", dir.display());
        return None;
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    Some(paths.filter(|path| path.to_string_lossy().ends_with(".json.gz")).collect())
}

/// Waits until `probe` gives a value.
pub async fn eventually<T, F>(what: &str, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let began = Instant::now();
    loop {
        if let Some(value) = probe().await {
            return value;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
