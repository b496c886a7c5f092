//! docker-compose.yml, the Dockerfile and deploy/ as far as they can be tried without a container engine. What each check
//! looks at stands in python/containers.

use std::process::{Command, Output};

use integration_tests::stack::shared;
use integration_tests::workspace;

fn check(name: &str) {
    let python = workspace().join("target/venv/bin/python");
    let script = workspace().join("integration-tests/python/containers/check.py");
    let done = Command::new(python).arg(script).arg(name).output().expect("target/venv is made by `make`");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn the_compose_file_holds_to_the_schema_of_compose() {
    check("schema");
}

#[test]
fn the_programs_take_the_settings_and_flags_that_compose_gives_them() {
    check("settings");
}

#[test]
fn every_address_is_one_on_which_a_service_listens() {
    check("ports");
}

#[test]
fn every_mount_and_secret_is_there() {
    check("files");
}

#[test]
fn what_is_waited_for_can_come_and_what_stays_is_bounded() {
    check("order");
}

#[test]
fn image_tags_are_pinned_and_the_same_everywhere() {
    check("images");
}

#[test]
fn the_script_of_kafkas_image_takes_the_settings() {
    check("kafka");
}

#[test]
fn the_image_gets_files_and_programs_that_there_are() {
    check("dockerfile");
}

#[test]
fn the_build_stage_sees_a_whole_workspace() {
    check("clean_copy");
}

fn http_ok(arguments: [&str; 2]) -> Output {
    Command::new(workspace().join("deploy/docker/http-ok")).args(arguments).output().unwrap()
}

#[test]
fn the_health_check_of_the_containers_tells_ready_from_not() {
    let port = shared().var("SEALTRAIL_GATEWAY_URL").rsplit(':').next().unwrap();
    let ready = http_ok([port, "/readyz"]);
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stderr));
    assert!(!http_ok([port, "/no-such-route"]).status.success());
    assert!(!http_ok(["1", "/readyz"]).status.success(), "nobody listens there");
}

/// The engine of the tests stores no users, so the statements are parsed and not run.
#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_can_read_what_makes_the_services_users() {
    let root = workspace().join("target/it/access");
    let _none_yet = std::fs::remove_dir_all(&root);
    std::fs::create_dir_all(root.join("access")).unwrap();
    std::fs::create_dir_all(root.join("run")).unwrap();
    std::fs::copy(workspace().join("deploy/clickhouse/roles.sql"), root.join("access/roles.sql")).unwrap();
    let made = Command::new(workspace().join("deploy/docker/make-secrets.sh"))
        .arg(root.join("run/secrets"))
        .status();
    assert!(made.unwrap().success());
    let script = workspace().join("deploy/clickhouse/access.sh");
    let printed = Command::new(script).arg("--print").env("ACCESS_ROOT", &root).output().unwrap();
    assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let sql = String::from_utf8(printed.stdout).unwrap();
    let secret = std::fs::read_to_string(root.join("run/secrets/clickhouse_processor_password")).unwrap();
    assert!(!sql.contains(&secret), "a password goes as its hash");
    let statements =
        sql.lines().filter(|line| !line.starts_with("--")).map(|line| line.trim_end_matches(';'));
    let mut users = 0;
    for statement in statements {
        let tree = shared().sql(&format!("EXPLAIN AST {statement}")).await;
        users += usize::from(tree.starts_with("CreateUserQuery"));
    }
    assert_eq!(users, 6, "three users, each made and brought up to date");
}
