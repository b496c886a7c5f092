//! The dashboards: every query of every panel is run on what it is meant for, and what should show something does.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::dashboards::{self, PanelQuery, Query, expand_promql, expand_sql, metric_names};
use integration_tests::prometheus::Prometheus;
use integration_tests::stack::shared;
use integration_tests::tenant::{Tenant, answer, event};
use integration_tests::{kafka, program, workspace};
use serde_json::{Value, json};

const PORT: u16 = 9_090 + 21_000;
const SERVICES: [&str; 4] =
    ["sealtrail-gateway", "sealtrail-processor", "sealtrail-query-api", "sealtrail-sealer"];
/// Panels that show nothing while all is well, or while nobody asks in the moment.
const MAY_BE_EMPTY: [&str; 1] = ["Running now"];

/// Shown where a GeoIP file is loaded; the shared stack has none (see `enrich.rs`).
const NEEDS_A_GEOIP_FILE: &[&str] = &["sealtrail_processor_geoip_built_timestamp_seconds"];

/// Metrics of the printed lists: names, and whether they are there from the start.
fn listed() -> Vec<(String, bool)> {
    let mut listed = Vec::new();
    for service in SERVICES {
        let printed = Command::new(program(service)).arg("--metrics").output().unwrap();
        let text = String::from_utf8(printed.stdout).unwrap();
        for row in text.lines().filter(|line| line.starts_with("| `")) {
            let name = row.split('`').nth(1).unwrap().to_owned();
            listed.push((name, row.ends_with("| from the start |")));
        }
    }
    assert!(listed.len() > 60, "{listed:?}");
    listed
}

/// Something of everything: events of two outcomes, a repeat, dead letters, questions, a refusal.
async fn make_traffic(tenant: &Tenant<'_>) {
    for round in 0..3 {
        let mut denied = event(round * 10 + 9);
        denied["outcome"] = json!("denied");
        denied["severity"] = json!("warning");
        tenant.send(&[event(round * 10), event(round * 10), denied]).await;
        let key = format!("{}|not-avro", tenant.id);
        kafka::produce(tenant.stack, Some(key.as_bytes()), Some(b"not avro")).await;
        let refused = reqwest::Client::new()
            .post(format!("{}/v1/events", tenant.stack.var("SEALTRAIL_GATEWAY_URL")))
            .bearer_auth("stk_nobody_nothing");
        assert_eq!(answer(refused).await.0, 401);
        assert_eq!(answer(tenant.query("/v1/events?limit=5")).await.0, 200);
        assert_eq!(answer(tenant.query("/v1/stats?group_by=outcome")).await.0, 200);
        tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    }
}

