//! How many journeys users without a cycle may still begin, where the last stage ends with a number.
//!
//! Invariant: no more begin than the plan says, on all workers together, and none that began before
//! the last stage is among them.

use std::sync::atomic::{AtomicU64, Ordering};

use chaos_plan::plan::Load;

use crate::clock::length_ns;

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Budget {
    /// Raw instant from which on journeys count.
    from_ns: u64,
    left: AtomicU64,
    /// Raw instant at which the last of them that is known of ended.
    ended_ns: AtomicU64,
}

impl Budget {
    /// None for a load that ends with its time.
    pub(crate) fn of(load: &Load, start_ns: u64) -> Option<Self> {
        let last = load.stages.last()?;
        Some(Self {
            from_ns: start_ns.saturating_add(length_ns(last.start)),
            left: AtomicU64::new(load.journeys_max?),
            ended_ns: AtomicU64::new(0),
        })
    }

    /// Whether a journey may begin at this raw instant; it is taken from what is left.
    pub(crate) fn take(&self, at_ns: u64) -> bool {
        let take = |left: u64| left.checked_sub(1);
        at_ns < self.from_ns
            || self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok()
    }

    pub(crate) fn is_spent(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    /// A journey ended.
    pub(crate) fn ended(&self, at_ns: u64) {
        self.ended_ns.fetch_max(at_ns, Ordering::Relaxed);
    }

    /// Raw instant at which the last one ended, once all have.
    pub(crate) fn spent_ns(&self) -> Option<u64> {
        self.is_spent()
            .then(|| self.ended_ns.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use chaos_testkit::plan::{PlanBuilder, get};

    use super::*;

    fn budget(journeys: u64) -> Budget {
        let mut plan = PlanBuilder::new()
            .users("before", 1.0, 2)
            .users("counted", 3_600.0, 2)
            .journey("j", 1.0, vec![get("g", "/")])
            .build();
        plan.end_after(journeys);
        Budget::of(&plan.load, 500).expect("users without a cycle")
    }

    #[test]
    fn all_threads_together_take_no_more_than_there_is() {
        let budget = budget(10_000);
        assert!(budget.take(1_000_000_499), "what comes before is free");
        let take = || (0..6_000).filter(|_| budget.take(1_000_000_500)).count();
        let taken = thread::scope(|scope| {
            let threads = [scope.spawn(take), scope.spawn(take)];
            threads.map(|thread| thread.join().expect("no panic"))
        });
        assert_eq!(taken.iter().sum::<usize>(), 10_000);
        budget.ended(7);
        budget.ended(5);
        assert_eq!(budget.spent_ns(), Some(7));
    }

    #[test]
    fn a_load_with_a_rate_ends_with_its_time() {
        let mut plan = PlanBuilder::new()
            .stage("s", 1.0, 10.0)
            .journey("j", 1.0, vec![get("g", "/")])
            .build();
        plan.end_after(3);
        assert!(Budget::of(&plan.load, 0).is_none());
    }
}
