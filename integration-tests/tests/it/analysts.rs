//! Tenants' analysts in ClickHouse: each sees its tenant and nothing of another, by foreign clients and by ways round.

use std::collections::BTreeSet;
use std::process::Command;

use integration_tests::clickhouse::Login;
use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, event};
use integration_tests::{eventually, workspace};
use schemas::access::DatabaseName;
use schemas::access::analyst::CLOSED_FUNCTIONS;
use schemas::access::probes::{Expected, probes};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// Tenants whose analysts the shared stack makes.
pub const BLUE: &str = "wall-blue";
pub const RED: &str = "wall-red";
/// One whose analyst takes all the places that an analyst has, which no other test could bear.
const BUSY: &str = "wall-busy";
/// A word that only red's messages hold, and one that nobody's do.
const REDS_WORD: &str = "crimson";
const NOBODYS_WORD: &str = "ultraviolet";
const REDS_EVENT: u128 = 0x4ed0_0001;
const EVENTS: usize = 3;

/// ClickHouse's codes. Source: src/Common/ErrorCodes.cpp.
const TIMEOUT_EXCEEDED: u32 = 159;
const TOO_SLOW: u32 = 160;
const READONLY: u32 = 164;
const TOO_MANY_SIMULTANEOUS_QUERIES: u32 = 202;
const MEMORY_LIMIT_EXCEEDED: u32 = 241;
const TOO_MANY_ROWS_OR_BYTES: u32 = 396;
const SETTING_CONSTRAINT_VIOLATION: u32 = 452;
const ACCESS_DENIED: u32 = 497;
const USER_SESSION_LIMIT_EXCEEDED: u32 = 700;

pub fn owner() -> Login {
    Login::of(shared(), "sealtrail", "clickhouse-owner")
}

/// Two tenants, each with three events, one of them sent twice, in one part of the table.
pub async fn filled() -> (Login, Login) {
    static FILLED: OnceCell<()> = OnceCell::const_new();
    FILLED
        .get_or_init(|| async {
            for (tenant, word, first) in [(BLUE, "sapphire", 0xb1e0_0001), (RED, REDS_WORD, REDS_EVENT)] {
                let tenant = Tenant::create(shared(), tenant, "admin").await;
                let events: Vec<_> = (0..EVENTS)
                    .map(|n| {
                        let mut event = event(n);
                        event["event_id"] = json!(uuid::Uuid::from_u128(first + n as u128));
                        event["message"] = json!(format!("a {word} secret"));
                        event
                    })
                    .collect();
                tenant.send(&events).await;
                tenant.rows("events", EVENTS as u64).await;
                tenant.send(&events[..1]).await;
                tenant.rows("duplicates", 1).await;
            }
            eventually("both tenants stand in one part", || async {
                owner().ask("OPTIMIZE TABLE events FINAL").await.ok()?;
                let parts = format!(
                    "SELECT count() FROM (SELECT 1 FROM events WHERE tenant_id IN ('{BLUE}', '{RED}') \
                     GROUP BY _part HAVING uniqExact(tenant_id) = 2)"
                );
                (owner().ask(&parts).await != Ok("0".to_owned())).then_some(())
            })
            .await;
        })
        .await;
    (Login::analyst(shared(), BLUE), Login::analyst(shared(), RED))
}

pub fn database() -> DatabaseName {
    "sealtrail".parse().unwrap()
}

