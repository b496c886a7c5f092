//! A service's metrics as Markdown, which is its part of docs/METRICS.md.

use super::{COMMON, Kind, Metric, Values};

pub(super) fn page(program: &str, list: &[Metric]) -> String {
    let own: String = list.iter().map(row).collect();
    let common: String = COMMON.iter().map(row).collect();
    format!(
        "## `{program}`\n\n{HEAD}{own}\nAs every service has them:\n\n{HEAD}{common}",
        HEAD = "| metric | kind | labels | unit | meaning | there |\n|---|---|---|---|---|---|\n"
    )
}

fn row(metric: &Metric) -> String {
    let labels: Vec<_> =
        metric.labels.iter().map(|label| format!("`{}`: {}", label.name, values(label.values))).collect();
    let labels = if labels.is_empty() { "none".to_owned() } else { labels.join("<br>") };
    let cells = [
        format!("`{}`", metric.name),
        kind(metric.kind),
        labels,
        metric.unit.to_owned(),
        metric.help.to_owned(),
        there(metric),
    ];
    format!("| {} |\n", cells.map(|cell| cell.replace('|', "\\|")).join(" | "))
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Counter => "counter".to_owned(),
        Kind::Gauge => "gauge".to_owned(),
        Kind::Histogram(buckets) => {
            let buckets: Vec<_> = buckets.iter().map(ToString::to_string).collect();
            format!("histogram up to {}", buckets.join(", "))
        }
    }
}

fn values(values: Values) -> String {
    match values {
        Values::Closed(values) => {
            values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ")
        }
        Values::From(source) => source.to_owned(),
    }
}

/// When the metric shows.
fn there(metric: &Metric) -> String {
    let open: Vec<_> = metric.open_labels().map(|name| format!("`{name}`")).collect();
    if open.is_empty() {
        "from the start".to_owned()
    } else {
        format!("with the first {}", open.join(" and "))
    }
}
