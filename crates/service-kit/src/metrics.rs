//! Metrics: a closed list for each service. What is not in the list cannot be made, and what is in it is described by
//! it: name, kind, labels, unit and a sentence, which are also the service's page in docs/METRICS.md.

mod common;
mod metric;
mod reference;
mod sampled;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

pub use common::{COMMON, Listener, ListenerMetrics};
pub use metric::{BATCH_SIZES, Kind, Label, Metric, SECONDS, Values};

use common::Common;
use sampled::Sampled;

/// The metrics of one service.
#[derive(Debug, Clone)]
pub struct Metrics {
    list: &'static [Metric],
    registry: Registry,
    common: Common,
}

impl Metrics {
    /// `list` holds what the service has of its own, beside what all services have.
    pub fn of(program: &'static str, version: &str, list: &'static [Metric]) -> Self {
        let registry = Registry::new();
        let common = Common::new(&registry, program, version);
        Self { list, registry, common }
    }

    /// What [`http::serve`](crate::http::serve) counts for one of the service's listeners.
    pub fn listener(&self, listener: Listener) -> ListenerMetrics {
        self.common.listener(listener)
    }

    /// Shows each part of the readiness.
    pub fn show_readiness(&self, readiness: &crate::Readiness) {
        let readiness = readiness.clone();
        let fill = move |gauges: &GaugeVec| {
            for (part, state) in readiness.parts() {
                let ready = f64::from(u8::from(state == crate::health::PartState::Ready));
                gauges.with_label_values(&[part]).set(ready);
            }
        };
        register(&self.registry, Sampled::new(&common::PART_READY, fill));
    }

    pub fn counter(&self, name: &str) -> IntCounter {
        let metric = self.listed(name, Kind::Counter);
        register(&self.registry, made(IntCounter::with_opts(opts(metric))))
    }

    pub fn counters(&self, name: &str) -> IntCounterVec {
        let metric = self.listed(name, Kind::Counter);
        let counters =
            register(&self.registry, made(IntCounterVec::new(opts(metric), &metric.label_names())));
        // at 0 from the start: an increase is seen only from a value that was there before
        metric.known_series().iter().for_each(|values| drop(counters.with_label_values(values)));
        counters
    }

    pub fn gauge(&self, name: &str) -> IntGauge {
        let metric = self.listed(name, Kind::Gauge);
        register(&self.registry, made(IntGauge::with_opts(opts(metric))))
    }

    pub fn gauges(&self, name: &str) -> IntGaugeVec {
        let metric = self.listed(name, Kind::Gauge);
        register(&self.registry, made(IntGaugeVec::new(opts(metric), &metric.label_names())))
    }

    /// A gauge that is set once: a bound from the configuration.
    pub fn bound(&self, name: &str, value: f64) {
        let metric = self.listed(name, Kind::Gauge);
        register(&self.registry, made(Gauge::with_opts(opts(metric)))).set(value);
    }

    /// A gauge that is read when it is asked for.
    pub fn sampled(&self, name: &str, sample: impl Fn() -> f64 + Send + Sync + 'static) {
        self.sampled_series(name, move |gauges| gauges.with_label_values::<&str>(&[]).set(sample()));
    }

    /// Gauges that are read when they are asked for; `fill` sets every series that there is.
    pub fn sampled_series(&self, name: &str, fill: impl Fn(&GaugeVec) + Send + Sync + 'static) {
        register(&self.registry, Sampled::new(self.listed(name, Kind::Gauge), fill));
    }

    pub fn histogram(&self, name: &str) -> Histogram {
        let (metric, opts) = self.histogram_opts(name);
        assert!(metric.labels.is_empty(), "{name} has labels");
        register(&self.registry, made(Histogram::with_opts(opts)))
    }

