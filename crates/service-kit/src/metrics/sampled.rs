//! Gauges whose values are read when they are asked for.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::GaugeVec;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::{Metric, made, opts};

type Fill = dyn Fn(&GaugeVec) + Send + Sync;

#[derive(Clone)]
pub(super) struct Sampled {
    /// Locked while it is filled: two readers at once would take each other's series away.
    gauges: Arc<Mutex<GaugeVec>>,
    descriptions: Vec<Desc>,
    fill: Arc<Fill>,
}

impl Sampled {
    pub fn new(metric: &Metric, fill: impl Fn(&GaugeVec) + Send + Sync + 'static) -> Self {
        let gauges = made(GaugeVec::new(opts(metric), &metric.label_names()));
        let descriptions = gauges.desc().into_iter().cloned().collect();
        Self { gauges: Arc::new(Mutex::new(gauges)), descriptions, fill: Arc::new(fill) }
    }
}

impl Collector for Sampled {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauges = self.gauges.lock().unwrap_or_else(PoisonError::into_inner);
        gauges.reset();
        (self.fill)(&gauges);
        gauges.collect()
    }
}
