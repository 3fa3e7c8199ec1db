//! How late a thread wakes that does nothing but sleep, as jHiccup measures it.
//!
//! Invariant: weighted by time. One late wake-up of 50 ms on a grid of 5 ms stands for ten instants
//! at which a wake-up was due: 50 ms late, 45 ms, and so on (Gil Tene, "expected interval"). So its
//! quantiles can be laid beside those of the lag of requests, which are due at any instant too.

use chaos_record::histogram::{Sparse, new_histogram, record_ns};
use hdrhistogram::Histogram;

/// Most instants one late wake-up stands for: half a minute on a grid of 5 ms.
const MISSED_MAX: usize = 6_000;

#[derive(Debug)]
pub(super) struct Hiccups(Histogram<u64>);

impl Default for Hiccups {
    fn default() -> Self {
        Self(new_histogram())
    }
}

impl Hiccups {
    /// A wake-up that was due at `due_ns` came at `now_ns`.
    pub(super) fn woke(&mut self, due_ns: u64, now_ns: u64, period_ns: u64) {
        let late_ns = now_ns.saturating_sub(due_ns);
        record_ns(&mut self.0, late_ns);
        let mut missed_ns = late_ns;
        for _ in 0..MISSED_MAX {
            if missed_ns <= period_ns {
                return;
            }
            missed_ns -= period_ns;
            record_ns(&mut self.0, missed_ns);
        }
    }

    /// What was noted since the last time.
    pub(super) fn take(&mut self) -> Sparse {
        let taken = Sparse::from(&self.0);
        self.0.reset();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_wake_up_stands_for_every_instant_it_missed() {
        let mut hiccups = Hiccups::default();
        hiccups.woke(0, 60_000, 5_000_000);
        hiccups.woke(0, 12_000_000, 5_000_000);
        let pairs: Vec<_> = hiccups.take().0;
        let near = |(us, count): (u64, u64), expected: u64| {
            us.abs_diff(expected) * 1_000 <= expected && count == 1
        };
        assert!(
            pairs.len() == 4
                && near(pairs[0], 60)
                && near(pairs[1], 2_000)
                && near(pairs[2], 7_000)
                && near(pairs[3], 12_000),
            "{pairs:?}"
        );
        assert!(hiccups.take().is_empty());
    }

    #[test]
    fn a_thread_stopped_for_a_day_takes_bounded_time() {
        let mut hiccups = Hiccups::default();
        hiccups.woke(0, 86_400_000_000_000, 5_000_000);
        let count: u64 = hiccups.take().0.iter().map(|(_, count)| count).sum();
        assert_eq!(count, MISSED_MAX as u64 + 1);
    }
}
