use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn expected() -> Expected {
    use RecordTable::*;
    [(1, Events), (2, Duplicates), (3, DeadLetters), (5, Events)].map(|(o, t)| (Offset(o), t)).into()
}

fn all_found() -> Found {
    Found { records: expected().into_iter().map(|(o, t)| (t, o)).collect(), accounts: 1, foreign_accounts: 0 }
}

const DEADLINE: EngineSeconds = EngineSeconds(100);

/// A run whose first insert is unsure, up to its read-back.
fn unsure_run() -> BatchRun {
    let mut run = BatchRun::fresh(expected());
    run.announced(DEADLINE);
    run.inserted(InsertOutcome::Unsure);
    assert_eq!(run.next(), Step::AskToken { attempt: Attempt::FIRST, deadline: DEADLINE });
    run.token(TokenCover::Unsure);
    assert_eq!(run.next(), Step::AwaitLanding { deadline: DEADLINE });
    run.landed();
    assert_eq!(run.next(), Step::ReadBack);
    run
}

#[test]
fn the_straight_way_is_announce_insert_close() {
    let mut run = BatchRun::fresh(expected());
    assert_eq!(run.next(), Step::Announce(Attempt::FIRST));
    run.announced(DEADLINE);
    assert_eq!(
        run.next(),
        Step::Insert {
            attempt: Attempt::FIRST,
            deadline: DEADLINE,
            missing: Missing::All,
            send: Send::First
        }
    );
    run.inserted(InsertOutcome::Sure);
    assert_eq!(run.next(), Step::Close);
}

#[test]
fn a_send_under_a_used_token_is_never_believed() {
    let mut run = BatchRun::fresh(expected());
    run.announced(DEADLINE);
    let Step::Insert { missing: sent, .. } = run.next() else { panic!("{:?}", run.next()) };
    run.inserted(InsertOutcome::Unsure);
    run.token(TokenCover::Sure);
    let Step::Insert { attempt, deadline, missing, send } = run.next() else { panic!("{:?}", run.next()) };
    assert_eq!((attempt, deadline, missing, send), (Attempt::FIRST, DEADLINE, sent, Send::Again));
    run.inserted(InsertOutcome::Sure);
    assert_eq!(run.next(), Step::AwaitLanding { deadline: DEADLINE });
    run.landed();
    assert_eq!(run.next(), Step::ReadBack);
    run.read_back(&Found { records: vec![(RecordTable::Events, Offset(5))], ..Found::default() });
    run.announced(DEADLINE);
    let Step::Insert { attempt: Attempt(1), send: Send::First, .. } = run.next() else {
        panic!("{:?}: the first send of the next attempt", run.next())
    };
}

#[test]
fn sending_again_ends() {
    let mut run = BatchRun::fresh(expected());
    run.announced(DEADLINE);
    for _ in 0..MAX_RESENDS {
        run.inserted(InsertOutcome::Unsure);
        assert!(matches!(run.next(), Step::AskToken { .. }), "{:?}", run.next());
        run.token(TokenCover::Sure);
        assert!(matches!(run.next(), Step::Insert { send: Send::Again, .. }), "{:?}", run.next());
    }
    run.inserted(InsertOutcome::Unsure);
    assert_eq!(run.next(), Step::AwaitLanding { deadline: DEADLINE });
}

#[test]
fn a_lost_answer_is_not_believed_either_way() {
    let mut run = unsure_run();
    run.read_back(&all_found());
    assert_eq!(run.next(), Step::Close);

    let mut run = unsure_run();
    run.read_back(&Found { records: vec![(RecordTable::Duplicates, Offset(2))], ..Found::default() });
    assert_eq!(run.next(), Step::Announce(Attempt(1)));
    run.announced(EngineSeconds(200));
    let Step::Insert { missing, attempt: Attempt(1), .. } = run.next() else { panic!("{:?}", run.next()) };
    assert!(!missing.contains(Offset(2)) && missing.contains(Offset(5)) && missing.account());
    run.inserted(InsertOutcome::Sure);
    assert_eq!(run.next(), Step::ReadBack, "a second attempt is always read back");
}

#[test]
fn a_replay_reads_back_before_it_inserts() {
    let run = BatchRun::replayed(expected(), Attempt(3), DEADLINE);
    assert_eq!(run.next(), Step::AwaitLanding { deadline: DEADLINE });
}

#[test]
fn what_cannot_be_mended_stops() {
    let stop = |found: Found| {
        let mut run = unsure_run();
        run.read_back(&found);
        match run.next() {
            Step::Stop(fault) => fault,
            step => panic!("{step:?}"),
        }
    };
    let with = |extra: (RecordTable, Offset)| {
        let mut found = all_found();
        found.records.push(extra);
        found
    };
    assert_eq!(
        stop(with((RecordTable::Events, Offset(1)))),
        BatchFault::Doubled { offset: Offset(1), times: 2 }
    );
    assert!(matches!(stop(with((RecordTable::Duplicates, Offset(1)))), BatchFault::OtherVerdict { .. }));
    assert!(matches!(
        stop(with((RecordTable::Events, Offset(4)))),
        BatchFault::OtherVerdict { expected: None, .. }
    ));
    assert!(matches!(stop(Found { accounts: 2, ..all_found() }), BatchFault::Accounts { .. }));
    assert!(matches!(stop(Found { foreign_accounts: 1, ..all_found() }), BatchFault::Accounts { .. }));
}

