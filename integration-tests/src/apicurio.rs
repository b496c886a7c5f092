//! Apicurio Registry on loopback, in memory: a registry that is not ours. tools/fetch-apicurio.sh brings it.

use std::fs;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::{eventually, workspace};

const RUNNER: &str = "target/apicurio/apicurio-registry-app-2.6.13.Final-runner.jar";
/// Ends the registry when standard input ends, so that it does not outlive the tests.
const RUN: &str =
    "java -Xmx256m -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -jar \"$1\" & cat >/dev/null; kill $!; wait $!";

/// A running registry.
pub struct Apicurio {
    /// Of the API that speaks Confluent's protocol.
    pub url: String,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Apicurio {
    pub async fn start(port: u16) -> Self {
        let runner = workspace().canonicalize().expect("the workspace").join(RUNNER);
        assert!(runner.is_file(), "{RUNNER} is not there; run the tests by `make test`");
        let dir = workspace().join("target/it/apicurio");
        let _none_yet = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).expect("a directory");
        let log = fs::File::create(dir.join("log")).expect("a file");
        let mut command = Command::new("bash");
        command.args(["-c", RUN, "apicurio"]).arg(runner).current_dir(&dir);
        command.env("QUARKUS_HTTP_HOST", "127.0.0.1").env("QUARKUS_HTTP_PORT", port.to_string());
        command.stdin(Stdio::piped()).stdout(log.try_clone().expect("a file")).stderr(log);
        let mut child = command.spawn().expect("bash runs");
        let stdin = child.stdin.take();
        let url = format!("http://127.0.0.1:{port}/apis/ccompat/v7");
        let registry = Self { url, child, stdin };
        eventually(&format!("the registry answers; its log is {}", dir.join("log").display()), || async {
            let answer = reqwest::get(format!("{}/subjects", registry.url)).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        registry
    }
}

impl Drop for Apicurio {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended = self.child.wait();
    }
}
