//! The tables that decide what becomes of an error, held against what the engines themselves say.

use clickhouse_io::errors::MEANINGS;
use clickhouse_io::{ErrorKind, Sql};
use integration_tests::clickhouse::Login;
use integration_tests::stack::shared;

/// A number that moved, or a name that was mistyped, would put an error into the wrong row.
#[tokio::test]
async fn clickhouse_has_our_names_for_its_error_codes() {
    let stack = shared();
    let mut differing = Vec::new();
    for (code, name) in MEANINGS.iter().flat_map(|meaning| meaning.codes) {
        let said = stack.sql(&format!("SELECT errorCodeToName({code})")).await;
        if said != *name {
            differing.push(format!("{code} is {name} here and {said} there"));
        }
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

/// What the server really answers finds its row, with its code and what to do.
#[tokio::test]
async fn real_answers_are_classified() {
    let processor = Login::of(shared(), "sealtrail_processor", "clickhouse-processor").engine();
    let kind_of = async |sql: &'static str| {
        let error = processor.execute("test", Sql::new(sql)).await.expect_err(sql);
        (error.code, error.kind, error.to_string())
    };
    for (sql, code, kind, says) in [
        ("SELECT throwIf(now() > toDateTime(0))", 395, ErrorKind::Retry, "throwIf"),
        ("SELECT sleep(1) SETTINGS max_execution_time = 0.1", 159, ErrorKind::Retry, "TIMEOUT_EXCEEDED"),
        (
            "SELECT length(range(10000000)) SETTINGS max_memory_usage = 1000000",
            241,
            ErrorKind::Retry,
            "emory",
        ),
        ("SELECT * FROM no_such_table", 60, ErrorKind::Stop, "sealtrail migrate"),
        ("SELECT no_such_column FROM events", 47, ErrorKind::Stop, "sealtrail migrate"),
        ("SELECT no_such_function(1)", 46, ErrorKind::Stop, "docker-compose.yml"),
        ("SELECT count() FROM system.users", 497, ErrorKind::Stop, "grant"),
        (
            "SELECT arrayJoin(range(9)) AS x GROUP BY x SETTINGS max_rows_to_group_by = 1",
            158,
            ErrorKind::Stop,
            "raise that limit",
        ),
    ] {
        let (said_code, said_kind, text) = kind_of(sql).await;
        assert_eq!((said_code, said_kind), (Some(code), kind), "{sql}: {text}");
        assert!(text.contains(says), "{sql}: {text}");
    }
    let stranger = Login {
        password: "wrong".to_owned(),
        ..Login::of(shared(), "sealtrail_processor", "clickhouse-processor")
    };
    let refused =
        stranger.engine().execute("test", Sql::new("SELECT 1")).await.expect_err("a wrong password");
    assert_eq!((refused.code, refused.kind), (Some(516), ErrorKind::Stop), "{refused}");
    assert!(refused.to_string().contains("check clickhouse.user"), "{refused}");
}
