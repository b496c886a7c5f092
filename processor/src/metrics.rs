//! The processor's metrics: a closed list. Labels are partitions, tables and reasons of closed lists, never a tenant's
//! text.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clickhouse_io::read_back::Account;
use pipeline_core::verdict::{DeadLetterReason, Verdict};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};
use service_kit::metrics::{BATCH_SIZES, Label, Metric, Metrics, SECONDS};

use crate::pipeline::JudgedBatch;
use crate::progress::{self, Progress};
use crate::sink;
use crate::stages::enrich::{EnrichMetrics, GEOIP_FILES, PARTS, RESULTS};

const REASONS: [&str; DeadLetterReason::ALL.len()] = {
    let mut names = [""; DeadLetterReason::ALL.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = DeadLetterReason::ALL[at].as_str();
        at += 1;
    }
    names
};
const PARTITION: &[Label] = &[Label::from("partition", "the partitions that are assigned to this process")];
const GEOIP_FILE: &[Label] = &[Label::from("file", "`city` and `asn`, those that are loaded")];
/// Buckets for the look-ups of a batch: most texts were seen before in it.
const ENRICH_SECONDS: &[f64] = &[0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0];
/// Buckets for times that an outage makes long, in seconds.
const DELAYS: &[f64] =
    &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

/// All of them, beside those of every service.
pub const LIST: &[Metric] = &[
    Metric::counter(
        "sealtrail_processor_records_total",
        "records",
        "Records of closed batches, by the table that they went to.",
    )
    .labels(&[Label::of("table", &["events", "duplicates", "dead_letters"])]),
    Metric::counter(
        "sealtrail_processor_dead_letters_total",
        "records",
        "Dead letters of closed batches, by reason.",
    )
    .labels(&[Label::of("reason", &REASONS)]),
    Metric::counter(
        "sealtrail_processor_gaps_total",
        "offsets",
        "Offsets of closed batches that hold no record, such as transaction markers.",
    ),
    Metric::counter(
        "sealtrail_processor_batches_total",
        "batches",
        "Closed batches; each is counted when Kafka has taken the commit that goes beyond it, as are its records.",
    ),
    Metric::histogram(
        "sealtrail_processor_batch_records",
        "records",
        BATCH_SIZES,
        "Records of a closed batch.",
    ),
    Metric::histogram(
        "sealtrail_processor_batch_seconds",
        "seconds",
        SECONDS,
        "From a batch's announcement to its close.",
    ),
    Metric::histogram(
        "sealtrail_processor_delay_seconds",
        "seconds",
        DELAYS,
        "From the time at which Kafka took a batch's oldest record to the batch's close, when its rows can be read.",
    ),
    Metric::histogram(
        "sealtrail_processor_insert_seconds",
        "seconds",
        SECONDS,
        "From the sending of a block to ClickHouse's answer, by table; failed inserts included.",
    )
    .labels(&[Label::of("table", &["events", "duplicates", "dead_letters", "event_batches"])]),
    Metric::counter(
        "sealtrail_processor_unsure_inserts_total",
        "batches",
        "Batches whose inserts were not all answered with success at the first send.",
    ),
    Metric::counter(
        "sealtrail_processor_read_backs_total",
        "times",
        "Times that a range was read back from ClickHouse.",
    ),
    Metric::counter(
        "sealtrail_processor_second_attempts_total",
        "times",
        "Times that rows were found missing and inserted again.",
    ),
    Metric::counter(
        "sealtrail_processor_retries_total",
        "calls",
        "Calls to ClickHouse that failed and were tried again.",
    ),
    Metric::counter(
        "sealtrail_processor_registry_retries_total",
        "calls",
        "Schemas that could not be fetched, so that the partition waits and tries again.",
    ),
    Metric::counter(
        "sealtrail_processor_dead_letter_retries_total",
        "records",
        "Dead letters whose topic did not confirm them, so that they are sent again.",
    ),
    Metric::counter(
        "sealtrail_processor_commit_failures_total",
        "commits",
        "Commits that failed or were not answered; each ends all assignments of the process.",
    ),
    Metric::counter(
        "sealtrail_processor_commits_put_off_total",
        "times",
        "Times that a commit was refused because the group was being shared out; it is sent again.",
    ),
    Metric::counter(
        "sealtrail_processor_consumer_restarts_total",
        "consumers",
        "Consumers that were thrown away, after a commit without answer, a lost assignment or a stall.",
    ),
    Metric::counter(
        "sealtrail_processor_stalls_total",
        "stalls",
        "Times that a partition or its worker stood still, or nobody had it, for group.stall_timeout_ms, so that the consumer was thrown away.",
    ),
    Metric::counter(
        "sealtrail_processor_assignment_changes_total",
        "changes",
        "Times that partitions came or went.",
    ),
    Metric::counter(
        "sealtrail_processor_enriched_records_total",
        "records",
        "Records of the table events, by what the look-ups of their user agent and address gave.",
    )
    .labels(&[Label::of("part", &PARTS), Label::of("result", &RESULTS)]),
    Metric::histogram(
        "sealtrail_processor_enrich_seconds",
        "seconds",
        ENRICH_SECONDS,
        "Time that the look-ups of a batch took; enrich.budget_ms bounds it.",
    ),
    Metric::counter(
        "sealtrail_processor_geoip_loads_total",
        "times",
        "Times that a GeoIP file was loaded because it had changed, or could not be.",
    )
    .labels(&[Label::of("file", &GEOIP_FILES), Label::of("result", &["loaded", "failed"])]),
    Metric::gauge(
        "sealtrail_processor_geoip_built_timestamp_seconds",
        "seconds since 1970",
        "When the loaded GeoIP file was built, as it says itself.",
    )
    .labels(GEOIP_FILE),
    Metric::gauge(
        "sealtrail_processor_assigned_partitions",
        "partitions",
        "Partitions assigned to this process.",
    ),
    Metric::gauge(
        "sealtrail_processor_prefetched_bytes",
        "bytes",
        "Records that were fetched and not polled yet; group.prefetch_kib bounds them.",
    ),
    Metric::gauge(
        "sealtrail_processor_in_flight_records",
        "records",
        "Records of the partition between the poll and the close of their batch.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_in_flight_bytes",
        "bytes",
        "The same in bytes.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_in_flight_max_bytes",
        "bytes",
        "The most that sealtrail_processor_in_flight_bytes can be: batch.max_batch_bytes and what waits before it.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_open_batch_seconds",
        "seconds",
        "Since when the batch in work is on its way from its announcement to its close; 0 if there is none.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_lag_records",
        "records",
        "Records between the committed offset and the end of the partition.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_lag_seconds",
        "seconds",
        "Age of the oldest record that is not in a closed batch; 0 if there is none.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_dedupe_window_records",
        "records",
        "Records that the dedupe window of the partition remembers.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_dedupe_window_bytes",
        "bytes",
        "Memory that is allocated for the dedupe window of the partition.",
    )
    .labels(PARTITION),
    Metric::counter(
        "sealtrail_processor_dedupe_look_ups_total",
        "rows",
        "Rows of earlier records that were looked up in ClickHouse to judge a record that may repeat them.",
    ),
    Metric::counter(
        "sealtrail_processor_dedupe_collisions_total",
        "records",
        "Earlier records that had a record's fingerprint and another id, as the look-up found.",
    ),
    Metric::gauge(
        "sealtrail_processor_partition_paused",
        "0 or 1",
        "Whether the partition is not fetched because its worker is behind.",
    )
    .labels(PARTITION),
    Metric::gauge(
        "sealtrail_processor_partition_stopped",
        "0 or 1",
        "Whether the partition stopped for a fault that no retry mends; /readyz says which.",
    )
    .labels(PARTITION),
];

