#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use audit_event::{Actor, EventId, Operation, Outcome, Severity, Source, Timestamp};
use service_kit::metrics::Metrics;
use uuid::Uuid;

use super::*;

pub const RECEIVED: RecordTime = RecordTime(1_793_613_600_500);
const AMPLE: Duration = Duration::from_secs(60);
const FIREFOX: &str = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:102.0) Gecko/20100101 Firefox/102.0";

/// An event of a known type, half a second before [`RECEIVED`].
pub fn event() -> AuditEvent {
    AuditEvent {
        event_id: EventId(Uuid::nil()),
        tenant_id: "demo".parse().unwrap(),
        occurred_at: Timestamp::from_micros(1_793_613_600_000_000),
        event_type: "user.login".to_owned(),
        operation: Operation::Access,
        outcome: Outcome::Success,
        severity: Severity::Info,
        actor: Actor {
            id: "ann".to_owned(),
            kind: "user".to_owned(),
            name: None,
            session_id: None,
            on_behalf_of: None,
        },
        targets: vec![],
        source: Source::default(),
        trace: None,
        duration_ms: None,
        batch_id: None,
        message: None,
        changes: vec![],
        attributes: std::collections::BTreeMap::new(),
        signature: None,
    }
}

pub fn event_from(ip: &str, user_agent: &str) -> AuditEvent {
    let source =
        Source { ip: Some(ip.to_owned()), user_agent: Some(user_agent.to_owned()), ..Source::default() };
    AuditEvent { source, ..event() }
}

pub fn metrics() -> EnrichMetrics {
    EnrichMetrics::new(&Metrics::of("test", "1.0.0", crate::metrics::LIST))
}

/// A look-up of a test's own.
pub struct Fake<F>(pub F);

impl<T, F: Fn(&str) -> Looked<T> + Send + Sync> Lookup<T> for Fake<F> {
    fn look_up(&self, text: &str) -> Looked<T> {
        (self.0)(text)
    }
}

fn somewhere(city: &str) -> Geo {
    Geo { city_name: city.to_owned(), country_iso_code: "NO".to_owned(), ..Geo::default() }
}

fn named(name: &str) -> UserAgent {
    UserAgent { name: name.to_owned(), ..UserAgent::default() }
}

/// Enrichers that are broken in every way that a look-up can be.
pub fn broken() -> Vec<(&'static str, Enricher)> {
    fn of(
        user_agents: impl Fn(&str) -> Looked<UserAgent> + Send + Sync + 'static,
        geo: impl Fn(&str) -> Looked<Geo> + Send + Sync + 'static,
        budget: Duration,
    ) -> Enricher {
        Enricher::new(Some(Arc::new(Fake(user_agents))), Some(Arc::new(Fake(geo))), budget, metrics())
    }
    let fault = || Some(LookupFault::Unreadable { file: "x", cause: "y".to_owned() });
    vec![
        ("panics", of(|_| panic!("a rule"), |_| panic!("a record"), AMPLE)),
        (
            "faults",
            of(
                move |_| Looked { value: None, fault: fault() },
                |_| Looked { value: None, fault: Some(LookupFault::NotLoaded("z")) },
                AMPLE,
            ),
        ),
        (
            "half",
            of(
                |_| panic!("{}", 7),
                move |_| Looked { value: Some(somewhere("Oslo")), fault: fault() },
                AMPLE,
            ),
        ),
        ("late", of(|_| Some(named("a")).into(), |_| Some(somewhere("Oslo")).into(), Duration::ZERO)),
        (
            "huge",
            of(
                |_| Some(named(&"a\0é".repeat(100_000))).into(),
                |_| Some(somewhere(&"b".repeat(1 << 20))).into(),
                AMPLE,
            ),
        ),
    ]
}

#[test]
fn every_text_of_a_batch_is_looked_up_once() {
    static LOOKED: AtomicUsize = AtomicUsize::new(0);
    let count = |text: &str| {
        LOOKED.fetch_add(1, Ordering::Relaxed);
        Looked::from(Some(named(text)))
    };
    let enricher = Enricher::new(Some(Arc::new(Fake(count))), None, AMPLE, metrics());
    let events: Vec<_> = (0..100).map(|n| event_from("", &format!("agent-{}", n % 3))).collect();
    let mut batch = enricher.batch();
    for (n, event) in events.iter().enumerate() {
        let found = batch.enrich(event, RECEIVED);
        assert_eq!(found.user_agent().name, format!("agent-{}", n % 3));
        assert!(found.flags.is_empty());
    }
    batch.finish();
    assert_eq!(LOOKED.load(Ordering::Relaxed), 3);
    let counted = enricher.metrics.records.with_label_values(&["user_agent", "found"]).get();
    assert_eq!(counted, 100);
}

