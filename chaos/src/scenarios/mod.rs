//! All scenarios.

mod brokers;
mod clickhouse;
mod clocks;
mod commits;
mod dead_letters;
mod memberships;
mod pauses;
mod poison;
mod registry;
mod skew;
mod stops_of_processes;
mod storm;
mod teeth;
mod topics;

use crate::scenario::Scenario;
use crate::scene::Scene;
use crate::tools::proxy::{Fault, Trigger};

/// Every scenario of `make chaos`, in the order of the catalogue.
pub fn all() -> Vec<Scenario> {
    let kafka = [
        stops_of_processes::SCENARIOS,
        brokers::SCENARIOS,
        memberships::SCENARIOS,
        pauses::SCENARIOS,
        poison::SCENARIOS,
        dead_letters::SCENARIOS,
        registry::SCENARIOS,
        clocks::SCENARIOS,
        skew::SCENARIOS,
        commits::SCENARIOS,
        topics::SCENARIOS,
        storm::SCENARIOS,
        teeth::SCENARIOS,
    ];
    let mut all: Vec<_> = kafka.into_iter().chain(clickhouse::SCENARIOS).flatten().copied().collect();
    all.sort_by_key(|scenario| scenario.fault);
    all
}

/// From now on every insert hangs as it begins; what else the processors ask ClickHouse goes on, so that they announce.
fn hold_inserts(scene: &Scene) {
    let trigger = Trigger::on(b"INSERT+INTO");
    scene
        .stack
        .clickhouse
        .iter()
        .for_each(|proxy| proxy.arm(trigger.clone(), Fault::Stall { after_bytes: 0 }));
}