async fn run(query: &PanelQuery, prometheus: &Prometheus, tenant: &Tenant<'_>) -> Result<usize, String> {
    match &query.query {
        Query::PromQl(expression) => Ok(prometheus.query(&expand_promql(expression)).await?.len()),
        Query::Sql(sql) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let sql = expand_sql(sql, i64::try_from(now).unwrap(), &[&tenant.id]);
            let client = reqwest::Client::new();
            let url = tenant.stack.var("SEALTRAIL_CLICKHOUSE_URL");
            let sent = client.post(format!("{url}&readonly=2")).body(format!("{sql} FORMAT JSONCompact"));
            let answered = sent.send().await.map_err(|error| error.to_string())?;
            let text = answered.text().await.map_err(|error| error.to_string())?;
            let json: Value = serde_json::from_str(&text).map_err(|_| text)?;
            Ok(json["data"].as_array().map_or(0, Vec::len))
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_every_dashboard_runs_and_shows_something() {
    let stack = shared();
    let tenant = Tenant::create(stack, "dashboards", "admin").await;
    let prometheus = Prometheus::watch(stack, PORT).await;
    make_traffic(&tenant).await;
    let mut faults = Vec::new();
    for query in dashboards::queries() {
        let rows = run(&query, &prometheus, &tenant).await;
        let may_be_empty = MAY_BE_EMPTY.contains(&query.panel.as_str());
        match rows {
            Ok(rows) if rows > 0 || may_be_empty => {}
            Ok(_) => {
                faults.push(format!("{} / {}: nothing: {:?}", query.dashboard, query.panel, query.query))
            }
            Err(error) => faults.push(format!("{} / {}: {error}", query.dashboard, query.panel)),
        }
    }
    assert!(faults.is_empty(), "{} queries:\n{}", faults.len(), faults.join("\n"));
    pages_are_served(&prometheus).await;
    every_listed_metric_is_there(&prometheus).await;
}

/// What a browser loads for the page of `make dashboards`.
async fn pages_are_served(prometheus: &Prometheus) {
    for path in [
        "/user/viewer/",
        "/user/viewer/viewer.js",
        "/user/viewer/viewer.css",
        "/user/viewer/query.js",
        "/user/viewer/chart.js",
        "/user/dashboards/pipeline.json",
        "/user/dashboards/tenants.json",
        "/user/dashboards/clickhouse.json",
        "/classic/static/d3/d3.min.js",
        "/classic/alerts",
        "/classic/graph",
    ] {
        let (status, text) = prometheus.get(path).await;
        assert!(status.is_success() && text.len() > 100, "{path}: {status}");
    }
}

async fn every_listed_metric_is_there(prometheus: &Prometheus) {
    let mut missing = Vec::new();
    for (name, from_the_start) in listed() {
        let found = prometheus.query(&format!("{{__name__=~\"{name}(_bucket)?\"}}")).await.unwrap();
        // what comes with a label's first value has come too: this test made it
        if found.is_empty() && !NEEDS_A_GEOIP_FILE.contains(&name.as_str()) {
            missing.push((name, from_the_start));
        }
    }
    assert!(missing.is_empty(), "listed, and not shown: {missing:?}");
    let ours =
        prometheus.query("group by (__name__) ({__name__=~\"(sealtrail|process)_.+\"})").await.unwrap();
    let listed: BTreeSet<_> = listed().into_iter().map(|(name, _)| name).collect();
    for series in ours {
        let shown = metric_names(series["metric"]["__name__"].as_str().unwrap());
        assert!(shown.is_subset(&listed), "shown, and not in a list: {shown:?}");
    }
}

#[test]
fn dashboards_and_alerts_name_only_metrics_of_the_lists() {
    let listed: BTreeSet<_> = listed().into_iter().map(|(name, _)| name).collect();
    let mut texts = Vec::new();
    for query in dashboards::queries() {
        if let Query::PromQl(expression) = query.query {
            texts.push(expression);
        }
    }
    for directory in ["rules", "tests"] {
        for entry in fs::read_dir(workspace().join("deploy/prometheus").join(directory)).unwrap() {
            texts.push(fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let unknown: BTreeSet<_> =
        texts.iter().flat_map(|text| metric_names(text)).filter(|name| !listed.contains(name)).collect();
    assert!(unknown.is_empty(), "not in a list of metrics: {unknown:?}");
}

#[test]
fn dashboards_name_the_provisioned_data_sources_and_give_each_panel_its_sentence() {
    let file = workspace().join("deploy/grafana/provisioning/datasources/sealtrail.yml");
    let provisioned = fs::read_to_string(file).unwrap();
    for dashboard in dashboards::DASHBOARDS {
        let json = dashboards::read(dashboard);
        assert_eq!(json["uid"], format!("sealtrail-{dashboard}"));
        for panel in json["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row") {
            let uid = panel["datasource"]["uid"].as_str().unwrap();
            assert!(provisioned.contains(&format!("uid: {uid}\n")), "{dashboard}: {uid}");
            assert!(panel["description"].as_str().unwrap().ends_with(['.', '?']), "{dashboard}: {panel}");
        }
    }
}
