//! What a scenario is: one fault of docs/DELIVERY.md, how it is brought about, and how it must end.

use std::pin::Pin;

use crate::scene::Scene;

/// How a service must take a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Goes on alone once the cause is gone.
    Recovers,
    /// Stops with its reason, keeps its offsets, and goes on after the cause was removed.
    Stops,
}

impl Expected {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recovers => "recovers",
            Self::Stops => "stops",
        }
    }
}

/// Which stack a scenario is run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The one that most scenarios share, one after the other.
    Shared,
    /// A fresh one, thrown away afterwards: the scenario leaves the trail or its topics unusable for others.
    Own,
    /// The same, and its brokers' clocks can be set (`Stack::clock`; start it with `Options::settable_clock`).
    OwnWithClock,
}

/// What runs in which part of the runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// In every run, and in the short one of CI.
    Ci,
    Full,
    /// In the long run, and where it is asked for by name.
    Long,
    /// Only where it is asked for by name.
    OnDemand,
}

/// What an inject function answers.
pub type Done<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// A fault and how it is brought about.
///
/// When `inject` is called a load is running through the gateway and the processors are at work. It brings the fault
/// about, proves that it took place ([`Scene::expect`]), takes the cause away, says so with [`Scene::healed`], and
/// returns; what it started (processes held, proxies set) it puts back, also the processors' settings. The harness then
/// waits for lag zero, holds the trail against the answers of the gateway, and measures from `healed` on.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// `F11`
    pub fault: &'static str,
    /// What exactly is done, in a few words; a fault may have several cases.
    pub case: &'static str,
    pub expected: Expected,
    pub ground: Ground,
    pub part: Part,
    pub inject: for<'a> fn(&'a mut Scene) -> Done<'a>,
}

impl Scenario {
    /// On the shared stack, in the full run.
    pub const fn new(
        fault: &'static str,
        case: &'static str,
        expected: Expected,
        inject: for<'a> fn(&'a mut Scene) -> Done<'a>,
    ) -> Self {
        Self { fault, case, expected, ground: Ground::Shared, part: Part::Full, inject }
    }

    pub const fn in_ci(mut self) -> Self {
        self.part = Part::Ci;
        self
    }

    pub const fn in_long_runs(mut self) -> Self {
        self.part = Part::Long;
        self
    }

    pub const fn on_demand(mut self) -> Self {
        self.part = Part::OnDemand;
        self
    }

    pub const fn on_its_own(mut self) -> Self {
        self.ground = Ground::Own;
        self
    }

    pub const fn with_a_clock(mut self) -> Self {
        self.ground = Ground::OwnWithClock;
        self
    }

    /// The name of its log file: `F11-sigstop-past-the-session`.
    pub fn slug(&self) -> String {
        let case: String = self
            .case
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
            .collect();
        let words: Vec<_> = case.split('-').filter(|word| !word.is_empty()).take(8).collect();
        format!("{}-{}", self.fault, words.join("-"))
    }
}
