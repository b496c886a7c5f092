//! The audit level: the coarse part of a policy.

use serde::{Deserialize, Serialize};

use crate::event::{Operation, Outcome};

/// A tenant's audit level. Outcomes `failure` and `denied` pass every level but `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditLevel {
    All,
    /// All operations but `read`: a new tenant's default.
    WritesOnly,
    /// `update` and `delete`.
    MutationsOnly,
    DeletesOnly,
    FailuresOnly,
    Off,
}

impl AuditLevel {
    pub const DEFAULT: Self = Self::WritesOnly;

    pub fn admits(self, operation: Operation, outcome: Outcome) -> bool {
        let failed = matches!(outcome, Outcome::Failure | Outcome::Denied);
        match self {
            Self::All => true,
            Self::Off => false,
            Self::WritesOnly => failed || operation != Operation::Read,
            Self::MutationsOnly => failed || matches!(operation, Operation::Update | Operation::Delete),
            Self::DeletesOnly => failed || operation == Operation::Delete,
            Self::FailuresOnly => failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_pass_every_level_but_off() {
        use AuditLevel::*;
        for level in [All, WritesOnly, MutationsOnly, DeletesOnly, FailuresOnly] {
            assert!(level.admits(Operation::Read, Outcome::Denied), "{level:?}");
        }
        assert!(!Off.admits(Operation::Delete, Outcome::Failure));
    }

    #[test]
    fn levels_narrow() {
        use AuditLevel::*;
        let passes =
            |level: AuditLevel| Operation::ALL.iter().filter(|o| level.admits(**o, Outcome::Success)).count();
        assert_eq!(
            [All, WritesOnly, MutationsOnly, DeletesOnly, FailuresOnly, Off].map(passes),
            [7, 6, 2, 1, 0, 0]
        );
    }
}