    pub fn histograms(&self, name: &str) -> HistogramVec {
        let (metric, opts) = self.histogram_opts(name);
        let histograms = register(&self.registry, made(HistogramVec::new(opts, &metric.label_names())));
        metric.known_series().iter().for_each(|values| drop(histograms.with_label_values(values)));
        histograms
    }

    fn histogram_opts(&self, name: &str) -> (&'static Metric, HistogramOpts) {
        let metric = self.find(name);
        let Kind::Histogram(buckets) = metric.kind else { panic!("{name} is no histogram in the list") };
        (metric, HistogramOpts::new(metric.name, metric.help).buckets(buckets.to_vec()))
    }

    fn listed(&self, name: &str, kind: Kind) -> &'static Metric {
        let metric = self.find(name);
        assert!(metric.kind == kind, "{name} is another kind of metric in the list");
        metric
    }

    /// Names are literals in our own code: one that is not in the list is a fault that every start shows.
    fn find(&self, name: &str) -> &'static Metric {
        let found = self.list.iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("{name} is not in the list of metrics"))
    }

    /// The Prometheus text format.
    pub fn render(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).unwrap_or_default()
    }

    /// All metrics of a service as Markdown.
    pub fn reference(program: &str, list: &[Metric]) -> String {
        reference::page(program, list)
    }
}

fn opts(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

fn made<M>(metric: prometheus::Result<M>) -> M {
    metric.expect("a metric's name, help and labels are well formed")
}

fn register<M: prometheus::core::Collector + Clone + 'static>(registry: &Registry, metric: M) -> M {
    registry.register(Box::new(metric.clone())).expect("a metric is made once");
    metric
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[Metric] = &[
        Metric::counter("test_events_total", "events", "Events.")
            .labels(&[Label::of("status", &["good", "bad"])]),
        Metric::gauge("test_depth", "events", "Depth."),
        Metric::histogram("test_seconds", "seconds", SECONDS, "Time."),
    ];

    #[test]
    fn a_counter_with_closed_labels_is_there_at_zero() {
        let metrics = Metrics::of("test", "1.0.0", LIST);
        metrics.counters("test_events_total");
        let text = metrics.render();
        for line in ["test_events_total{status=\"bad\"} 0", "test_events_total{status=\"good\"} 0"] {
            assert!(text.contains(line), "{text}");
        }
        assert!(text.contains("sealtrail_build_info{service=\"test\",version=\"1.0.0\"} 1"), "{text}");
        #[cfg(target_os = "linux")]
        assert!(text.contains("process_resident_memory_bytes"), "{text}");
    }

    #[test]
    #[should_panic(expected = "not in the list")]
    fn what_is_not_in_the_list_cannot_be_made() {
        Metrics::of("test", "1.0.0", LIST).counter("test_other_total");
    }

    #[test]
    #[should_panic(expected = "another kind")]
    fn a_metric_has_the_kind_that_the_list_says() {
        Metrics::of("test", "1.0.0", LIST).gauge("test_events_total");
    }

    #[test]
    fn samples_are_read_at_each_rendering() {
        let metrics = Metrics::of("test", "1.0.0", LIST);
        let depth = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(1));
        let read = depth.clone();
        metrics.sampled("test_depth", move || f64::from(read.load(std::sync::atomic::Ordering::Relaxed)));
        assert!(metrics.render().contains("test_depth 1"));
        depth.store(2, std::sync::atomic::Ordering::Relaxed);
        assert!(metrics.render().contains("test_depth 2"));
    }

    #[test]
    fn a_part_that_becomes_ready_shows() {
        let (metrics, readiness) = (Metrics::of("test", "1.0.0", LIST), crate::Readiness::of(&["kafka"]));
        metrics.show_readiness(&readiness);
        assert!(metrics.render().contains("sealtrail_part_ready{part=\"kafka\"} 0"));
        readiness.ready("kafka");
        assert!(metrics.render().contains("sealtrail_part_ready{part=\"kafka\"} 1"));
    }
}
