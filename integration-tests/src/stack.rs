//! A stack for tests: its own directory, its own ports, gone with the test process.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program;

/// A running stack.
pub struct Stack {
    pub dir: PathBuf,
    env: HashMap<String, String>,
    child: Child,
    /// The stack stops when this closes, which the end of the test process does too.
    stdin: Option<ChildStdin>,
}

/// How a stack for tests differs from a person's.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub name: &'static str,
    /// At most 23,000: above lie the ports that the system hands to clients.
    pub port_shift: u16,
    pub settings: Vec<(&'static str, String)>,
    pub keep_data: bool,
    /// Whether librdkafka's mock broker will do; it keeps no promise, so most tests fail on it with a word.
    pub mock_will_do: bool,
}

/// The stack that tests share which break nothing. Each brings a tenant of its own.
pub fn shared() -> &'static Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    STACK.get_or_init(|| {
        Stack::start(&Options {
            name: "shared",
            port_shift: 21_000,
            // small enough that a test can exceed it, large enough that no other does
            settings: vec![
                ("SEALTRAIL_GATEWAY__LIMITS__TENANT_EVENTS_PER_S", "20000".to_owned()),
                ("SEALTRAIL_GATEWAY__LIMITS__TENANT_BURST_EVENTS", "20000".to_owned()),
                // the engine reads its users at its start only
                ("SEALTRAIL_ANALYSTS", "wall-blue,wall-red,wall-busy".to_owned()),
            ],
            ..Options::default()
        })
    })
}

impl Options {
    pub fn dir(&self) -> PathBuf {
        crate::workspace().join("target/it").join(self.name)
    }

    /// The command that starts this stack, for tests that look at its start itself.
    pub fn command(&self) -> Command {
        let mut command = Command::new(program("sealtrail-local-stack"));
        command.arg("up").arg("--no-sample").arg("--stop-with-stdin").arg("--dir").arg(self.dir());
        command.args(["--port-shift", &self.port_shift.to_string()]);
        command.envs(self.settings.iter().map(|(name, value)| (*name, value.as_str())));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Stack {
    /// Starts a stack and waits until it says that it is up.
    pub fn start(options: &Options) -> Self {
        let dir = options.dir();
        if !options.keep_data {
            let _none_yet = fs::remove_dir_all(&dir);
        }
        fs::create_dir_all(&dir).expect("a directory for the stack");
        let errors = fs::File::create(dir.join("stderr")).expect("a file");
        let mut child = options.command().stderr(errors).spawn().expect("the stack starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut is_up = false;
        let mut lines = stdout.lines();
        for line in lines.by_ref().map_while(Result::ok) {
            is_up |= line.starts_with("Sealtrail is up");
            if line.starts_with("Ctrl-C") {
                break;
            }
        }
        // what comes later must be read too, or the stack would wait for us
        std::thread::spawn(move || lines.for_each(drop));
        let said = fs::read_to_string(dir.join("stderr")).unwrap_or_default();
        assert!(is_up, "the stack did not start: {said}");
        assert!(
            options.mock_will_do || !said.contains("mock broker"),
            "this test needs the real Kafka; install Java 17 or newer and Maven: {said}"
        );
        let env = read_env(&dir);
        Self { dir, env, child, stdin }
    }

    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("{name} is not in demo.env"))
    }

    pub fn vars(&self) -> impl Iterator<Item = (&str, &str)> {
        self.env.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What the stack itself has written to standard error.
    pub fn said(&self) -> String {
        fs::read_to_string(self.dir.join("stderr")).unwrap_or_default()
    }

    /// Runs one of our commands against this stack.
    pub fn run(&self, name: &str, arguments: &[&str]) -> std::process::Output {
        Command::new(program(name)).args(arguments).envs(self.vars()).output().expect("the command runs")
    }

    /// Sends a signal to one of the stack's processes.
    pub fn signal(&self, service: &str, signal: Signal) {
        let file = self.dir.join("run").join(format!("{service}.pid"));
        let pid: i32 = fs::read_to_string(file).expect("a pid file").trim().parse().expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// One value by SQL.
    pub async fn sql(&self, query: &str) -> String {
        // empty where the stack has no authority of its own
        let ca_file = Some(Path::new(self.var("SEALTRAIL_CA_FILE"))).filter(|path| path.is_file());
        let tls = client_security::client_config("SEALTRAIL_CA_FILE", ca_file).expect("certificates");
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().expect("a client");
        let answer = client.post(self.var("SEALTRAIL_CLICKHOUSE_URL")).body(query.to_owned()).send().await;
        let answer = answer.expect("clickhouse answers");
        let status = answer.status();
        let text = answer.text().await.expect("text");
        assert!(status.is_success(), "{query}: {text}");
        text.trim_end().to_owned()
    }

    /// As Ctrl-C does; answers the exit status.
    pub fn interrupt(mut self) -> std::process::ExitStatus {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("the stack is there");
        self.child.wait().expect("it ends")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended = self.child.wait();
    }
}

fn read_env(dir: &std::path::Path) -> HashMap<String, String> {
    let text = fs::read_to_string(dir.join("demo.env")).expect("demo.env");
    let lines = text.lines().filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.trim_matches('\'').to_owned())).collect()
}
