//! How long answers took.

use std::time::Duration;

/// Every single one: a siege has some hundred thousand of them at most.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    pub fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The time within which this share of the answers came, in milliseconds (nearest rank).
    pub fn quantiles_ms<const N: usize>(&self, shares: [f64; N]) -> [f64; N] {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        shares.map(|share| {
            let rank = (share * sorted.len() as f64).ceil() as usize;
            let at = rank.clamp(1, sorted.len().max(1)) - 1;
            sorted.get(at).map_or(f64::NAN, |took| took.as_secs_f64() * 1e3)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_rank_is_taken() {
        let mut latencies = Latencies::default();
        (1..=100).rev().for_each(|ms| latencies.add(Duration::from_millis(ms)));
        assert_eq!(latencies.quantiles_ms([0.0, 0.5, 0.99, 1.0]), [1.0, 50.0, 99.0, 100.0]);
        assert!(Latencies::default().quantiles_ms([0.5])[0].is_nan());
    }
}
