//! What the fence shows the watchdog of its lanes and their workers.

use std::time::Duration;

use audit_event::RecordTime;

use super::super::watchdog::{FlowSeen, WorkerSeen};
use super::super::{ClientStatus, InFlight};
use super::*;

const P: PartitionId = PartitionId(0);
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps the assignments for the test to work on.
#[derive(Default)]
struct Assigned(Mutex<Vec<Assignment>>);

impl GroupHandler for Assigned {
    fn genesis_of(&self, _: PartitionId) -> Option<Offset> {
        Some(Offset(40))
    }
    fn assigned(&self, assignment: Assignment) {
        self.0.lock().expect("alone").push(assignment);
    }
    fn owned(&self, _: &[PartitionId]) {}
    fn lag(&self, _: PartitionId, _: i64) {}
    fn client(&self, _: ClientStatus) {}
    fn longest_call(&self) -> Duration {
        Duration::ZERO
    }
    fn incident(&self, _: Incident) {}
}

fn begun() -> (Fence, Assignment) {
    let handler = Arc::new(Assigned::default());
    let fence = Fence::new(handler.clone(), AssignmentGeneration(6), PATIENCE);
    let (log_start, high_watermark) = (Offset(0), NextOffset(100));
    fence.begin(vec![Standing { partition: P, committed: None, log_start, high_watermark }]);
    let assignment = handler.0.lock().expect("alone").pop().expect("an assignment");
    (fence, assignment)
}

fn push(fence: &Fence, offset: i64, bytes: usize) {
    let (value, received_at) = (Some(vec![0; bytes]), RecordTime(0));
    fence.push(P, Record { offset: Offset(offset), received_at, key: None, value, headers: Vec::new() });
}

fn seen(fence: &Fence) -> Seen {
    fence.seen()[0]
}

#[tokio::test]
async fn the_position_is_behind_the_last_record_and_begins_where_reading_does() {
    let (fence, _assignment) = begun();
    assert_eq!((seen(&fence).position, seen(&fence).generation), (NextOffset(40), AssignmentGeneration(7)));
    push(&fence, 57, 1);
    assert_eq!(seen(&fence).position, NextOffset(58));
}

#[tokio::test]
async fn a_worker_is_busy_while_chunks_wait_or_it_has_not_said_that_it_rests() {
    let (fence, mut assignment) = begun();
    assert_eq!(seen(&fence).worker, WorkerSeen::Busy { signs: 0 }, "it has to begin");
    assignment.vitals.rest();
    assert_eq!(seen(&fence).worker, WorkerSeen::Resting);
    push(&fence, 40, 1);
    fence.hand_over();
    assert_eq!(seen(&fence).worker, WorkerSeen::Busy { signs: 0 }, "a chunk waits for it");
    assert!(assignment.records.recv().await.is_some());
    assert_eq!(seen(&fence).worker, WorkerSeen::Resting);
    assignment.vitals.sign();
    assert_eq!(seen(&fence).worker, WorkerSeen::Busy { signs: 1 });
    drop(assignment.records);
    assert_eq!(seen(&fence).worker, WorkerSeen::Ended);
}

#[tokio::test]
async fn a_full_queue_and_a_pause_are_seen_as_held() {
    let (fence, mut assignment) = begun();
    for offset in 0..=WAITING_CHUNKS as i64 {
        assert_eq!(seen(&fence).flow, FlowSeen::Free);
        push(&fence, offset, 600 * 1024);
    }
    assert_eq!(seen(&fence).flow, FlowSeen::Held, "the queue is full");
    assert!(!fence.is_held_up(0, &mut |_| true));
    while assignment.records.try_recv().is_ok() {}
    fence.hand_over();
    assert_eq!(seen(&fence).flow, FlowSeen::Held, "it is paused still");
    assert!(!fence.is_held_up(0, &mut |_| true));
    assert_eq!(seen(&fence).flow, FlowSeen::Free);
}

#[tokio::test]
async fn what_is_in_flight_is_counted_from_the_poll_to_the_close() {
    let (fence, assignment) = begun();
    let vitals = assignment.vitals.clone();
    for offset in 0..3 {
        push(&fence, offset, 100);
    }
    let (three, one) = (vitals.in_flight(), vitals.in_flight().bytes / 3);
    assert_eq!((three.records, one), (3, 164), "the value and what a record weighs besides");
    fence.hand_over();
    vitals.let_go(3, 3 * one as usize);
    assert_eq!(vitals.in_flight(), InFlight::default(), "their batch is closed");
    // what comes for a worker that ended is thrown away
    drop(assignment.records);
    push(&fence, 3, 600 * 1024);
    assert_eq!(vitals.in_flight(), InFlight::default(), "held by nobody");
}

#[tokio::test]
async fn an_answered_commit_is_a_sign_of_life() {
    let (fence, assignment) = begun();
    let committing = commit(&assignment).await;
    fence.serve_commits(&mut |_, _| CommitAnswer::Done);
    committing.await.expect("it ends").expect("it is committed");
    assert_eq!(seen(&fence).worker, WorkerSeen::Busy { signs: 1 });
}

type Committing = tokio::task::JoinHandle<Result<(), CommitError>>;

async fn commit(assignment: &Assignment) -> Committing {
    let commits = assignment.commits.clone();
    let committing = tokio::spawn(async move { commits.commit(NextOffset(41), String::new()).await });
    tokio::task::yield_now().await;
    committing
}

fn not_now(sent: &mut u32) -> CommitAnswer {
    *sent += 1;
    CommitAnswer::NotNow("rebalance in progress".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_the_group_refuses_while_it_is_shared_out_is_sent_again() {
    let (fence, assignment) = begun();
    let committing = commit(&assignment).await;
    let mut sent = 0;
    for _ in 0..4 {
        fence.serve_commits(&mut |_, _| not_now(&mut sent));
        fence.serve_commits(&mut |_, _| not_now(&mut sent));
        tokio::time::advance(PUT_OFF_FOR).await;
    }
    assert_eq!(sent, 4, "not sooner than after the pause");
    assert_eq!((fence.broken(), committing.is_finished()), (None, false));
    fence.serve_commits(&mut |_, _| CommitAnswer::Done);
    assert_eq!(committing.await.expect("it ends"), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_put_off_is_not_sent_under_an_assignment_that_has_ended() {
    let (fence, assignment) = begun();
    let committing = commit(&assignment).await;
    fence.serve_commits(&mut |_, _| not_now(&mut 0));
    fence.abandon(&[P]);
    tokio::time::advance(PUT_OFF_FOR).await;
    fence.serve_commits(&mut |_, _| panic!("it must not be sent"));
    assert_eq!(committing.await.expect("it ends"), Err(CommitError::Fenced));
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_put_off_for_so_long_and_not_for_ever() {
    let (fence, assignment) = begun();
    let committing = commit(&assignment).await;
    fence.serve_commits(&mut |_, _| not_now(&mut 0));
    tokio::time::advance(PATIENCE).await;
    assert_eq!(fence.broken(), None);
    fence.serve_commits(&mut |_, _| not_now(&mut 0));
    assert!(matches!(committing.await.expect("it ends"), Err(CommitError::Unknown(_))));
    assert!(fence.broken().is_some());
}
