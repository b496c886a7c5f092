//! The command behind `make up`: one clear line when it can't, nothing left running, and data that stays.

use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;

use integration_tests::stack::{Options, Stack};
use integration_tests::tenant::{Tenant, event};

fn stderr_of(mut child: Child) -> (i32, String) {
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (child.wait().unwrap().code().unwrap_or(-1), said)
}

fn left_running(dir: &Path) -> Vec<String> {
    let run = std::fs::read_dir(dir.join("run")).unwrap();
    let pids =
        run.filter_map(Result::ok).map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "pid"));
    pids.map(|path| path.display().to_string()).collect()
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let options = Options { name: "taken", port_shift: 17_000, ..Options::default() };
    let _taken = TcpListener::bind("127.0.0.1:25080").unwrap();
    std::fs::create_dir_all(options.dir()).unwrap();
    let (code, said) = stderr_of(options.command().spawn().unwrap());
    assert_eq!(code, 1);
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("port 25080 (gateway) is taken") && said.contains("SEALTRAIL_GATEWAY_PORT"),
        "{said}"
    );
    assert_eq!(left_running(&options.dir()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_keeps_the_data_and_a_second_start_goes_on() {
    let options = Options { name: "again", port_shift: 15_000, ..Options::default() };
    let stack = Stack::start(&options);
    let tenant = Tenant::create(&stack, "again", "admin").await;
    tenant.send(&[event(1), event(2)]).await;
    tenant.rows("events", 2).await;
    assert!(stack.interrupt().success(), "Ctrl-C ends with 0");
    assert_eq!(left_running(&options.dir()), Vec::<String>::new());

    let stack = Stack::start(&Options { keep_data: true, ..options });
    let tenant = Tenant::with_key(&stack, "again", "admin").await;
    tenant.rows("events", 2).await;
    tenant.send(&[event(3)]).await;
    tenant.rows("events", 3).await;
    let sound = stack.sql("SELECT sum(breaks + sums_off) FROM batch_accounting").await;
    assert_eq!(sound, "0");
}

/// A tool that is missing while something has to be fetched: one line, and nothing left running.
#[test]
fn a_missing_tool_is_one_clear_line() {
    let empty_cache = Options::default().dir().join("empty-cache");
    let _none_yet = std::fs::remove_dir_all(&empty_cache);
    std::fs::create_dir_all(&empty_cache).unwrap();
    let bin = tools_only("path-without-npm", &["sh"]);
    let options = Options {
        name: "no-npm",
        port_shift: 11_000,
        settings: vec![("PATH", bin), ("XDG_CACHE_HOME", empty_cache.display().to_string())],
        ..Options::default()
    };
    std::fs::create_dir_all(options.dir()).unwrap();
    let (code, said) = stderr_of(options.command().spawn().unwrap());
    assert_eq!(code, 1);
    let complaint =
        said.lines().find(|line| line.contains("npm is missing")).unwrap_or_else(|| panic!("{said}"));
    assert!(complaint.contains("install it and try again"), "{complaint}");
    assert_eq!(left_running(&options.dir()), Vec::<String>::new());
}

/// A directory for PATH with nothing but these tools.
fn tools_only(name: &str, tools: &[&str]) -> String {
    let bin = Options::default().dir().join(name);
    let _none_yet = std::fs::remove_dir_all(&bin);
    std::fs::create_dir_all(&bin).unwrap();
    for tool in tools {
        if let Some(path) = find(tool) {
            std::os::unix::fs::symlink(path, bin.join(tool)).unwrap();
        }
    }
    bin.display().to_string()
}

/// Without Java the broker is librdkafka's mock, which says that it forgets; events flow all the same.
#[tokio::test(flavor = "multi_thread")]
async fn without_java_a_mock_broker_steps_in_and_says_so() {
    let bin = tools_only("path-without-java", &["npm", "node", "tar", "gzip", "sh", "bash", "env"]);
    let settings = vec![("PATH", bin)];
    let stack = Stack::start(&Options {
        name: "no-java",
        port_shift: 13_000,
        settings,
        mock_will_do: true,
        ..Options::default()
    });
    assert!(stack.said().contains("java is missing") && stack.said().contains("forgets"), "{}", stack.said());
    let tenant = Tenant::create(&stack, "mock", "admin").await;
    tenant.send(&[event(1)]).await;
    tenant.rows("events", 1).await;
}

fn find(tool: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(tool)).find(|candidate| candidate.is_file())
}

/// What stops a processor is mended in Kafka or ClickHouse, so they must be up without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_processor_that_cannot_run_does_not_take_the_engines_down() {
    let settings = vec![("SEALTRAIL_PROCESSOR__INSERT__DEADLINE_S", "never".to_owned())];
    let stack = Stack::start(&Options { name: "held", port_shift: 3_000, settings, ..Options::default() });
    let said = stack.said();
    assert!(
        said.contains("`sealtrail-local-stack start processor`") && said.contains("DEADLINE_S"),
        "{said}"
    );
    assert_eq!(stack.sql("SELECT count() FROM events").await, "0");
}
