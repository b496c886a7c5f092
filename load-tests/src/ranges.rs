//! Sets of numbers as ranges: a million acknowledged events in one pair.

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// Ascending, disjoint ranges, both ends included: `[[1,500],[502,1000]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds a number greater than all that are in it.
    pub fn push(&mut self, n: u64) {
        match self.0.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => self.0.push((n, n)),
        }
    }

    pub fn contains(&self, n: u64) -> bool {
        let after = self.0.partition_point(|(from, _)| *from <= n);
        after > 0 && n <= self.0[after - 1].1
    }

    pub fn len(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from + 1).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().flat_map(|(from, to)| *from..=*to)
    }

    /// Refuses ranges that somebody else wrote wrongly.
    pub fn check(&self, last: u64) -> Result<()> {
        let mut next = 1;
        for (from, to) in &self.0 {
            if *from < next || to < from || *to > last {
                bail!("the range [{from},{to}] is not ascending within 1 to {last}");
            }
            next = to + 1;
        }
        Ok(())
    }
}

impl FromIterator<u64> for Ranges {
    /// The numbers must ascend.
    fn from_iter<I: IntoIterator<Item = u64>>(numbers: I) -> Self {
        let mut ranges = Self::default();
        numbers.into_iter().for_each(|n| ranges.push(n));
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_join_and_come_back() {
        let ranges: Ranges = [1, 2, 3, 5, 9, 10].into_iter().collect();
        assert_eq!(serde_json::to_string(&ranges).expect("json"), "[[1,3],[5,5],[9,10]]");
        assert_eq!(ranges.iter().collect::<Vec<_>>(), [1, 2, 3, 5, 9, 10]);
        assert_eq!(ranges.len(), 6);
    }

    #[test]
    fn membership_holds_at_every_edge() {
        let ranges: Ranges = [2, 3, 7].into_iter().collect();
        let inside: Vec<u64> = (0..10).filter(|n| ranges.contains(*n)).collect();
        assert_eq!(inside, [2, 3, 7]);
        assert!(!Ranges::default().contains(1));
    }

    #[test]
    fn overlapping_reversed_and_outlying_ranges_are_refused() {
        for bad in ["[[1,5],[5,6]]", "[[6,5]]", "[[0,1]]", "[[1,11]]"] {
            let ranges: Ranges = serde_json::from_str(bad).expect("json");
            assert!(ranges.check(10).is_err(), "{bad}");
        }
        let good: Ranges = serde_json::from_str("[[1,4],[5,10]]").expect("json");
        good.check(10).expect("sound");
    }
}
