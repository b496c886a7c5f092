//! How far each assigned partition has come, as its gauges show it. A partition that goes away takes its gauges with
//! it: two processes must not both claim to know its lag.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use audit_event::{PartitionId, RecordTime};
use kafka_io::group::{InFlight, Vitals};
use pipeline_core::dedupe::Window;
use service_kit::metrics::Metrics;

#[derive(Debug, Clone, Default)]
pub struct Progress {
    partitions: Arc<Mutex<BTreeMap<PartitionId, Standing>>>,
    vitals: Arc<Mutex<BTreeMap<PartitionId, Vitals>>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    lag_records: i64,
    /// When the lag began, by our clock.
    behind_since: Option<RecordTime>,
    /// The oldest record of the batch in work.
    oldest_open: Option<RecordTime>,
    /// Since when that batch is in work.
    opened: Option<Instant>,
    /// The newest record of the last closed batch.
    newest_closed: Option<RecordTime>,
    window_records: usize,
    window_bytes: usize,
    is_paused: bool,
    is_stopped: bool,
}

impl Progress {
    /// Shows what it is told from now on.
    pub fn shown_by(metrics: &Metrics) -> Self {
        let progress = Self::default();
        let show = |name, value: fn(&Standing) -> f64| {
            let progress = progress.clone();
            metrics.sampled_series(name, move |gauges| {
                for (partition, standing) in progress.all().iter() {
                    gauges.with_label_values(&[partition.to_string()]).set(value(standing));
                }
            });
        };
        show("sealtrail_processor_lag_records", |standing| standing.lag_records as f64);
        show("sealtrail_processor_lag_seconds", |standing| standing.lag_seconds(now()));
        show("sealtrail_processor_dedupe_window_records", |standing| standing.window_records as f64);
        show("sealtrail_processor_dedupe_window_bytes", |standing| standing.window_bytes as f64);
        show("sealtrail_processor_open_batch_seconds", |standing| {
            standing.opened.map_or(0.0, |opened| opened.elapsed().as_secs_f64())
        });
        show("sealtrail_processor_partition_paused", |standing| f64::from(u8::from(standing.is_paused)));
        show("sealtrail_processor_partition_stopped", |standing| f64::from(u8::from(standing.is_stopped)));
        let held = |name, value: fn(InFlight) -> u64| {
            let progress = progress.clone();
            metrics.sampled_series(name, move |gauges| {
                for (partition, vitals) in progress.all_vitals().iter() {
                    gauges.with_label_values(&[partition.to_string()]).set(value(vitals.in_flight()) as f64);
                }
            });
        };
        held("sealtrail_processor_in_flight_records", |in_flight| in_flight.records);
        held("sealtrail_processor_in_flight_bytes", |in_flight| in_flight.bytes);
        progress
    }

    /// Shows the bound beside what it bounds.
    pub fn bounded_by(&self, metrics: &Metrics, max_in_flight_bytes: usize) {
        let progress = self.clone();
        metrics.sampled_series("sealtrail_processor_in_flight_max_bytes", move |gauges| {
            for partition in progress.all_vitals().keys() {
                gauges.with_label_values(&[partition.to_string()]).set(max_in_flight_bytes as f64);
            }
        });
    }