#[derive(Clone)]
pub struct ProcessorMetrics {
    pub records: IntCounterVec,
    pub dead_letters: IntCounterVec,
    pub gaps: IntCounter,
    pub batches: IntCounter,
    pub batch_records: Histogram,
    pub batch_seconds: Histogram,
    pub delay_seconds: Histogram,
    pub insert_seconds: HistogramVec,
    pub unsure_inserts: IntCounter,
    pub dedupe_look_ups: IntCounter,
    pub dedupe_collisions: IntCounter,
    pub read_backs: IntCounter,
    pub second_attempts: IntCounter,
    pub retries: IntCounter,
    pub registry_retries: IntCounter,
    pub dead_letter_retries: IntCounter,
    pub commit_failures: IntCounter,
    pub commits_put_off: IntCounter,
    pub consumer_restarts: IntCounter,
    pub assignment_changes: IntCounter,
    pub assigned_partitions: IntGauge,
    pub stalls: IntCounter,
    pub prefetched_bytes: IntGauge,
    pub enrich: EnrichMetrics,
    pub progress: Progress,
}

impl ProcessorMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            records: metrics.counters("sealtrail_processor_records_total"),
            dead_letters: metrics.counters("sealtrail_processor_dead_letters_total"),
            gaps: metrics.counter("sealtrail_processor_gaps_total"),
            batches: metrics.counter("sealtrail_processor_batches_total"),
            batch_records: metrics.histogram("sealtrail_processor_batch_records"),
            batch_seconds: metrics.histogram("sealtrail_processor_batch_seconds"),
            delay_seconds: metrics.histogram("sealtrail_processor_delay_seconds"),
            insert_seconds: metrics.histograms("sealtrail_processor_insert_seconds"),
            unsure_inserts: metrics.counter("sealtrail_processor_unsure_inserts_total"),
            dedupe_look_ups: metrics.counter("sealtrail_processor_dedupe_look_ups_total"),
            dedupe_collisions: metrics.counter("sealtrail_processor_dedupe_collisions_total"),
            read_backs: metrics.counter("sealtrail_processor_read_backs_total"),
            second_attempts: metrics.counter("sealtrail_processor_second_attempts_total"),
            retries: metrics.counter("sealtrail_processor_retries_total"),
            registry_retries: metrics.counter("sealtrail_processor_registry_retries_total"),
            dead_letter_retries: metrics.counter("sealtrail_processor_dead_letter_retries_total"),
            commit_failures: metrics.counter("sealtrail_processor_commit_failures_total"),
            commits_put_off: metrics.counter("sealtrail_processor_commits_put_off_total"),
            consumer_restarts: metrics.counter("sealtrail_processor_consumer_restarts_total"),
            assignment_changes: metrics.counter("sealtrail_processor_assignment_changes_total"),
            assigned_partitions: metrics.gauge("sealtrail_processor_assigned_partitions"),
            stalls: metrics.counter("sealtrail_processor_stalls_total"),
            prefetched_bytes: metrics.gauge("sealtrail_processor_prefetched_bytes"),
            enrich: EnrichMetrics::new(metrics),
            progress: Progress::shown_by(metrics),
        }
    }

    fn count(&self, closed: &Closed) {
        self.batches.inc();
        self.batch_records.observe(closed.records as f64);
        self.delay_seconds.observe(closed.delay_seconds);
        self.records.with_label_values(&["events"]).inc_by(closed.account.rows);
        self.records.with_label_values(&["duplicates"]).inc_by(closed.account.duplicates);
        self.records.with_label_values(&["dead_letters"]).inc_by(closed.account.dead_letters);
        self.gaps.inc_by(closed.gaps);
        for reason in &closed.reasons {
            self.dead_letters.with_label_values(&[reason.as_str()]).inc();
        }
    }
}

