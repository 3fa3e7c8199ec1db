//! Tells the workers when faults took effect.
//!
//! Invariant: lock-free and of fixed size; a fault takes effect once, of several reports the earliest stands.

use std::sync::atomic::{AtomicU64, Ordering};

const NOT_YET: u64 = u64::MAX;

/// The instant at which each fault took effect, shared by the conductor (writes) and the workers (read).
#[derive(Debug)]
pub struct FaultClock {
    slots: Box<[AtomicU64]>,
}

impl FaultClock {
    /// For a plan with this number of faults; slot `i` belongs to `plan.faults[i]`.
    pub fn new(faults: usize) -> Self {
        Self {
            slots: (0..faults).map(|_| AtomicU64::new(NOT_YET)).collect(),
        }
    }

    /// The fault of `slot` took effect at `at_ns`, raw as [`crate::clock::now_ns`] counts. Slots there are not are ignored.
    pub fn effective(&self, slot: usize, at_ns: u64) {
        if let Some(instant) = self.slots.get(slot) {
            instant.fetch_min(at_ns, Ordering::Release);
        }
    }

    /// Whether any fault took effect after `from_ns` and not later than `until_ns`.
    pub(crate) fn any_within(&self, from_ns: u64, until_ns: u64) -> bool {
        self.slots.iter().any(|slot| {
            let at_ns = slot.load(Ordering::Acquire);
            from_ns < at_ns && at_ns <= until_ns && at_ns != NOT_YET
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_caught_if_the_fault_begins_within_it() {
        let faults = FaultClock::new(2);
        assert!(!faults.any_within(0, u64::MAX));
        faults.effective(1, 100);
        for (from_ns, until_ns, caught) in [
            (99, 100, true),
            (0, 200, true),
            (100, 200, false),
            (0, 99, false),
        ] {
            assert_eq!(
                faults.any_within(from_ns, until_ns),
                caught,
                "{from_ns} to {until_ns}"
            );
        }
    }

    #[test]
    fn the_earliest_report_stands_and_unknown_slots_are_ignored() {
        let faults = FaultClock::new(1);
        faults.effective(0, 100);
        faults.effective(0, 500);
        faults.effective(7, 500);
        assert!(faults.any_within(50, 100));
        assert!(!faults.any_within(400, 600));
    }
}
