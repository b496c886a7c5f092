//! Which partitions nobody has, by the group coordinator's word.
//!
//! Kafka gives a static member that joins anew what its last assignment said, without sharing out again (KIP-345). If the
//! one before ended between the two steps of a cooperative rebalance (KIP-429), after its partition was taken away and
//! before it had said so, then nobody gets that partition until the group is shared out the next time.

use audit_event::PartitionId;
use rdkafka::groups::{GroupInfo, GroupMemberInfo};

/// The state of a group that is not being shared out.
const STABLE: &str = "Stable";

/// Those of the topic's first `count` partitions that no member of a settled group has; none while it is being shared
/// out, or if an assignment is not understood.
pub(super) fn unowned(group: &GroupInfo, topic: &str, count: usize) -> Vec<PartitionId> {
    if group.state() != STABLE {
        return Vec::new();
    }
    let Some(owned) =
        group.members().iter().map(|member| of_member(member, topic)).collect::<Option<Vec<_>>>()
    else {
        return Vec::new();
    };
    let owned: Vec<_> = owned.into_iter().flatten().collect();
    let all = (0..).map(PartitionId).take(count);
    all.filter(|partition| !owned.contains(partition)).collect()
}

fn of_member(member: &GroupMemberInfo, topic: &str) -> Option<Vec<PartitionId>> {
    partitions_in(member.assignment().unwrap_or_default(), topic)
}

/// Reads Kafka's `ConsumerProtocolAssignment`: a version, then the partitions of each topic, then what is not looked at.
/// A member that has nothing may have nothing written either.
fn partitions_in(assignment: &[u8], topic: &str) -> Option<Vec<PartitionId>> {
    let mut found = Vec::new();
    if assignment.is_empty() {
        return Some(found);
    }
    let mut rest = assignment.get(2..)?;
    for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let is_ours = rest.get(..length)? == topic.as_bytes();
        rest = rest.get(length..)?;
        for _ in 0..i32::from_be_bytes(take(&mut rest)?) {
            let partition = PartitionId(i32::from_be_bytes(take(&mut rest)?));
            if is_ours {
                found.push(partition);
            }
        }
    }
    Some(found)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two topics; partitions 1 and 3 of `events`.
    const ASSIGNMENT: &[u8] =
        b"\0\x01\0\0\0\x02\0\x01x\0\0\0\x01\0\0\0\x07\0\x06events\0\0\0\x02\0\0\0\x01\0\0\0\x03\
        \xff\xff\xff\xff";

    #[test]
    fn an_assignment_is_read() {
        let of = |topic| partitions_in(ASSIGNMENT, topic);
        assert_eq!(of("events"), Some(vec![PartitionId(1), PartitionId(3)]));
        assert_eq!(of("x"), Some(vec![PartitionId(7)]));
        assert_eq!(of("y"), Some(Vec::new()));
        assert_eq!(partitions_in(b"", "events"), Some(Vec::new()));
    }

    #[test]
    fn a_cut_assignment_is_not_understood() {
        let whole = ASSIGNMENT.len() - 4;
        for end in 1..whole {
            assert_eq!(partitions_in(&ASSIGNMENT[..end], "events"), None, "cut at {end}");
        }
    }
}
