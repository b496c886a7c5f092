//! The engines: fetched once by their own package managers' clients, pinned by SHA-256, kept in the user's cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use sha2::{Digest, Sha256};
use tokio::process::Command;

/// Apache Kafka and what it needs, as Maven artifacts.
const KAFKA_VERSION: &str = "4.3.0";
const KAFKA_POM: &str = include_str!("../kafka/pom.xml");
const KAFKA_CHECKSUMS: &str = include_str!("../kafka/kafka.sha256");
const MAVEN_COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";
/// What fetching grows the cache by, for the progress bar.
const KAFKA_FETCH_BYTES: u64 = 110 * 1024 * 1024;

/// ClickHouse as a shared library, out of an npm package.
const CLICKHOUSE_VERSION: &str = "26.7.3-stable.1";
const CLICKHOUSE_PACKAGE: &str = "@chdb/lib-linux-x64-gnu";
const CLICKHOUSE_SHA256: &str = "c0d32b129e988f2b9a9a31c9141aecf5e1e2453f9a079efc4d36ab8e3f92b2ad";
const CLICKHOUSE_FETCH_BYTES: u64 = 2 * 178 * 1000 * 1000;

const PROGRESS_TICK: Duration = Duration::from_millis(200);

/// Fetches what is missing.
pub async fn all() -> anyhow::Result<()> {
    println!("{}", kafka().await?.display());
    println!("{}", clickhouse().await?.display());
    Ok(())
}

/// `$XDG_CACHE_HOME/sealtrail`, shared by all clones of one user.
fn cache_dir() -> anyhow::Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = match base {
        Some(base) => base,
        None => PathBuf::from(
            std::env::var_os("HOME").context("set HOME or XDG_CACHE_HOME: the engines are kept there")?,
        )
        .join(".cache"),
    };
    Ok(base.join("sealtrail"))
}

/// The directory with Kafka's jars.
pub async fn kafka() -> anyhow::Result<PathBuf> {
    let place = cache_dir()?.join(format!("kafka-{KAFKA_VERSION}-{}", short_hash(KAFKA_CHECKSUMS)));
    if place.is_dir() {
        return Ok(place);
    }
    let work = Workplace::beside(&place)?;
    fs::write(work.path.join("pom.xml"), KAFKA_POM)?;
    let libs = work.path.join("libs");
    let mut maven = Command::new("mvn");
    maven
        .args(["-B", "-q", MAVEN_COPY, "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", libs.display()))
        .arg(format!("-Dmaven.repo.local={}", work.path.join("repository").display()))
        .current_dir(&work.path);
    run_with_progress(maven, "Apache Kafka from Maven Central", &work.path, KAFKA_FETCH_BYTES).await?;
    check_jars(&libs)?;
    settle(&libs, &place)
}

/// The ClickHouse library.
pub async fn clickhouse() -> anyhow::Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!(
            "the ClickHouse engine is packaged for x86-64 Linux only; set SEALTRAIL_USE_CLICKHOUSE to a server's URL"
        );
    }
    let place = cache_dir()?.join(format!("clickhouse-{CLICKHOUSE_VERSION}-{}", &CLICKHOUSE_SHA256[..12]));
    let library = place.join("package/libchdb.so");
    if library.is_file() {
        return Ok(library);
    }
    let work = Workplace::beside(&place)?;
    let mut npm = Command::new("npm");
    npm.args(["pack", &format!("{CLICKHOUSE_PACKAGE}@{CLICKHOUSE_VERSION}"), "--silent"])
        .arg("--pack-destination")
        .arg(&work.path)
        .arg("--cache")
        .arg(work.path.join("npm-cache"))
        .current_dir(&work.path);
    run_with_progress(npm, "ClickHouse from the npm registry", &work.path, CLICKHOUSE_FETCH_BYTES).await?;
    let package = find_package(&work.path)?;
    check_sha256(&package, CLICKHOUSE_SHA256)?;
    let unpacked = work.path.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    let mut tar = Command::new("tar");
    tar.arg("xzf").arg(&package).arg("-C").arg(&unpacked).arg("package/libchdb.so");
    run_with_progress(tar, "unpacking ClickHouse", &unpacked, 566 * 1000 * 1000).await?;
    settle(&unpacked, &place)?;
    Ok(library)
}

