//! The rules that carry the promise. Each can be broken on its own, to see that the schedules find it.

/// One rule of the design's section 5, as the harness or the model obeys it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// A range is announced in the commit before anything of it is inserted.
    Announcement,
    /// A success under a token that was sent before closes nothing.
    FirstSendOnly,
    /// A success counts only if ClickHouse did not start anew meanwhile.
    SameServer,
    /// Nothing is read back before the deadline and the longest execution have passed.
    Wait,
    /// Nothing is read back while ClickHouse still works on an insert, whatever the time.
    RunningInserts,
    /// What is there is read and not guessed.
    ReadBack,
    /// On assignment the commit is compared with the last row of `event_batches`.
    EventBatches,
    /// ClickHouse refuses an insert after its deadline.
    Deadline,
    /// The coordinator refuses a commit of an old generation.
    Generation,
    /// Nothing is committed under an assignment that has ended.
    PartitionFence,
    /// A commit whose answer is not known ends the assignment.
    UnknownCommit,
    /// Each attempt has a token of its own.
    AttemptInToken,
    /// After a read-back only what is missing is inserted.
    OnlyMissing,
    /// Inserts are sent again only while ClickHouse surely remembers their token.
    TokenCover,
    /// The first batch after a plain commit is read back, whatever the answers.
    FirstReadBack,
    /// The dedupe window is rebuilt on assignment.
    WindowRestored,
    /// What the window asks for is read from the tables.
    BodiesLookedUp,
    /// A replay takes the announced range, whatever the limits say.
    ReplayedRange,
    /// A replay takes as unknown the schemas that the announcement names.
    AnnouncedSchemas,
}

impl Rule {
    pub const ALL: [Self; 19] = [
        Self::Announcement,
        Self::FirstSendOnly,
        Self::SameServer,
        Self::Wait,
        Self::RunningInserts,
        Self::ReadBack,
        Self::EventBatches,
        Self::Deadline,
        Self::Generation,
        Self::PartitionFence,
        Self::UnknownCommit,
        Self::AttemptInToken,
        Self::OnlyMissing,
        Self::TokenCover,
        Self::FirstReadBack,
        Self::WindowRestored,
        Self::BodiesLookedUp,
        Self::ReplayedRange,
        Self::AnnouncedSchemas,
    ];
}

/// Which rules hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rules {
    AllHold,
    AllBut(Rule),
}

impl Rules {
    pub fn holds(self, rule: Rule) -> bool {
        self != Self::AllBut(rule)
    }
}
