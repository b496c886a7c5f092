//! A local stack of the command's own: its directory, its ports, its process group, gone with the command.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::args::StackFlags;

/// Kafka, the registry, ClickHouse and the services, on cores that others may use too.
const START_LIMIT: Duration = Duration::from_secs(300);

/// How the stack is to be.
#[derive(Debug, Clone)]
pub struct Plan {
    pub dir: PathBuf,
    pub port_shift: u16,
    /// Whether events go on to ClickHouse, and can be asked for.
    pub whole: bool,
    /// Settings of the services, as the environment names them.
    pub settings: Vec<(&'static str, String)>,
}

pub struct OwnStack {
    dir: PathBuf,
    child: Child,
    /// The stack stops when this closes, which the end of this process does too.
    stdin: Option<ChildStdin>,
}

impl OwnStack {
    /// Starts one; the data of an earlier run are lost.
    pub async fn start(plan: &Plan) -> Result<Self> {
        let _none_yet = fs::remove_dir_all(&plan.dir);
        fs::create_dir_all(&plan.dir).with_context(|| format!("make {}", plan.dir.display()))?;
        eprintln!("starting a stack in {}, ports shifted by {}", plan.dir.display(), plan.port_shift);
        let mut child = spawn(plan)?;
        let stdin = child.stdin.take();
        let mut stack = Self { dir: plan.dir.clone(), child, stdin };
        stack.wait_up().await?;
        if !plan.whole {
            // nothing here asks them, and they would take their share of the cores
            for service in ["sealer", "query-api", "clickhouse"] {
                stack.stop(service).await?;
            }
        }
        Ok(stack)
    }

    async fn wait_up(&mut self) -> Result<()> {
        let stdout = BufReader::new(self.child.stdout.take().context("no standard output")?);
        let reading = tokio::task::spawn_blocking(move || {
            let mut lines = stdout.lines().map_while(std::io::Result::ok);
            let is_up = lines.by_ref().any(|line| line.starts_with("Ctrl-C"));
            // what comes later must be read too, or the stack would wait for us
            std::thread::spawn(move || lines.for_each(drop));
            is_up
        });
        let is_up = tokio::time::timeout(START_LIMIT, reading).await.unwrap_or(Ok(false))?;
        let said = fs::read_to_string(self.dir.join("stderr")).unwrap_or_default();
        ensure!(is_up, "the stack did not start within {} s: {said}", START_LIMIT.as_secs());
        if said.contains("mock broker") {
            bail!("this needs the real Kafka; install Java 17 or newer and Maven: {said}");
        }
        Ok(())
    }

    /// Where it is, for [`crate::env::Settings`].
    pub fn flags(&self) -> StackFlags {
        StackFlags { env_file: Some(self.dir.join("demo.env")), ..StackFlags::default() }
    }

    /// Stops one of its services, and keeps it stopped.
    async fn stop(&self, service: &str) -> Result<()> {
        let mut command = tokio::process::Command::new(program("sealtrail-local-stack")?);
        command.args(["stop", service, "--dir"]).arg(&self.dir).stdin(Stdio::null()).kill_on_drop(true);
        let output = command.output().await.context("sealtrail-local-stack")?;
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        ensure!(output.status.success(), "cannot stop {service}: {said}");
        Ok(())
    }
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended = self.child.wait();
    }
}

fn spawn(plan: &Plan) -> Result<Child> {
    let mut command = Command::new(program("sealtrail-local-stack")?);
    command.args(["up", "--no-sample", "--stop-with-stdin", "--dir"]).arg(&plan.dir);
    command.args(["--port-shift", &plan.port_shift.to_string()]);
    if !plan.whole {
        command.arg("--without-processor");
    }
    for (name, value) in &plan.settings {
        // what the person who starts this has set stays
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    let errors = fs::File::create(plan.dir.join("stderr"))?;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(errors);
    // a Ctrl-C reaches this process only, whose end stops the stack in order
    command.process_group(0).spawn().context("start sealtrail-local-stack")
}

/// Runs the `sealtrail` command as a person would, with the variables of a stack.
pub async fn sealtrail(arguments: &[&str], variables: &[(String, String)]) -> Result<()> {
    let mut command = tokio::process::Command::new(program("sealtrail")?);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let output = command.output().await.context("sealtrail")?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    ensure!(output.status.success(), "`sealtrail {}` failed: {said}", arguments.join(" "));
    Ok(())
}

/// One of our programs, found beside this one.
fn program(name: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    ensure!(Path::is_file(&path), "{} is not built; run `make build`", path.display());
    Ok(path)
}
