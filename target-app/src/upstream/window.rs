//! Counts of the last seconds.
//!
//! Invariant: what was counted within the span less one slot is in the sum, and nothing older than the
//! span is; the memory does not grow.

use std::time::Duration;

/// Slots a window is made of.
const SLOTS: u8 = 10;

/// Counts of several kinds, forgotten when they are older than the span.
#[derive(Debug, Clone)]
pub(super) struct Window<const KINDS: usize> {
    slot: Duration,
    counts: [[u64; KINDS]; SLOTS as usize],
    /// The number of the newest slot, counted from the beginning of time.
    newest: u128,
}

impl<const KINDS: usize> Window<KINDS> {
    pub(super) fn new(span: Duration) -> Self {
        Self {
            slot: span / u32::from(SLOTS),
            counts: [[0; KINDS]; SLOTS as usize],
            newest: 0,
        }
    }

    /// Counts one, at a time that is not before that of any call so far.
    pub(super) fn add(&mut self, now: Duration, kind: usize) {
        let at = self.turn_to(now);
        self.counts[at][kind] += 1;
    }

    /// What was counted within the span.
    pub(super) fn sum(&mut self, now: Duration) -> [u64; KINDS] {
        self.turn_to(now);
        let mut sum = [0; KINDS];
        for slot in &self.counts {
            for (kind, count) in slot.iter().enumerate() {
                sum[kind] += count;
            }
        }
        sum
    }

    // Empties what has become too old; the place of the newest slot.
    fn turn_to(&mut self, now: Duration) -> usize {
        let number = now.as_nanos() / self.slot.as_nanos();
        let passed = number.saturating_sub(self.newest).min(u128::from(SLOTS));
        for step in 1..=passed {
            self.counts[place(self.newest + step)] = [0; KINDS];
        }
        self.newest = self.newest.max(number);
        place(self.newest)
    }
}

fn place(number: u128) -> usize {
    usize::try_from(number % u128::from(SLOTS)).expect("a remainder of ten fits")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SPAN: Duration = Duration::from_secs(5);

    proptest! {
        #[test]
        fn the_sum_is_that_of_the_last_span_give_or_take_one_slot(
            gaps_ms in prop::collection::vec(0_u64..3000, 1..100),
        ) {
            let mut window = Window::<1>::new(SPAN);
            let mut times = Vec::new();
            let mut now = Duration::ZERO;
            for gap in gaps_ms {
                now += Duration::from_millis(gap);
                window.add(now, 0);
                times.push(now);
                let younger_than = |age: Duration| {
                    times.iter().filter(|at| now.saturating_sub(**at) < age).count() as u64
                };
                let [sum] = window.sum(now);
                prop_assert!(sum >= younger_than(SPAN * 9 / 10), "{sum} at {now:?} of {times:?}");
                prop_assert!(sum <= younger_than(SPAN), "{sum} at {now:?} of {times:?}");
            }
        }
    }
}