/// The port of the native protocol, as far from its default as HTTP's.
fn native_port(analyst: &Login) -> String {
    let http: u16 = analyst.base.rsplit(':').next().unwrap().parse().unwrap();
    (http - 8123 + 9000).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn python_clients_see_their_tenant_only_and_cannot_write() {
    let (blue, red) = filled().await;
    let python = workspace().join("target/venv/bin/python");
    assert!(python.is_file(), "{} is not there; run the tests by `make test`", python.display());
    for (tenant, analyst) in [(BLUE, blue), (RED, red)] {
        let mut command = Command::new(&python);
        command.arg(workspace().join("integration-tests/python/analyst_views.py")).arg(native_port(&analyst));
        let output = command.env("SEALTRAIL_ANALYST_URL", analyst.url()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        let client = json!({
            "seen": {"audit_events": {tenant: EVENTS}, "events": {tenant: EVENTS}, "duplicates": {tenant: 1}},
            "actor-1": 1,
            "refused": [ACCESS_DENIED, ACCESS_DENIED, ACCESS_DENIED, ACCESS_DENIED, READONLY],
        });
        assert_eq!(said, json!({"http": client, "native": client}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_probe_finds_a_hole() {
    let (blue, red) = filled().await;
    for (tenant, analyst) in [(BLUE, &blue), (RED, &red)] {
        for probe in probes(&database(), &tenant.parse().unwrap()) {
            let wanted = match probe.expected {
                Expected::Zero => Ok("0".to_owned()),
                Expected::Refused => Err(ACCESS_DENIED),
            };
            assert_eq!(analyst.ask(&probe.sql).await, wanted, "{}", probe.sql);
        }
    }
    // the probes can find something: whoever has no filters does
    let reader = Login::of(shared(), "sealtrail_query_api", "clickhouse-query-api");
    for sql in [
        "SELECT count() FROM mergeTreeIndex('sealtrail', 'events')".to_owned(),
        format!(
            "SELECT count() FROM mergeTreeTextIndex('sealtrail', 'events', 'message_text') WHERE token = '{REDS_WORD}'"
        ),
    ] {
        assert_ne!(reader.ask(&sql).await, Ok("0".to_owned()), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_shows_another_tenants_rows() {
    let (blue, _) = filled().await;
    let reds_event = uuid::Uuid::from_u128(REDS_EVENT);
    for (sql, wanted) in [
        ("SELECT count(), min(tenant_id), max(tenant_id) FROM events".to_owned(), "3\twall-blue\twall-blue"),
        (
            "SELECT DISTINCT tenant_id FROM merge('sealtrail', '^(events|duplicates|dead_letters)$')"
                .to_owned(),
            BLUE,
        ),
        ("SELECT DISTINCT tenant_id FROM view(SELECT * FROM audit_events)".to_owned(), BLUE),
        (
            "SELECT uniqExact(tenant_id) FROM (SELECT tenant_id, _part, _part_offset FROM events)".to_owned(),
            "1",
        ),
        // an expression that fails on a foreign row would tell of it
        (format!("SELECT count() FROM events WHERE throwIf(tenant_id = '{RED}') = 0"), "3"),
        (format!("SELECT count() FROM events PREWHERE throwIf(tenant_id = '{RED}') = 0"), "3"),
        (format!("SELECT count() FROM duplicates WHERE throwIf(tenant_id = '{RED}') = 0"), "1"),
        (
            format!(
                "SELECT count() FROM mergeTreeTextIndex('sealtrail', 'events', 'message_text') \
                 WHERE throwIf(token = '{REDS_WORD}') = 0"
            ),
            "0",
        ),
        (format!("SELECT count() FROM events WHERE event_id = '{reds_event}'"), "0"),
        (format!("SELECT count() FROM audit_events WHERE hasAllTokens(message, '{REDS_WORD}')"), "0"),
        ("SELECT count() FROM audit_events WHERE hasAllTokens(message, 'sapphire')".to_owned(), "3"),
        (
            format!(
                "SELECT count() FROM events AS e FULL JOIN duplicates AS d USING (event_id) WHERE d.tenant_id = '{RED}'"
            ),
            "0",
        ),
        ("SHOW TABLES".to_owned(), "audit_events"),
    ] {
        assert_eq!(blue.ask(&sql).await.as_deref(), Ok(wanted), "{sql}");
    }
    // least and greatest are known for each part without reading rows
    let times = "SELECT min(received_at), max(received_at) FROM events";
    let own = owner().ask(&format!("{times} WHERE tenant_id = '{BLUE}'")).await;
    assert_eq!(blue.ask(times).await, own);
    let uuid =
        owner().ask("SELECT uuid FROM system.tables WHERE name = 'events' AND database = 'sealtrail'").await;
    let analyze = format!("SELECT count() FROM mergeTreeAnalyzeIndexesUUID('{}')", uuid.unwrap());
    assert_ne!(owner().ask(&analyze).await.as_deref(), Ok("0"));
    assert_eq!(blue.ask(&analyze).await.as_deref(), Ok("0"));
}

/// EXPLAIN shows how much of a table an index leaves; an index over rows of several tenants must not decide.
#[tokio::test(flavor = "multi_thread")]
async fn explain_does_not_tell_which_words_others_wrote() {
    let (blue, _) = filled().await;
    let plan = async |login: &Login, word: &str| {
        let sql = format!(
            "EXPLAIN indexes = 1 SELECT count() FROM events WHERE tenant_id = '{BLUE}' AND hasAllTokens(message, '{word}')"
        );
        let plan = login.ask(&sql).await.unwrap();
        let tells = plan.lines().filter(|line| line.contains("Parts:") || line.contains("Granules:"));
        tells.map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    assert_ne!(plan(&owner(), REDS_WORD).await, plan(&owner(), NOBODYS_WORD).await, "an index does tell");
    assert_eq!(plan(&blue, REDS_WORD).await, plan(&blue, NOBODYS_WORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_for_analysts_is_refused() {
    let (blue, _) = filled().await;
    for sql in [
        "SHOW PROCESSLIST",
        "SHOW USERS",
        "SHOW ACCESS",
        "SHOW CREATE USER `analyst_wall-red`",
        "SHOW ROW POLICIES",
        "KILL QUERY WHERE 1",
        "SYSTEM RELOAD USERS",
        "TRUNCATE TABLE events",
        "DELETE FROM events WHERE 1",
        "OPTIMIZE TABLE events",
        "CHECK TABLE events",
        "BACKUP TABLE events TO Null",
        "CREATE VIEW mine AS SELECT * FROM events",
        "CREATE TEMPORARY TABLE mine (x Int8)",
        "GRANT SELECT ON sealtrail.trails TO `analyst_wall-blue`",
        "SELECT * FROM loop(events) LIMIT 1",
        "SELECT * FROM executable('cat', 'TSV', 'x String')",
        "SELECT last_error_message FROM system.errors",
        "SELECT * FROM system.metrics",
    ] {
        assert_eq!(blue.ask(sql).await, Err(ACCESS_DENIED), "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analysts_bounds_hold_and_only_go_down() {
    let (blue, _) = filled().await;
    for (sql, wanted) in [
        ("SELECT 1 SETTINGS max_execution_time = 5", Ok("1".to_owned())),
        ("SELECT 1 SETTINGS max_execution_time = 61", Err(SETTING_CONSTRAINT_VIOLATION)),
        ("SELECT 1 SETTINGS max_execution_time = 0", Err(SETTING_CONSTRAINT_VIOLATION)),
        ("SELECT 1 SETTINGS max_result_rows = 0", Err(SETTING_CONSTRAINT_VIOLATION)),
        ("SELECT number FROM numbers(1000001) FORMAT Null", Err(TOO_MANY_ROWS_OR_BYTES)),
        ("SELECT length(range(materialize(toUInt64(400000000))))", Err(MEMORY_LIMIT_EXCEEDED)),
    ] {
        assert_eq!(blue.ask(sql).await, wanted, "{sql}");
    }
    for setting in [
        "readonly = 2",
        "max_memory_usage = 0",
        "use_skip_indexes = 1",
        "use_query_condition_cache = 1",
        "max_threads = 63",
    ] {
        let got = blue.ask(&format!("SELECT 1 SETTINGS {setting}")).await;
        assert!(matches!(got, Err(READONLY | SETTING_CONSTRAINT_VIOLATION)), "{setting}: {got:?}");
    }
    // the engine gives up at the end of the time, or as soon as it foresees it
    let slow = blue.ask("SELECT sleepEachRow(1) FROM numbers(9) SETTINGS max_execution_time = 1").await;
    assert!(matches!(slow, Err(TIMEOUT_EXCEEDED | TOO_SLOW)), "{slow:?}");
    let busy = Login::analyst(shared(), BUSY);
    let asleep: Vec<_> = (0..10)
        .map(|_| {
            let busy = busy.clone();
            tokio::spawn(async move { busy.ask("SELECT sleep(2)").await })
        })
        .collect();
    let mut answers = Vec::new();
    for query in asleep {
        answers.push(query.await.unwrap());
    }
    assert!(answers.contains(&Err(TOO_MANY_SIMULTANEOUS_QUERIES)), "ten at once: {answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn services_see_every_row_and_nobody_comes_in_without_a_password() {
    filled().await;
    for (user, secret) in [
        ("sealtrail", "clickhouse-owner"),
        ("sealtrail_processor", "clickhouse-processor"),
        ("sealtrail_query_api", "clickhouse-query-api"),
    ] {
        let login = Login::of(shared(), user, secret);
        let count = |table| format!("SELECT count() FROM {table} WHERE tenant_id IN ('{BLUE}', '{RED}')");
        assert_eq!(login.ask(&count("events")).await.as_deref(), Ok("6"), "{user}");
        assert_eq!(login.ask(&count("duplicates")).await.as_deref(), Ok("2"), "{user}");
    }
    let nobody = Login { user: "default".to_owned(), password: String::new(), ..owner() };
    assert_eq!(nobody.ask("SELECT 1").await, Err(USER_SESSION_LIMIT_EXCEEDED));
}

/// A table function that comes with another version of the engine is either closed or known to be harmless.
#[tokio::test(flavor = "multi_thread")]
async fn every_table_function_for_readers_was_thought_of() {
    const HARMLESS: &[&str] = &[
        "SQLStandardValues",
        "fuzzJSON",
        "fuzzQuery",
        "generateRandom",
        "generateSeries",
        "generate_series",
        "input",
        "merge",
        "null",
        "numbers",
        "numbers_mt",
        "primes",
        "values",
        "view",
        "viewIfPermitted",
    ];
    let names = owner().ask("SELECT name FROM system.table_functions WHERE allow_readonly").await.unwrap();
    let known: BTreeSet<_> = HARMLESS.iter().chain(CLOSED_FUNCTIONS).copied().collect();
    assert_eq!(names.lines().collect::<BTreeSet<_>>(), known);
}
