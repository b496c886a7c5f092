//! What a metric is, before it is made.

/// Latency buckets, in seconds.
pub const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Buckets for how many are taken at once.
pub const BATCH_SIZES: &[f64] = &[1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 50_000.0, 100_000.0];

/// One metric of the list.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [Label],
    pub unit: &'static str,
    /// A sentence.
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

#[derive(Debug, Clone, Copy)]
pub struct Label {
    pub name: &'static str,
    pub values: Values,
}

/// What a label's values are. Never a tenant's text: such a label has no end.
#[derive(Debug, Clone, Copy)]
pub enum Values {
    Closed(&'static [&'static str]),
    /// Bounded by something that is known only at run time; the text says by what.
    From(&'static str),
}

impl Metric {
    pub const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, labels: &[], unit, help }
    }

    pub const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, labels: &[], unit, help }
    }

    pub const fn histogram(
        name: &'static str,
        unit: &'static str,
        buckets: &'static [f64],
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(buckets), labels: &[], unit, help }
    }

    pub const fn labels(self, labels: &'static [Label]) -> Self {
        Self { labels, ..self }
    }

    pub(super) fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    /// The labels that keep the metric from being there from the start.
    pub(super) fn open_labels(&self) -> impl Iterator<Item = &'static str> {
        self.labels.iter().filter(|label| matches!(label.values, Values::From(_))).map(|label| label.name)
    }

    /// Every series of a metric whose labels are all closed; none of another.
    pub(super) fn known_series(&self) -> Vec<Vec<&'static str>> {
        let mut series = vec![Vec::new()];
        for label in self.labels {
            let Values::Closed(values) = label.values else { return Vec::new() };
            series = series
                .iter()
                .flat_map(|begun| values.iter().map(move |value| [begun.as_slice(), &[*value]].concat()))
                .collect();
        }
        series
    }
}

impl Label {
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values: Values::Closed(values) }
    }

    pub const fn from(name: &'static str, source: &'static str) -> Self {
        Self { name, values: Values::From(source) }
    }
}
