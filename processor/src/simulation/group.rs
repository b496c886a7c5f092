//! The group coordinator: members, generations, rebalances in two steps (cooperative), and commits, which it checks for
//! the member and its generation and, as Kafka does, not for who owns the partition.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use audit_event::PartitionId;
use kafka_io::group::{CommitAnswer, Committed};
use rand::Rng;
use tokio::time::Instant;

use super::process::{Life, Process};
use super::world::World;

pub const SESSION: Duration = Duration::from_secs(3);
/// A member that does not give up its partitions for so long is thrown out.
const MAX_POLL: Duration = Duration::from_secs(8);
/// So late a member may hear of what it got.
const LATE_WORD_MS: u64 = 800;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(u64);

/// What a member's callbacks are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callback {
    Assign(Vec<PartitionId>),
    Revoke(Vec<PartitionId>),
    Lost,
}

/// Who says so, in which generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    member: MemberId,
    generation: u64,
}

struct Member {
    process: Arc<Process>,
    /// The generation that its client knows of.
    generation: u64,
    callbacks: VecDeque<Callback>,
    last_seen: Instant,
    revoking_since: Option<Instant>,
    /// Its consumer is gone, and nobody said so.
    silent: bool,
}

struct State {
    generation: u64,
    members: BTreeMap<MemberId, Member>,
    owners: Vec<Option<MemberId>>,
    commits: Vec<Option<Committed>>,
    next_member: u64,
    unbalanced: bool,
    /// The members have joined and are not told yet what they got: until then commits are refused.
    told_at: Instant,
}

pub struct Group {
    world: Arc<World>,
    state: Mutex<State>,
}

