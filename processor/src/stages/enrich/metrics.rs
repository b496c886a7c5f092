//! What is counted about enrichment. The metrics are in the processor's list, `metrics.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus::{Histogram, IntCounterVec, IntGaugeVec};
use service_kit::metrics::Metrics;

use super::LookupFault;
use super::memo::Counts;

/// Labels, closed lists.
pub const USER_AGENT: &str = "user_agent";
pub const GEO: &str = "geo";
pub const PARTS: [&str; 2] = [USER_AGENT, GEO];
pub const RESULTS: [&str; 4] = ["found", "nothing", "failed", "over_budget"];
pub const GEOIP_FILES: [&str; 2] = ["city", "asn"];

/// A fault of look-ups has a line in the log this often at most; the counters have all.
const SAID_EVERY_S: u64 = 60;

#[derive(Clone)]
pub struct EnrichMetrics {
    pub records: IntCounterVec,
    pub seconds: Histogram,
    pub geoip_loads: IntCounterVec,
    pub geoip_built: IntGaugeVec,
    said: Arc<Said>,
}

/// When a fault was last said, in whole seconds from the start on; 0 is never.
struct Said {
    begun: Instant,
    at_s: AtomicU64,
}

impl EnrichMetrics {
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            records: metrics.counters("sealtrail_processor_enriched_records_total"),
            seconds: metrics.histogram("sealtrail_processor_enrich_seconds"),
            geoip_loads: metrics.counters("sealtrail_processor_geoip_loads_total"),
            geoip_built: metrics.gauges("sealtrail_processor_geoip_built_timestamp_seconds"),
            said: Arc::new(Said { begun: Instant::now(), at_s: AtomicU64::new(0) }),
        }
    }

    pub(super) fn count(&self, part: &str, counts: Counts) {
        for (result, count) in RESULTS.iter().zip(counts) {
            self.records.with_label_values(&[part, result]).inc_by(count);
        }
    }

    pub(super) fn say(&self, fault: &LookupFault) {
        let now_s = self.said.begun.elapsed().as_secs() + SAID_EVERY_S;
        let last_s = self.said.at_s.load(Ordering::Relaxed);
        let is_due = now_s >= last_s + SAID_EVERY_S;
        // of several partitions one says it
        if is_due
            && self.said.at_s.compare_exchange(last_s, now_s, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            tracing::warn!(%fault, "rows lack what could have been found out; they have the flag enrichment_incomplete");
        }
    }
}
