//! A further gateway on a stack, with settings of its own.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::stack::Stack;
use crate::{eventually, program};

pub struct Gateway {
    pub port: u16,
    child: Child,
}

impl Gateway {
    /// What starts one; its admin port is the next one.
    pub fn command(stack: &Stack, port: u16) -> Command {
        let secret = |name: &str| stack.dir.join("secrets").join(name);
        let mut command = Command::new(program("sealtrail-gateway"));
        let mut set = |name: &str, value: &str| {
            command.env(format!("SEALTRAIL_GATEWAY__{name}"), value);
        };
        set("HTTP__LISTEN", &format!("127.0.0.1:{port}"));
        set("ADMIN__LISTEN", &format!("127.0.0.1:{}", port + 1));
        set("KAFKA__BROKERS", stack.var("SEALTRAIL_KAFKA"));
        set("KAFKA__TOPIC_CHECK", "single_broker");
        set("REGISTRY__URL", stack.var("SEALTRAIL_REGISTRY_URL"));
        set("PEPPER_FILE", &secret("pepper").display().to_string());
        set("RECEIPTS__KEY_FILE", &secret("receipt-key").display().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts one, and waits until it takes events.
    pub async fn start(stack: &Stack, port: u16) -> Self {
        Self::run(Self::command(stack, port), port).await
    }

    pub async fn run(mut command: Command, port: u16) -> Self {
        let gateway =
            Self { port, child: command.stderr(Stdio::null()).spawn().expect("the gateway starts") };
        eventually("the gateway is ready", || async {
            let answer = reqwest::get(format!("http://127.0.0.1:{port}/readyz")).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        gateway
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("the gateway is there");
    }

    pub async fn wait(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}
