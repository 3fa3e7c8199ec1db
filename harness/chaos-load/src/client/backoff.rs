//! How long to wait before a connection that could not be opened is tried again.
//!
//! Invariant: the wait doubles from 10 ms up to 1 s and is never shorter than half of that.

use rand::{Rng, RngExt};

const FIRST_NS: u64 = 10_000_000;
const LONGEST_NS: u64 = 1_000_000_000;

/// Waits between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    next_ns: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next_ns: FIRST_NS }
    }
}

impl Backoff {
    /// The wait after one more failure: between half of the full length and all of it, by chance, so
    /// that those who failed together do not come back together.
    pub(super) fn after_failure(&mut self, chance: &mut impl Rng) -> u64 {
        let full_ns = self.next_ns;
        self.next_ns = (full_ns * 2).min(LONGEST_NS);
        chance.random_range(full_ns / 2..=full_ns)
    }
}

#[cfg(test)]
mod tests {
    use chaos_plan::chance;

    use super::*;

    #[test]
    fn waits_double_up_to_a_second() {
        let mut chance = chance::stream(1, "test");
        let mut backoff = Backoff::default();
        let full_ms = [10, 20, 40, 80, 160, 320, 640, 1_000, 1_000];
        for full_ms in full_ms {
            let full_ns = full_ms * 1_000_000;
            let wait_ns = backoff.after_failure(&mut chance);
            assert!(
                (full_ns / 2..=full_ns).contains(&wait_ns),
                "{wait_ns} ns of {full_ms} ms"
            );
        }
    }
}
