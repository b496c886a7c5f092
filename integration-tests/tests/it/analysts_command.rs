//! `sealtrail analysts`: what it sends, what it tries, and what it says where it cannot.

use std::process::{Command, Output};

use integration_tests::clickhouse::Login;
use integration_tests::program;
use integration_tests::stack::{Stack, shared};
use integration_tests::storing_server::StoringServer;
use schemas::access::sql::SqlRenderer;
use schemas::access::{Account, PasswordHash};
use serde_json::{Value, json};

use crate::analysts::{BLUE, RED, database, filled, owner};

/// The engine here stores no users, so the statements are not run; it does read them.
#[tokio::test(flavor = "multi_thread")]
async fn clickhouse_can_read_every_statement_about_access() {
    let database = database();
    let tenant = "wall-blue".parse().unwrap();
    for cluster in [None, Some("it's `main`")] {
        let renderer = SqlRenderer::new(&database, cluster);
        let statements = renderer.create_analyst(&tenant, &PasswordHash::of("secret"));
        let statements = statements.into_iter().chain(renderer.remove_analyst(&tenant));
        for statement in statements.chain(renderer.service_roles()) {
            let quoted = schemas::access::quote::literal(&statement);
            let read = owner().ask(&format!("SELECT formatQuerySingleLine({quoted})")).await;
            assert!(read.is_ok(), "{statement}: {read:?}");
        }
    }
}

fn sealtrail(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("sealtrail"));
    command.args(arguments).env("SEALTRAIL_CLICKHOUSE_URL", url).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_is_made_where_the_server_stores_users() {
    let (blue, _) = filled().await;
    let server = StoringServer::start(owner(), blue).await;
    let file = shared().dir.join("wall-blue.password");
    let arguments = ["analysts", "create", BLUE, "--file", file.to_str().unwrap()];
    let output = tokio::task::block_in_place(|| sealtrail(&server.url, &arguments));
    assert!(output.status.success(), "{}", said(&output));
    let password = std::fs::read_to_string(&file).unwrap().trim().to_owned();
    assert_eq!(password.len(), 40);
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let seen = server.seen();
    let wanted = SqlRenderer::new(&database(), None)
        .create_analyst(&BLUE.parse().unwrap(), &PasswordHash::of(&password));
    assert_eq!(seen.statements, wanted, "only the password's hash is sent");
    assert_eq!(seen.password.as_ref(), Some(&password), "the new user was tried");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_that_sees_too_much_is_taken_away_again() {
    filled().await;
    let sees_all = Login::of(shared(), "sealtrail_query_api", "clickhouse-query-api");
    let server = StoringServer::start(owner(), sees_all).await;
    let output = tokio::task::block_in_place(|| sealtrail(&server.url, &["analysts", "create", BLUE]));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("taken away again") && output.stdout.is_empty(), "{}", said(&output));
    let statements = server.seen().statements;
    let removal = SqlRenderer::new(&database(), None).remove_analyst(&BLUE.parse().unwrap());
    assert!(statements.ends_with(&removal), "{statements:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_says_what_to_do_where_users_come_from_a_file() {
    let stack: &Stack = shared();
    let output = stack.run("sealtrail", &["analysts", "create", "wall-green"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("`sealtrail-local-stack analyst wall-green`"), "{}", said(&output));
    let output = stack.run("sealtrail", &["analysts", "list", "--output", "json"]);
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    let users: Vec<_> = listed["analysts"].as_array().unwrap().iter().map(|a| &a["user"]).collect();
    for account in ["demo", BLUE, RED].map(|tenant| Account::Analyst(tenant.parse().unwrap())) {
        assert!(users.contains(&&json!(account.user())), "{listed}");
    }
    let output = stack.run("sealtrail", &["analysts", "remove", "wall-green"]);
    assert!(said(&output).contains("there is no analyst of tenant wall-green"), "{}", said(&output));
    let output = stack.run("sealtrail", &["analysts", "sql", "wall-green", "--on-cluster", "main"]);
    let (sql, hint) = (String::from_utf8_lossy(&output.stdout), said(&output));
    let password = hint.trim().rsplit(' ').next().unwrap();
    assert!(sql.contains(PasswordHash::of(password).as_hex()) && !sql.contains(password), "{sql}");
    assert!(
        sql.trim_end().ends_with("GRANT ON CLUSTER `main` `sealtrail_analyst` TO `analyst_wall-green`;"),
        "{sql}"
    );
}
