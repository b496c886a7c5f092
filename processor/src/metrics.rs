//! The processor's metrics: a closed list. Labels are partitions, tables and reasons of closed lists, never a tenant's
//! text.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use service_kit::metrics::Metrics;

#[derive(Clone)]
pub struct ProcessorMetrics {
    pub records: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub gaps: IntCounter,
    pub batches: IntCounter,
    pub batch_seconds: Histogram,
    pub unsure_inserts: IntCounter,
    pub read_backs: IntCounter,
    pub second_attempts: IntCounter,
    pub retries: IntCounter,
    pub lag_records: IntGaugeVec,
    pub window_records: IntGaugeVec,
    pub assigned_partitions: IntGauge,
    pub stopped_partitions: IntGauge,
}

impl ProcessorMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            records: metrics.counters(
                "sealtrail_processor_records_total",
                "Records of closed batches, by the table that they went to.",
                &["table"],
            ),
            dead_letters: metrics.counters(
                "sealtrail_processor_dead_letters_total",
                "Dead letters of closed batches, by reason.",
                &["reason"],
            ),
            gaps: metrics.counter(
                "sealtrail_processor_gaps_total",
                "Offsets of closed batches that hold no record, such as transaction markers.",
            ),
            batches: metrics.counter("sealtrail_processor_batches_total", "Closed batches."),
            batch_seconds: metrics.seconds(
                "sealtrail_processor_batch_seconds",
                "From a batch's announcement to its close, in seconds.",
            ),
            unsure_inserts: metrics.counter(
                "sealtrail_processor_unsure_inserts_total",
                "Batches whose inserts were not all answered with success at the first send.",
            ),
            read_backs: metrics.counter(
                "sealtrail_processor_read_backs_total",
                "Times that a range was read back from ClickHouse.",
            ),
            second_attempts: metrics.counter(
                "sealtrail_processor_second_attempts_total",
                "Times that rows were found missing and inserted again.",
            ),
            retries: metrics.counter(
                "sealtrail_processor_retries_total",
                "Calls to ClickHouse that failed and were tried again.",
            ),
            lag_records: metrics.gauges(
                "sealtrail_processor_lag_records",
                "Records between the committed offset and the end of the partition.",
                &["partition"],
            ),
            window_records: metrics.gauges(
                "sealtrail_processor_dedupe_window_records",
                "Records that the dedupe window of the partition remembers.",
                &["partition"],
            ),
            assigned_partitions: metrics
                .gauge("sealtrail_processor_assigned_partitions", "Partitions assigned to this process."),
            stopped_partitions: metrics.gauge(
                "sealtrail_processor_stopped_partitions",
                "Partitions that stopped for a fault that no retry mends.",
            ),
        }
    }
}
