//! The events of a load: of realistic shape, and each a pure function of the run and its number, so that a retry sends
//! the same bytes.

use chrono::{DateTime, Duration, SecondsFormat, SubsecRound, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use uuid::Uuid;

use crate::shapes::{FIRST_NAMES, LAST_NAMES, REGIONS, SHAPES, USER_AGENTS};

const ACTORS: u32 = 5_000;
const SPACING_US: i64 = 100;

/// One load: everything that its events depend on.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: String,
    pub seed: u64,
    pub first_at: DateTime<Utc>,
}

impl Run {
    pub fn new(seed: u64, first_at: DateTime<Utc>) -> Self {
        let first_at = first_at.trunc_subsecs(6);
        Self { id: format!("load-{seed:016x}-{:x}", first_at.timestamp_micros()), seed, first_at }
    }

    /// A time that puts the last of so many events at about now, so that none lies in the future.
    pub fn first_at_for(events: u64, now: DateTime<Utc>) -> DateTime<Utc> {
        now - Duration::microseconds(SPACING_US * i64::try_from(events).unwrap_or(0))
    }

    /// A UUIDv8 from seed and number, well mixed, as the ids of real producers are.
    pub fn event_id(&self, n: u64) -> Uuid {
        let high = mixed(self.seed ^ mixed(n));
        let low = mixed(high ^ n);
        Uuid::new_v8(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    pub fn event(&self, n: u64) -> Event {
        let rng = &mut StdRng::seed_from_u64(mixed(self.seed).wrapping_add(n));
        let shape = &SHAPES[rng.random_range(0..SHAPES.len())];
        let actor = rng.random_range(1..=ACTORS);
        let target = rng.random_range(1..=200_000_u32);
        let occurred_us = SPACING_US * n as i64 + rng.random_range(0..SPACING_US);
        let occurred_at = self.first_at + Duration::microseconds(occurred_us);
        Event {
            event_id: self.event_id(n),
            occurred_at: occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            event_type: shape.event_type,
            outcome: if rng.random_ratio(1, 12) { shape.seldom } else { shape.usual },
            actor: Actor {
                id: format!("{}-{actor:05}", shape.actor_type),
                kind: shape.actor_type,
                name: format!(
                    "{} {}",
                    FIRST_NAMES[actor as usize % FIRST_NAMES.len()],
                    LAST_NAMES[actor as usize / 7 % LAST_NAMES.len()]
                ),
                session_id: rng.random_bool(0.6).then(|| format!("sess-{:08x}", rng.random::<u32>())),
            },
            targets: (0..shape.targets)
                .map(|i| EventTarget {
                    id: format!("{}-{:06}", shape.target_type, target + i),
                    kind: shape.target_type,
                })
                .collect(),
            source: Source {
                ip: format!("198.51.{}.{}", rng.random_range(0..256), rng.random_range(1..255)),
                user_agent: USER_AGENTS[rng.random_range(0..USER_AGENTS.len())],
                service: shape.service,
                request_id: format!("req-{:012x}", rng.random::<u64>() >> 16),
            },
            duration_ms: rng.random_bool(0.5).then(|| rng.random_range(1..2_000)),
            message: format!("{} {}-{target:06}", shape.did, shape.target_type),
            changes: if shape.changes { vec![change(rng)] } else { Vec::new() },
            attributes: Attributes {
                run: self.id.clone(),
                n: n.to_string(),
                region: REGIONS[rng.random_range(0..REGIONS.len())],
            },
        }
    }
}

fn change(rng: &mut StdRng) -> Change {
    let before = rng.random_range(0..9_000_u32);
    Change {
        path: ["/limits/per_minute", "/status/code", "/owner/team", "/quota/bytes"][rng.random_range(0..4)],
        before,
        after: before + rng.random_range(1..1_000),
    }
}

/// SplitMix64's finisher: a bijection that spreads neighbouring numbers.
fn mixed(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// An event in the gateway's JSON. Operation and severity are the catalogue's, the tenant is the credential's.
#[derive(Debug, Clone, Serialize)]
pub struct Event {
    pub event_id: Uuid,
    occurred_at: String,
    event_type: &'static str,
    outcome: &'static str,
    actor: Actor,
    targets: Vec<EventTarget>,
    source: Source,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<i64>,
    message: String,
    changes: Vec<Change>,
    attributes: Attributes,
}

#[derive(Debug, Clone, Serialize)]
struct Actor {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
struct EventTarget {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Debug, Clone, Serialize)]
struct Source {
    ip: String,
    user_agent: &'static str,
    service: &'static str,
    request_id: String,
}

#[derive(Debug, Clone, Serialize)]
struct Change {
    path: &'static str,
    before: u32,
    after: u32,
}

#[derive(Debug, Clone, Serialize)]
struct Attributes {
    run: String,
    n: String,
    region: &'static str,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use serde_json::Value;

    fn run() -> Run {
        Run::new(42, DateTime::from_timestamp(1_790_000_000, 123_456_789).expect("a time"))
    }

    #[test]
    fn a_number_gives_the_same_event_again() {
        let again = Run::new(42, run().first_at);
        for n in [1, 2, 999_999] {
            let json = |run: &Run| serde_json::to_string(&run.event(n)).expect("json");
            assert_eq!(json(&run()), json(&again));
        }
        assert_eq!(run().id, again.id);
    }

    #[test]
    fn ids_differ_by_number_and_by_seed() {
        let other = Run::new(43, run().first_at);
        let ids: HashSet<Uuid> = (1..=20_000).flat_map(|n| [run().event_id(n), other.event_id(n)]).collect();
        assert_eq!(ids.len(), 40_000);
        assert!(ids.iter().all(|id| id.get_version_num() == 8));
    }

    #[test]
    fn the_mean_event_has_300_to_400_bytes_of_avro() {
        let total: usize =
            (1..=2_000).map(|n| avro_bytes(&serde_json::to_value(run().event(n)).expect("json"))).sum();
        let mean = total / 2_000;
        assert!((300..=400).contains(&mean), "{mean} bytes");
    }

    /// What the datum comes to: texts with a length of one or two bytes, a byte for each union, enum and block.
    fn avro_bytes(event: &Value) -> usize {
        fn texts(value: &Value) -> usize {
            match value {
                Value::String(text) => text.len() + 1 + usize::from(text.len() > 63),
                Value::Number(_) => 3,
                Value::Array(items) => 2 + items.iter().map(texts).sum::<usize>(),
                Value::Object(map) => 1 + map.values().map(texts).sum::<usize>(),
                _ => 1,
            }
        }
        let tenant = "demo".len() + 1;
        let attribute_keys: usize =
            event["attributes"].as_object().expect("a map").keys().map(|key| key.len() + 1).sum();
        let occurred_at_as_text = 28 - 8;
        tenant + attribute_keys + 16 + texts(event) - occurred_at_as_text
    }
}