fn find_package(dir: &Path) -> anyhow::Result<PathBuf> {
    let entries = fs::read_dir(dir)?.filter_map(Result::ok).map(|entry| entry.path());
    let mut packages = entries.filter(|path| path.extension().is_some_and(|ending| ending == "tgz"));
    packages.next().context("npm pack left no package behind")
}

/// A directory to work in, removed again whatever happens.
struct Workplace {
    path: PathBuf,
}

impl Workplace {
    fn beside(place: &Path) -> anyhow::Result<Self> {
        let path = place.with_extension(format!("fetching-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path })
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        let _best_effort = fs::remove_dir_all(&self.path);
    }
}

/// Moves what was fetched to its place at once, so that a place that exists is whole.
fn settle(from: &Path, place: &Path) -> anyhow::Result<PathBuf> {
    match fs::rename(from, place) {
        Ok(()) => Ok(place.to_owned()),
        // another clone was faster
        Err(_) if place.is_dir() => Ok(place.to_owned()),
        Err(error) => Err(error).with_context(|| format!("move to {}", place.display())),
    }
}

/// Runs a fetching command and shows how its directory grows. On failure says what the command said.
async fn run_with_progress(
    mut command: Command,
    what: &str,
    watched: &Path,
    bytes: u64,
) -> anyhow::Result<()> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!("{program} is missing, which fetches {what}; install it and try again")
        }
        Err(error) => return Err(error).context(program),
    };
    let bar = ProgressBar::new(bytes)
        .with_style(ProgressStyle::with_template("{msg} {bar:40} {bytes}/{total_bytes} {elapsed}")?)
        .with_message(format!("fetching {what}:"));
    if bar.is_hidden() {
        eprintln!("fetching {what}");
    }
    let waiting = child.wait_with_output();
    tokio::pin!(waiting);
    let output = loop {
        tokio::select! {
            output = &mut waiting => break output?,
            () = tokio::time::sleep(PROGRESS_TICK) => bar.set_position(size_of(watched).min(bytes)),
        }
    };
    bar.finish_and_clear();
    if output.status.success() {
        return Ok(());
    }
    let said =
        String::from_utf8_lossy(if output.stderr.is_empty() { &output.stdout } else { &output.stderr });
    let line = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no word").to_owned();
    bail!("fetching {what} failed ({program}: {line}); check the network and try again")
}

fn size_of(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size_of(&entry.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

fn check_jars(libs: &Path) -> anyhow::Result<()> {
    let mut pinned = 0;
    for line in KAFKA_CHECKSUMS.lines() {
        let (sha256, name) = line.split_once("  ").context("kafka.sha256 has lines `<sha256>  <file>`")?;
        check_sha256(&libs.join(name), sha256)?;
        pinned += 1;
    }
    let found = fs::read_dir(libs)?.count();
    if found != pinned {
        bail!(
            "Maven brought {found} jars where {pinned} are pinned in local-stack/kafka/kafka.sha256; nothing was kept"
        );
    }
    Ok(())
}

fn check_sha256(file: &Path, pinned: &str) -> anyhow::Result<()> {
    let mut hasher = Sha256::new();
    let mut reader = fs::File::open(file).with_context(|| format!("{} was not fetched", file.display()))?;
    std::io::copy(&mut reader, &mut hasher)?;
    let found: String = hasher.finalize().iter().map(|b| format!("{b:02x}")).collect();
    if found == pinned {
        Ok(())
    } else {
        bail!("{} has SHA-256 {found}, pinned is {pinned}; nothing was kept", file.display())
    }
}

fn short_hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|b| format!("{b:02x}")).collect()
}
