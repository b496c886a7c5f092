use proptest::prelude::*;

use super::*;

const RULES: DedupeRules = DedupeRules { window_offsets: 6, window_ms: 50 };

#[derive(Debug, Clone, Copy)]
struct Record {
    offset: i64,
    time: i64,
    tenant: u8,
    id: u8,
    body: u64,
}

/// Offsets with gaps, times that now and then jump back, few ids and bodies so that they meet.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let step = (1_i64..3, -60_i64..60, 0_u8..2, 0_u8..4, 0_u64..2);
    proptest::collection::vec(step, 0..60).prop_map(|steps| {
        let (mut offset, mut time) = (-1, 1_000);
        steps
            .into_iter()
            .map(|(skip, dt, tenant, id, body)| {
                offset += skip;
                time += if dt < -50 { dt } else { dt.abs() / 8 };
                Record { offset, time, tenant, id, body }
            })
            .collect()
    })
}

/// The design's sentence, word for word, over the whole history.
fn by_the_book(history: &[(Record, DedupeVerdict)], record: &Record) -> DedupeVerdict {
    let earlier: Vec<_> = history
        .iter()
        .filter(|(_, verdict)| !matches!(verdict, DedupeVerdict::Conflict { .. }))
        .filter(|(e, _)| (e.tenant, e.id) == (record.tenant, record.id))
        .filter(|(e, _)| record.offset - e.offset <= RULES.window_offsets)
        .filter(|(e, _)| (record.time - e.time).abs() <= RULES.window_ms)
        .collect();
    let first_of = |(e, verdict): &(Record, DedupeVerdict)| match verdict {
        DedupeVerdict::Duplicate { first } => *first,
        _ => Offset(e.offset),
    };
    match earlier.iter().find(|(e, _)| e.body == record.body) {
        Some(same) => DedupeVerdict::Duplicate { first: first_of(same) },
        None if earlier.is_empty() => DedupeVerdict::First,
        None => DedupeVerdict::Conflict { with: first_of(earlier[0]) },
    }
}

fn tenant(n: u8) -> TenantId {
    format!("t{n}").parse().expect("a tenant")
}

fn candidate<'a>(record: &Record, tenant_id: &'a TenantId) -> Candidate<'a> {
    Candidate {
        offset: Offset(record.offset),
        received_at: RecordTime(record.time),
        tenant_id,
        event_id: EventId(uuid::Uuid::from_u128(u128::from(record.id))),
    }
}

fn judge(window: &mut Window, history: &[(Record, DedupeVerdict)], record: &Record) -> DedupeVerdict {
    let tenant_id = tenant(record.tenant);
    let candidate = candidate(record, &tenant_id);
    let unknown: Vec<_> = window.unknown_bodies(candidate).collect();
    for first in unknown {
        let (stored, _) = history.iter().find(|(r, _)| r.offset == first.0).expect("the first is an event");
        window.learn(candidate, first, BodyHash(stored.body));
    }
    window.judge(candidate, BodyHash(record.body))
}

fn same_kind(a: DedupeVerdict, b: DedupeVerdict) -> bool {
    use DedupeVerdict::*;
    matches!(
        (a, b),
        (First, First) | (Duplicate { .. }, Duplicate { .. }) | (Conflict { .. }, Conflict { .. })
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_048))]

    /// The window answers as the sentence does, also when it is thrown away and rebuilt from what is stored.
    #[test]
    fn the_window_answers_by_the_book(records in records(), restart_at in 0_usize..60) {
        let mut window = Window::new(RULES);
        let mut history: Vec<(Record, DedupeVerdict)> = Vec::new();
        for (index, record) in records.iter().enumerate() {
            if index == restart_at {
                window = rebuilt(&history);
            }
            let verdict = judge(&mut window, &history, record);
            let book = by_the_book(&history, record);
            prop_assert!(same_kind(verdict, book), "{:?}: {:?}, by the book {:?}", record, verdict, book);
            if let DedupeVerdict::Duplicate { first } = verdict {
                let (first, verdict) = history.iter().find(|(r, _)| r.offset == first.0).expect("there");
                prop_assert_eq!(verdict, &DedupeVerdict::First);
                prop_assert_eq!(first.body, record.body);
            }
            history.push((*record, verdict));
        }
        prop_assert!(window.len() <= RULES.window_offsets as usize + 1);
        prop_assert!(window.latest.len() <= window.len());
    }
}

fn rebuilt(history: &[(Record, DedupeVerdict)]) -> Window {
    let mut window = Window::new(RULES);
    for (record, verdict) in history {
        let tenant_id = tenant(record.tenant);
        let candidate = candidate(record, &tenant_id);
        match verdict {
            DedupeVerdict::First => window.restore(candidate, Offset(record.offset)),
            DedupeVerdict::Duplicate { first } => window.restore(candidate, *first),
            DedupeVerdict::Conflict { .. } => {}
        }
    }
    window
}