#[test]
fn a_panic_leaves_the_columns_empty_and_is_not_tried_forever() {
    static LOOKED: AtomicUsize = AtomicUsize::new(0);
    let panicking = |text: &str| -> Looked<Geo> {
        LOOKED.fetch_add(1, Ordering::Relaxed);
        panic!("at {text}")
    };
    let firefox = Arc::new(user_agents::Parser::new().unwrap());
    let enricher = Enricher::new(Some(firefox), Some(Arc::new(Fake(panicking))), AMPLE, metrics());
    let events: Vec<_> = (0..50).map(|n| event_from(&format!("81.2.69.{n}"), FIREFOX)).collect();
    let mut batch = enricher.batch();
    for event in &events {
        let found = batch.enrich(event, RECEIVED);
        assert_eq!(found.flags, [flags::ENRICHMENT_INCOMPLETE]);
        assert_eq!(found.geo(), GeoColumns::default());
        assert_eq!(found.user_agent().name, "Firefox", "the other look-up goes on");
    }
    batch.finish();
    assert_eq!(LOOKED.load(Ordering::Relaxed), 3);
    assert_eq!(enricher.metrics.records.with_label_values(&["geo", "failed"]).get(), 50);
    assert_eq!(enricher.metrics.records.with_label_values(&["user_agent", "found"]).get(), 50);
}

#[test]
fn a_batch_takes_its_budget_and_one_look_up_more_at_most() {
    let slow = |_: &str| {
        std::thread::sleep(Duration::from_millis(5));
        Looked::from(Some(named("slow")))
    };
    let budget = Duration::from_millis(20);
    let enricher = Enricher::new(Some(Arc::new(Fake(slow))), None, budget, metrics());
    let events: Vec<_> = (0..1_000).map(|n| event_from("", &format!("agent-{n}"))).collect();
    let begun = Instant::now();
    let mut batch = enricher.batch();
    let found: Vec<_> = events.iter().map(|event| batch.enrich(event, RECEIVED)).collect();
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    batch.finish();
    let complete = found.iter().take_while(|found| found.flags.is_empty()).count();
    assert!((1..=4).contains(&complete), "{complete} were looked up");
    for found in &found[complete..] {
        assert_eq!(found.flags, [flags::ENRICHMENT_INCOMPLETE]);
        assert_eq!(found.user_agent(), UserAgentColumns::default());
    }
    let over = enricher.metrics.records.with_label_values(&["user_agent", "over_budget"]).get();
    assert_eq!(over, 1_000 - complete as u64);
    let mut next = enricher.batch();
    assert!(next.enrich(&events[0], RECEIVED).flags.is_empty(), "the next batch has its own budget");
}

#[test]
fn more_texts_than_are_remembered_are_still_answered() {
    let enricher =
        Enricher::new(Some(Arc::new(Fake(|text: &str| Some(named(text)).into()))), None, AMPLE, metrics());
    let events: Vec<_> = (0..30_000).map(|n| event_from("", &format!("agent-{n}"))).collect();
    let mut batch = enricher.batch();
    for (n, event) in events.iter().enumerate() {
        assert_eq!(batch.enrich(event, RECEIVED).user_agent().name, format!("agent-{n}"));
    }
}

#[test]
fn what_is_not_there_or_switched_off_is_empty_and_complete() {
    let off = Enricher::new(None, None, AMPLE, metrics());
    let on = Enricher::new(Some(Arc::new(user_agents::Parser::new().unwrap())), None, AMPLE, metrics());
    let (bare, full) = (event(), event_from("81.2.69.142", FIREFOX));
    for (enricher, event) in [(&off, &bare), (&off, &full), (&on, &bare)] {
        let found = enricher.batch().enrich(event, RECEIVED);
        assert_eq!((found.geo(), found.user_agent()), Default::default());
        assert!(found.flags.is_empty());
    }
    assert_eq!(on.batch().enrich(&full, RECEIVED).user_agent().os_name, "Ubuntu");
}

/// `cargo test --release --workspace --bins -- --ignored --nocapture cost_of_enrichment`
#[test]
#[ignore = "a measurement, not a check"]
#[allow(clippy::print_stdout, reason = "it prints what it measured")]
fn cost_of_enrichment() {
    const RECORDS: usize = 100_000;
    let parser = Arc::new(user_agents::Parser::new().unwrap());
    let geo = super::geo::tests::loaded();
    for (what, agents, addresses) in [("as in CloudTrail", 120, 5_000), ("all different", RECORDS, RECORDS)] {
        let events: Vec<_> = (0..RECORDS)
            .map(|n| {
                let (agent, address) = (n % agents, n % addresses);
                let agent = format!(
                    "aws-sdk-go/1.44.{agent} (go1.19.3; linux; amd64) HashiCorp-terraform-exec/0.17.3"
                );
                event_from(&format!("81.{}.{}.1", address / 250, address % 250), &agent)
            })
            .collect();
        for (which, enricher) in [
            ("flags only", Enricher::new(None, None, AMPLE, metrics())),
            ("user agents", Enricher::new(Some(parser.clone()), None, AMPLE, metrics())),
            ("both", Enricher::new(Some(parser.clone()), Some(geo.clone()), AMPLE, metrics())),
        ] {
            let begun = Instant::now();
            let mut batch = enricher.batch();
            for event in &events {
                std::hint::black_box(batch.enrich(event, RECEIVED));
            }
            batch.finish();
            println!("{what}, {which}: {} ns a record", begun.elapsed().as_nanos() / RECORDS as u128);
        }
    }
}
