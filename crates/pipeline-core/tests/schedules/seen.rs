//! What the schedules came across: a test that never met a late insert proves nothing about one.

/// Counts by name.
macro_rules! seen {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        #[derive(Debug, Clone, Copy, Default)]
        pub struct Seen { $($(#[$doc])* pub $name: u64),+ }

        impl Seen {
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            pub fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

seen! {
    /// Schedules in which rows reached a table before the healing began.
    schedules_that_flowed,
    closes,
    read_backs,
    /// Attempts that were sent again under their token.
    resends,
    /// Batches that were taken up from an announcement.
    replays,
    duplicates,
    conflicts,
    crashes,
    rebalances,
    /// Processes that went on after their partitions had moved.
    zombies,
    /// Commits that the fence stopped.
    fenced_commits,
    /// Commits whose answer never came.
    unknown_commits,
    /// Commits that arrived after their consumer had given up.
    late_commits,
    /// Inserts that were still on their way when their worker had given up or was gone.
    late_inserts,
    /// Inserts whose token was written and whose rows were not.
    torn_inserts,
    restarts_in_an_insert,
    foreign_inserts,
    table_faults,
    /// Starts that were refused after a commit had been damaged.
    refused_starts,
}
