//! The sealer's metrics: a closed list.

use prometheus::{Histogram, IntCounter, IntGaugeVec};
use service_kit::metrics::{Label, Metric, Metrics};

const PARTITION: &[Label] = &[Label::from("partition", "the partitions of the trail")];
/// Buckets from accepted to sealed, in seconds: an outage makes it long.
const DELAYS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 60.0, 600.0, 86_400.0];

/// All of them, beside those of every service.
pub const LIST: &[Metric] = &[
    Metric::counter("sealtrail_sealer_records_total", "records", "Records that a signed checkpoint holds."),
    Metric::histogram(
        "sealtrail_sealer_delay_seconds",
        "seconds",
        DELAYS,
        "From the broker's time of a record to the checkpoint that holds it.",
    ),
    Metric::counter("sealtrail_sealer_checkpoints_total", "checkpoints", "Checkpoints that were signed."),
    Metric::counter(
        "sealtrail_sealer_unpublished_total",
        "checkpoints",
        "Checkpoints and heartbeats that are in the store, and that Kafka did not take for their topic.",
    ),
    Metric::gauge("sealtrail_sealer_tree_size", "leaves", "Leaves of the newest checkpoint.").labels(PARTITION),
    Metric::gauge(
        "sealtrail_sealer_stopped",
        "",
        "1 for a log that is not continued until a person has looked: what is to be sealed differs from what was.",
    )
    .labels(PARTITION),
];

#[derive(Clone)]
pub struct SealerMetrics {
    pub records: IntCounter,
    pub delay_seconds: Histogram,
    pub checkpoints: IntCounter,
    pub unpublished: IntCounter,
    pub tree_size: IntGaugeVec,
    pub stopped: IntGaugeVec,
}

impl SealerMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            records: metrics.counter("sealtrail_sealer_records_total"),
            delay_seconds: metrics.histogram("sealtrail_sealer_delay_seconds"),
            checkpoints: metrics.counter("sealtrail_sealer_checkpoints_total"),
            unpublished: metrics.counter("sealtrail_sealer_unpublished_total"),
            tree_size: metrics.gauges("sealtrail_sealer_tree_size"),
            stopped: metrics.gauges("sealtrail_sealer_stopped"),
        }
    }
}