    fn all_vitals(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Vitals>> {
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The partition's worker tells by these how much it holds.
    pub fn watch(&self, partition: PartitionId, vitals: Vitals) {
        self.all_vitals().insert(partition, vitals);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Standing>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A partition has come.
    pub fn begin(&self, partition: PartitionId) {
        self.all().insert(partition, Standing::default());
    }

    /// All others have gone.
    pub fn keep(&self, partitions: &[PartitionId]) {
        self.all().retain(|partition, _| partitions.contains(partition));
        self.all_vitals().retain(|partition, _| partitions.contains(partition));
    }

    fn change(&self, partition: PartitionId, change: impl FnOnce(&mut Standing)) {
        // what is still told of a partition that has gone is nobody's any more
        if let Some(standing) = self.all().get_mut(&partition) {
            change(standing);
        }
    }

    pub fn lag(&self, partition: PartitionId, records: i64) {
        self.change(partition, |standing| {
            standing.lag_records = records;
            standing.behind_since = (records > 0).then(|| standing.behind_since.unwrap_or_else(now));
        });
    }

    pub fn batch_opened(&self, partition: PartitionId, oldest: RecordTime) {
        self.change(partition, |standing| {
            (standing.oldest_open, standing.opened) = (Some(oldest), Some(Instant::now()));
        });
    }

    pub fn batch_closed(&self, partition: PartitionId, newest: RecordTime) {
        self.change(partition, |standing| {
            (standing.oldest_open, standing.opened) = (None, None);
            standing.newest_closed = Some(newest);
        });
    }

    pub fn window(&self, partition: PartitionId, window: &Window) {
        self.change(partition, |standing| {
            standing.window_records = window.len();
            standing.window_bytes = window.bytes();
        });
    }

    pub fn paused(&self, partition: PartitionId, is_paused: bool) {
        self.change(partition, |standing| standing.is_paused = is_paused);
    }

    pub fn stopped(&self, partition: PartitionId) {
        self.change(partition, |standing| standing.is_stopped = true);
        // its worker ended, and what it held went with it
        self.all_vitals().remove(&partition);
    }
}

impl Standing {
    /// With a batch in work its oldest record tells. Between batches the next record is younger than the last closed
    /// one, and not much older than the lag.
    fn lag_seconds(&self, now: RecordTime) -> f64 {
        let between = self.behind_since.max(self.newest_closed).filter(|_| self.lag_records > 0);
        self.oldest_open.or(between).map_or(0.0, |since| seconds_between(since, now))
    }
}

pub fn now() -> RecordTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    RecordTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// 0 where another machine's clock is ahead.
pub fn seconds_between(from: RecordTime, to: RecordTime) -> f64 {
    (to.0 - from.0).max(0) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: RecordTime = RecordTime(100_000);

    #[test]
    fn lag_in_seconds_is_the_age_of_the_oldest_record_that_is_not_closed() {
        let caught_up = Standing { newest_closed: Some(RecordTime(1_000)), ..Standing::default() };
        assert_eq!(caught_up.lag_seconds(NOW), 0.0, "an idle partition has no lag");
        let in_work = Standing { oldest_open: Some(RecordTime(40_000)), ..caught_up };
        assert_eq!(in_work.lag_seconds(NOW), 60.0);
        let stuck = Standing { lag_records: 5, behind_since: Some(RecordTime(90_000)), ..caught_up };
        assert_eq!(stuck.lag_seconds(NOW), 10.0, "without a batch in work the lag itself is old");
        let between = Standing { newest_closed: Some(RecordTime(98_000)), ..stuck };
        assert_eq!(between.lag_seconds(NOW), 2.0);
    }

    #[test]
    fn a_partition_that_goes_takes_its_gauges_with_it() {
        let metrics = Metrics::of("test", "1.0.0", crate::metrics::LIST);
        let progress = Progress::shown_by(&metrics);
        for partition in [0, 1] {
            progress.begin(PartitionId(partition));
            progress.lag(PartitionId(partition), 7);
        }
        progress.stopped(PartitionId(1));
        let lag = |partition| format!("sealtrail_processor_lag_records{{partition=\"{partition}\"}} 7");
        assert!(metrics.render().contains(&lag(0)) && metrics.render().contains(&lag(1)));
        assert!(metrics.render().contains("sealtrail_processor_partition_stopped{partition=\"1\"} 1"));
        progress.keep(&[PartitionId(0)]);
        progress.lag(PartitionId(1), 7);
        let text = metrics.render();
        assert!(text.contains(&lag(0)) && !text.contains(&lag(1)), "{text}");
    }
}
