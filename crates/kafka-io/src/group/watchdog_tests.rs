//! The watchdog on a clock of the test's own.

use super::*;

const P: PartitionId = PartitionId(3);
const TIMEOUT: Duration = Duration::from_secs(60);
const PATIENCE: Patience =
    Patience { fetch: TIMEOUT, worker: Duration::from_secs(100), owner: Duration::from_secs(80) };
/// Looks within which a stall must be seen: the timeout, the question before it, and one for good measure.
const AT_LATEST: u32 = 60 + 15 + 1;

struct Watch {
    dog: Watchdog,
    now: Instant,
    seen: Seen,
    asked: u32,
    unowned: Vec<PartitionId>,
}

impl Watch {
    fn new() -> Self {
        let seen = Seen {
            partition: P,
            generation: AssignmentGeneration(1),
            position: NextOffset(100),
            flow: FlowSeen::Free,
            worker: WorkerSeen::Resting,
        };
        Self { dog: Watchdog::new(PATIENCE), now: Instant::now(), seen, asked: 0, unowned: Vec::new() }
    }

    /// One look a second; a broker answers each question with `end`. Answers after how many looks a stall was seen.
    fn look(&mut self, looks: u32, end: Option<i64>) -> Option<(u32, Stall)> {
        for look in 1..=looks {
            self.now += LOOK_EVERY;
            let verdict = self.dog.look(self.now, &[self.seen]);
            for question in &verdict.ask {
                match question {
                    Question::Owners => self.dog.unowned(&self.unowned),
                    Question::LogEnds(_) => {
                        self.asked += 1;
                        end.into_iter().for_each(|end| self.dog.log_ends(P, NextOffset(end)));
                    }
                }
            }
            if let Some(stall) = verdict.stall {
                return Some((look, stall));
            }
        }
        None
    }
}

#[test]
fn records_that_are_there_and_do_not_come_are_a_stall() {
    let mut watch = Watch::new();
    let (after, stall) = watch.look(AT_LATEST, Some(110)).expect("a stall");
    assert!(after >= 60, "after {after} s already");
    assert_eq!(stall.partition(), P);
    assert!(stall.to_string().contains("nothing came for 60 s at 100, and the log ends at 110"), "{stall}");
}

#[test]
fn an_idle_partition_is_none_and_is_asked_for_now_and_then() {
    let mut watch = Watch::new();
    assert_eq!(watch.look(3_600, Some(100)), None);
    assert!((200..=240).contains(&watch.asked), "asked {} times in an hour", watch.asked);
    // a record that came to the log a moment before the question is on its way
    assert_eq!(watch.look(59, Some(101)), None);
    watch.seen.position = NextOffset(101);
    assert_eq!(watch.look(3_600, Some(101)), None);
}

#[test]
fn a_marker_at_the_end_is_none() {
    let mut watch = Watch::new();
    watch.look(1, None);
    watch.dog.fetched(P, NextOffset(101));
    assert_eq!(watch.look(3_600, Some(101)), None, "all was fetched, and a marker is never polled");
    assert!(watch.look(AT_LATEST, Some(102)).is_some(), "one record behind it is");
}

#[test]
fn a_fetch_that_goes_over_markers_moves() {
    let mut watch = Watch::new();
    for fetched in 101..1_000 {
        assert_eq!(watch.look(5, Some(5_000)), None);
        watch.dog.fetched(P, NextOffset(fetched));
    }
}

#[test]
fn a_slow_trickle_is_none() {
    let mut watch = Watch::new();
    for offset in 101..120 {
        assert_eq!(watch.look(59, Some(10_000)), None);
        watch.seen.position = NextOffset(offset);
    }
}

#[test]
fn brokers_that_do_not_answer_are_none() {
    assert_eq!(Watch::new().look(3_600, None), None);
}

#[test]
fn what_is_held_for_its_worker_is_none() {
    let mut watch = Watch::new();
    watch.seen.flow = FlowSeen::Held;
    assert_eq!(watch.look(3_600, Some(5_000)), None);
    // the poll waits for the worker of another partition
    watch.seen.flow = FlowSeen::Free;
    for _ in 0..3_600 {
        watch.dog.poll_was_held();
        assert_eq!(watch.look(1, Some(5_000)), None);
    }
    // a partition that stopped is nobody's stall
    watch.seen.worker = WorkerSeen::Ended;
    assert_eq!(watch.look(3_600, Some(5_000)), None);
    watch.seen.worker = WorkerSeen::Resting;
    assert!(watch.look(AT_LATEST, Some(5_000)).is_some());
}

#[test]
fn a_process_that_was_stopped_has_not_waited() {
    let mut watch = Watch::new();
    assert_eq!(watch.look(50, Some(110)), None);
    watch.now += Duration::from_secs(86_400);
    assert_eq!(watch.look(2, Some(110)), None);
}

#[test]
fn another_assignment_begins_anew() {
    let mut watch = Watch::new();
    for generation in 2..20 {
        assert_eq!(watch.look(50, Some(110)), None);
        watch.seen.generation = AssignmentGeneration(generation);
    }
}

#[test]
fn a_worker_with_work_and_without_a_sign_is_a_stall() {
    let mut watch = Watch::new();
    watch.seen.flow = FlowSeen::Held;
    watch.seen.worker = WorkerSeen::Busy { signs: 7 };
    let (after, stall) = watch.look(200, None).expect("a stall");
    assert!((100..=102).contains(&after), "after {after} s");
    assert!(matches!(stall, Stall::Worker { .. }), "{stall}");
}

#[test]
fn a_worker_that_tries_again_and_again_is_none() {
    let mut watch = Watch::new();
    watch.seen.flow = FlowSeen::Held;
    for signs in 0..50 {
        watch.seen.worker = WorkerSeen::Busy { signs };
        assert_eq!(watch.look(99, None), None);
    }
    watch.seen.worker = WorkerSeen::Resting;
    assert_eq!(watch.look(3_600, None), None);
}

#[test]
fn a_partition_that_nobody_has_is_a_stall_and_one_on_its_way_is_none() {
    let mut watch = Watch::new();
    let (on_its_way, lost) = (PartitionId(7), PartitionId(8));
    for _ in 0..20 {
        watch.unowned = vec![on_its_way];
        assert_eq!(watch.look(60, None), None);
        watch.unowned.clear();
        assert_eq!(watch.look(20, None), None, "somebody has it now");
    }
    watch.unowned = vec![lost];
    let (after, stall) = watch.look(200, None).expect("a stall");
    assert!((80..=102).contains(&after), "after {after} s");
    assert!(stall.to_string().contains("no member of the group has had it for 80 s"), "{stall}");
    assert_eq!(stall.partition(), lost);
}