/// What is counted of a batch whose rows are all there.
struct Closed {
    account: Account,
    records: usize,
    delay_seconds: f64,
    gaps: u64,
    reasons: Vec<DeadLetterReason>,
}

impl Closed {
    fn of(batch: &JudgedBatch) -> Self {
        let reason = |(_, verdict): &(_, Verdict<_>)| match verdict {
            Verdict::DeadLetter(rejection) => Some(rejection.reason),
            Verdict::Event(_) | Verdict::Duplicate { .. } => None,
        };
        Self {
            account: sink::account(batch),
            records: batch.records.len(),
            delay_seconds: progress::seconds_between(batch.range.least_received_at, progress::now()),
            gaps: batch.range.gaps(),
            reasons: batch.records.iter().filter_map(reason).collect(),
        }
    }
}

/// A partition's last batch, which is counted when Kafka has taken the commit that goes beyond it: where it has not,
/// the next owner takes the batch up again, and counts it.
#[derive(Clone, Default)]
pub struct Uncounted(Arc<Mutex<Option<Closed>>>);

impl Uncounted {
    fn closed(&self) -> MutexGuard<'_, Option<Closed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn closes(&self, batch: &JudgedBatch) {
        *self.closed() = Some(Closed::of(batch));
    }

    pub fn is_committed(&self, metrics: &ProcessorMetrics) {
        if let Some(closed) = self.closed().take() {
            metrics.count(&closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_of_the_list_is_made() {
        let metrics = Metrics::of("test", "1.0.0", LIST);
        let made = ProcessorMetrics::new(&metrics);
        made.progress.begin(audit_event::PartitionId(3));
        made.progress.watch(audit_event::PartitionId(3), kafka_io::group::Vitals::default());
        made.progress.bounded_by(&metrics, 1);
        made.enrich.geoip_built.with_label_values(&["city"]).set(1);
        let text = metrics.render();
        for metric in LIST {
            assert!(text.contains(&format!("# TYPE {} ", metric.name)), "{} in {text}", metric.name);
        }
    }
}