impl Group {
    pub fn new(world: Arc<World>, partitions: i32) -> Self {
        let partitions = partitions as usize;
        let state = State {
            generation: 0,
            members: BTreeMap::new(),
            owners: vec![None; partitions],
            commits: vec![None; partitions],
            next_member: 0,
            unbalanced: false,
            told_at: Instant::now(),
        };
        Self { world, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn join(&self, process: Arc<Process>) -> MemberId {
        let mut state = self.state();
        state.next_member += 1;
        let id = MemberId(state.next_member);
        let member = Member {
            process,
            generation: 0,
            callbacks: VecDeque::new(),
            last_seen: Instant::now(),
            revoking_since: None,
            silent: false,
        };
        state.members.insert(id, member);
        state.unbalanced = true;
        id
    }

    pub fn leave(&self, member: MemberId) {
        self.state().remove(member);
    }

    /// The member's consumer is thrown away without a word: its session has to end.
    pub fn fall_silent(&self, member: MemberId) {
        if let Some(member) = self.state().members.get_mut(&member) {
            member.silent = true;
        }
    }

    /// The next callback; a member that was thrown out hears of it here.
    pub fn callback(&self, member: MemberId) -> Option<Callback> {
        let mut state = self.state();
        let is_told = state.told_at <= Instant::now();
        match state.members.get_mut(&member) {
            Some(member) => member.callbacks.pop_front_if(|_| is_told),
            None => Some(Callback::Lost),
        }
    }

    /// The member has given the partitions up.
    pub fn revoked(&self, member: MemberId, partitions: &[PartitionId]) {
        let mut state = self.state();
        for partition in partitions {
            let owner = &mut state.owners[partition.0 as usize];
            if *owner == Some(member) {
                *owner = None;
            }
        }
        if let Some(member) = state.members.get_mut(&member) {
            member.revoking_since = None;
        }
        state.unbalanced = true;
    }

    /// What the client would put on a commit now.
    pub fn stamp(&self, member: MemberId) -> Stamp {
        let generation = self.state().members.get(&member).map_or(0, |m| m.generation);
        Stamp { member, generation }
    }

    pub fn commit(&self, stamp: Stamp, partition: PartitionId, committed: Committed) -> CommitAnswer {
        let mut state = self.state();
        if !state.members.contains_key(&stamp.member) {
            return CommitAnswer::Unknown("unknown member".to_owned());
        }
        if stamp.generation != state.generation {
            return CommitAnswer::NotNow("illegal generation".to_owned());
        }
        if Instant::now() < state.told_at {
            return CommitAnswer::NotNow("rebalance in progress".to_owned());
        }
        state.commits[partition.0 as usize] = Some(committed);
        CommitAnswer::Done
    }

    pub fn committed(&self, partition: PartitionId) -> Option<Committed> {
        self.state().commits[partition.0 as usize].clone()
    }

    /// A person resets a commit, as Kafka lets them while the group is empty.
    pub fn set_commit(&self, partition: PartitionId, committed: Option<Committed>) -> bool {
        let mut state = self.state();
        let is_empty = state.members.is_empty();
        if is_empty {
            state.commits[partition.0 as usize] = committed;
        }
        is_empty
    }

    /// The coordinator's own clock work: sessions end, and partitions are shared out when everybody is there.
    pub fn tick(&self) {
        let mut state = self.state();
        let (mut gone, mut all_there) = (Vec::new(), true);
        for (id, member) in &mut state.members {
            let running = !member.silent && member.process.life() == Life::Running;
            if running {
                member.last_seen = Instant::now();
            }
            // who has not yet taken or given up what the round before said has not joined the next one
            all_there &= running && member.callbacks.is_empty() && member.revoking_since.is_none();
            let stuck = member.revoking_since.is_some_and(|since| since.elapsed() > MAX_POLL);
            if member.last_seen.elapsed() > SESSION || stuck {
                gone.push(*id);
            }
        }
        gone.into_iter().for_each(|id| state.remove(id));
        if state.unbalanced && all_there && !state.members.is_empty() {
            let shuffle = self.world.is_in_turmoil() && self.world.chance(400);
            let turn = if shuffle { self.world.draw(|rng| rng.random_range(0..8)) } else { 0 };
            state.rebalance(turn, shuffle);
            if self.world.is_in_turmoil() {
                state.told_at = Instant::now() + self.world.between_ms(0, LATE_WORD_MS);
            }
        }
    }

    /// The coordinator wants to share out anew, as when a member asks for it.
    pub fn unbalance(&self) {
        self.state().unbalanced = true;
    }
}

impl State {
    fn remove(&mut self, id: MemberId) {
        if self.members.remove(&id).is_some() {
            for owner in &mut self.owners {
                if *owner == Some(id) {
                    *owner = None;
                }
            }
            self.unbalanced = true;
        }
    }

    /// A new generation, which all members join; a partition that moves is first given up, and assigned in the next.
    fn rebalance(&mut self, turn: usize, shuffle: bool) {
        self.generation += 1;
        self.unbalanced = false;
        let generation = self.generation;
        let ids: Vec<_> = self.members.keys().copied().collect();
        self.members.values_mut().for_each(|member| member.generation = generation);
        let fair = self.owners.len().div_ceil(ids.len());
        let mut counts: BTreeMap<MemberId, usize> = BTreeMap::new();
        let (mut come, mut go) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for at in 0..self.owners.len() {
            let partition = PartitionId(at as i32);
            let wished = ids[(at + turn) % ids.len()];
            match self.owners[at] {
                Some(owner)
                    if (!shuffle || owner == wished) && counts.get(&owner).copied().unwrap_or(0) < fair =>
                {
                    *counts.entry(owner).or_default() += 1;
                }
                Some(owner) => go.entry(owner).or_default().push(partition),
                None => {
                    let least = ids.iter().copied().min_by_key(|id| counts.get(id).copied().unwrap_or(0));
                    let new = if shuffle { wished } else { least.unwrap_or(wished) };
                    *counts.entry(new).or_default() += 1;
                    self.owners[at] = Some(new);
                    come.entry(new).or_default().push(partition);
                }
            }
        }
        for (id, member) in &mut self.members {
            if let Some(partitions) = go.remove(id) {
                member.revoking_since = Some(Instant::now());
                member.callbacks.push_back(Callback::Revoke(partitions));
            }
            if let Some(partitions) = come.remove(id) {
                member.callbacks.push_back(Callback::Assign(partitions));
            }
        }
    }
}