/// What happens to one insert of one table: does it land, at once or late, and does the answer come?
#[derive(Debug, Clone, Copy)]
struct Fate {
    lands: bool,
    late: bool,
    answered: bool,
    /// The server dies between the token and the rows: no rows, and the token is known from then on.
    torn: bool,
}

impl Fate {
    const LANDS_AT_ONCE: Self = Self { lands: true, late: false, answered: true, torn: false };
}

fn fate() -> impl Strategy<Value = Fate> {
    (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(lands, late, answered, torn)| {
        Fate {
            lands,
            late,
            // a server answers the first send with success only when the rows are there
            answered: answered && lands && !late && !torn,
            torn,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    /// However inserts fare and wherever the processor crashes, the closed batch is in the tables exactly once.
    #[test]
    fn every_schedule_ends_with_each_record_once(
        fates in proptest::collection::vec(proptest::array::uniform4(fate()), 1..6),
        crashes in proptest::collection::vec(any::<bool>(), 12),
        covers in proptest::collection::vec(any::<bool>(), 12),
    ) {
        let mut store = Store::default();
        let mut covers = covers.into_iter();
        let mut fates = fates.into_iter();
        let mut crashes = crashes.into_iter();
        let mut committed: Option<(Attempt, EngineSeconds)> = None;
        let mut run = BatchRun::fresh(expected());
        loop {
            match run.next() {
                Step::Announce(attempt) => {
                    let deadline = EngineSeconds(i64::from(attempt.0) * 10);
                    committed = Some((attempt, deadline));
                    run.announced(deadline);
                }
                Step::Insert { attempt, missing, send, .. } => {
                    let fate = fates.next().unwrap_or([Fate::LANDS_AT_ONCE; 4]);
                    for (table, (part, fate)) in parts_of(&missing).into_iter().zip(fate).enumerate() {
                        store.insert((attempt, table), part, fate);
                    }
                    let sure = match send {
                        Send::First => fate.iter().all(|f| f.answered),
                        // under a token that is known, a success says nothing of the rows
                        Send::Again => fate[0].answered,
                    };
                    run.inserted(if sure { InsertOutcome::Sure } else { InsertOutcome::Unsure });
                }
                Step::AskToken { .. } => {
                    let sure = covers.next() == Some(true);
                    run.token(if sure { TokenCover::Sure } else { TokenCover::Unsure });
                }
                Step::AwaitLanding { .. } => {
                    store.land_all();
                    run.landed();
                }
                Step::ReadBack => run.read_back(&store.rows),
                Step::Close => break,
                Step::Stop(fault) => prop_assert!(false, "stopped: {}", fault),
            }
            if crashes.next() == Some(true) {
                run = match committed {
                    None => BatchRun::fresh(expected()),
                    Some((attempt, deadline)) => BatchRun::replayed(expected(), attempt, deadline),
                };
            }
        }
        prop_assert!(store.in_flight.is_empty(), "closed while something could still land");
        store.rows.records.sort();
        let mut wanted = all_found();
        wanted.records.sort();
        prop_assert_eq!(store.rows, wanted);
    }
}

fn parts_of(missing: &Missing) -> [Found; 4] {
    let of = |table: RecordTable| Found {
        records: expected()
            .into_iter()
            .filter(|(offset, wanted)| *wanted == table && missing.contains(*offset))
            .map(|(offset, table)| (table, offset))
            .collect(),
        ..Found::default()
    };
    let account = Found { accounts: u64::from(missing.account()), ..Found::default() };
    [of(RecordTable::Duplicates), of(RecordTable::DeadLetters), of(RecordTable::Events), account]
}

/// Tokens count per table.
type Token = (Attempt, usize);

#[derive(Default)]
struct Store {
    rows: Found,
    tokens: BTreeSet<Token>,
    in_flight: Vec<(Token, Found)>,
}

impl Store {
    fn insert(&mut self, token: Token, part: Found, fate: Fate) {
        match fate {
            Fate { torn: true, .. } => {
                self.tokens.insert(token);
            }
            Fate { lands: true, late: false, .. } => self.land(token, part),
            Fate { lands: true, late: true, .. } => self.in_flight.push((token, part)),
            Fate { lands: false, .. } => {}
        }
    }

    fn land(&mut self, token: Token, part: Found) {
        if self.tokens.insert(token) {
            self.rows.records.extend(part.records);
            self.rows.accounts += part.accounts;
        }
    }

    fn land_all(&mut self) {
        for (token, part) in std::mem::take(&mut self.in_flight) {
            self.land(token, part);
        }
    }
}

#[test]
fn the_first_batch_of_an_assignment_is_read_back_though_all_went_well() {
    let mut run = BatchRun::first_of_assignment(expected());
    run.announced(EngineSeconds(10));
    run.inserted(InsertOutcome::Sure);
    assert_eq!(run.next(), Step::ReadBack);
    // a token that was remembered without its rows: nothing is there
    run.read_back(&Found::default());
    assert_eq!(run.next(), Step::Announce(Attempt::FIRST.next()));
}
