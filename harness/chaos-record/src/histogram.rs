//! Histograms of durations, and their form in the record: pairs of value and count.
//!
//! HDR with 3 significant digits from 1 us to 1 h: a value is kept within 0.1 %.
//! Invariant: merging what was written gives the same counts as recording it all in one place.

use std::cmp::Ordering;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Largest value kept apart, in microseconds: one hour. Anything longer counts as this.
pub const MAX_US: u64 = 3_600_000_000;

/// An empty histogram of microseconds.
pub fn new_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MAX_US, 3).expect("1 us to 1 h with 3 digits is a valid layout")
}

/// Records `ns` nanoseconds, rounded to microseconds.
pub fn record_ns(histogram: &mut Histogram<u64>, ns: u64) {
    histogram.saturating_record(((ns + 500) / 1_000).clamp(1, MAX_US));
}

/// A histogram as it stands in the record: `[[microseconds, count], ...]`, ascending, zeros left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sparse(pub Vec<(u64, u64)>);

impl Sparse {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds this to `histogram`.
    pub fn add_to(&self, histogram: &mut Histogram<u64>) {
        for (us, count) in &self.0 {
            histogram.saturating_record_n((*us).clamp(1, MAX_US), *count);
        }
    }
}

impl Sparse {
    /// Adds `other`: counts of equal values add up, order stays ascending.
    pub fn merge(&mut self, other: &Self) {
        let mut merged = Vec::with_capacity(self.0.len() + other.0.len());
        let (mut left, mut right) = (
            self.0.iter().copied().peekable(),
            other.0.iter().copied().peekable(),
        );
        while let (Some((a, n)), Some((b, m))) = (left.peek().copied(), right.peek().copied()) {
            merged.push(match a.cmp(&b) {
                Ordering::Less => (a, n),
                Ordering::Greater => (b, m),
                Ordering::Equal => (a, n + m),
            });
            if a <= b {
                left.next();
            }
            if b <= a {
                right.next();
            }
        }
        merged.extend(left.chain(right));
        // Thousands of these are held for as long as a run lasts.
        merged.shrink_to_fit();
        self.0 = merged;
    }
}

impl From<&Histogram<u64>> for Sparse {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self(
            histogram
                .iter_recorded()
                .map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn writing_and_merging_equals_recording_all(left in prop::collection::vec(0_u64..10_000_000_000, 0..50), right in prop::collection::vec(0_u64..10_000_000_000, 0..50)) {
            let histogram_of = |values: &[u64]| {
                let mut histogram = new_histogram();
                for ns in values {
                    record_ns(&mut histogram, *ns);
                }
                histogram
            };
            let mut sparse = Sparse::from(&histogram_of(&left));
            sparse.merge(&Sparse::from(&histogram_of(&right)));
            let mut merged = new_histogram();
            Sparse::from(&histogram_of(&left)).add_to(&mut merged);
            Sparse::from(&histogram_of(&right)).add_to(&mut merged);
            let all: Vec<u64> = left.into_iter().chain(right).collect();
            prop_assert_eq!(&Sparse::from(&merged), &Sparse::from(&histogram_of(&all)));
            prop_assert_eq!(sparse, Sparse::from(&merged));
        }
    }
}
