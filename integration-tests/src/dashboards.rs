//! The Grafana dashboards of `deploy/`, their queries, and what Grafana makes of its macros before it sends them.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::workspace;

/// The dashboards by their files' names.
pub const DASHBOARDS: [&str; 3] = ["pipeline", "tenants", "clickhouse"];

#[derive(Debug, Clone)]
pub enum Query {
    PromQl(String),
    Sql(String),
}

/// One query of a panel.
#[derive(Debug, Clone)]
pub struct PanelQuery {
    pub dashboard: &'static str,
    pub panel: String,
    pub query: Query,
}

/// All of a dashboard's JSON.
pub fn read(dashboard: &str) -> Value {
    let file = workspace().join(format!("deploy/grafana/dashboards/{dashboard}.json"));
    serde_json::from_str(&fs::read_to_string(&file).expect("a dashboard")).expect("JSON")
}

/// Every query of every panel, and of every variable.
pub fn queries() -> Vec<PanelQuery> {
    DASHBOARDS.into_iter().flat_map(of_dashboard).collect()
}

fn of_dashboard(dashboard: &'static str) -> Vec<PanelQuery> {
    let json = read(dashboard);
    let panels = json["panels"].as_array().expect("panels").iter();
    let of_panels = panels.filter(|panel| panel["type"] != "row").flat_map(move |panel| {
        let targets = panel["targets"].as_array().expect("a panel has queries").clone();
        let title = panel["title"].as_str().expect("a title").to_owned();
        targets.into_iter().map(move |target| PanelQuery {
            dashboard,
            panel: title.clone(),
            query: query(&target),
        })
    });
    let variables = json["templating"]["list"].as_array().expect("a list").clone();
    let of_variables = variables.into_iter().map(move |variable| PanelQuery {
        dashboard,
        panel: format!("variable {}", variable["name"]),
        query: Query::Sql(variable["query"].as_str().expect("a query").to_owned()),
    });
    of_panels.chain(of_variables).collect()
}

fn query(target: &Value) -> Query {
    match (target["expr"].as_str(), target["rawSql"].as_str()) {
        (Some(expression), None) => Query::PromQl(expression.to_owned()),
        (None, Some(sql)) => Query::Sql(sql.to_owned()),
        _ => panic!("neither PromQL nor SQL: {target}"),
    }
}

/// As Grafana with a scrape interval of five seconds does.
pub fn expand_promql(expression: &str) -> String {
    let expanded = expression.replace("$__rate_interval", "20s").replace("$__interval", "15s");
    assert!(!expanded.contains('$'), "an unknown macro: {expanded}");
    expanded
}

/// As Grafana's data source for ClickHouse does, over the last hour and with these tenants chosen.
pub fn expand_sql(sql: &str, now_s: i64, tenants: &[&str]) -> String {
    let tenants: Vec<_> = tenants.iter().map(|tenant| format!("'{tenant}'")).collect();
    let expanded = sql.replace("${tenant:singlequote}", &tenants.join(","));
    let expanded = expand_call(&expanded, "$__timeFilter", |column| {
        format!("{column} >= toDateTime({}) AND {column} <= toDateTime({now_s})", now_s - 3_600)
    });
    let expanded = expand_call(&expanded, "$__timeInterval", |column| {
        format!("toStartOfInterval(toDateTime({column}), INTERVAL 15 second)")
    });
    assert!(!expanded.contains('$'), "an unknown macro: {expanded}");
    expanded
}

fn expand_call(text: &str, name: &str, replacement: impl Fn(&str) -> String) -> String {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(&format!("{name}(")) {
        let (argument, tail) = after.split_once(')').expect("a closed call");
        expanded.push_str(before);
        expanded.push_str(&replacement(argument));
        rest = tail;
    }
    expanded + rest
}

/// Names of our own metrics, and of the processes', that a text names; without the endings of histograms.
pub fn metric_names(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    // a job's name has a hyphen behind it
    let names = words.filter(|word| word.starts_with("sealtrail_") || word.starts_with("process_"));
    let base = |name: &str| {
        let ending = ["_bucket", "_count", "_sum"].iter().find_map(|ending| name.strip_suffix(ending));
        ending.unwrap_or(name).to_owned()
    };
    names.map(base).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macros_become_what_grafana_makes_of_them() {
        assert_eq!(expand_promql("rate(a[$__rate_interval])"), "rate(a[20s])");
        let sql = "SELECT $__timeInterval(t) FROM e WHERE $__timeFilter(t) AND x IN (${tenant:singlequote})";
        assert_eq!(
            expand_sql(sql, 10_000, &["a", "b"]),
            "SELECT toStartOfInterval(toDateTime(t), INTERVAL 15 second) FROM e \
             WHERE t >= toDateTime(6400) AND t <= toDateTime(10000) AND x IN ('a','b')"
        );
    }

    #[test]
    fn names_lose_what_a_histogram_adds() {
        let names =
            metric_names("sum(rate(sealtrail_a_seconds_bucket{job=\"sealtrail-x\"}[1m])) / process_max_fds");
        assert_eq!(names.into_iter().collect::<Vec<_>>(), ["process_max_fds", "sealtrail_a_seconds"]);
    }
}
