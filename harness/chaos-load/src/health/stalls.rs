//! How late a worker's loop comes round to what it waits for, told to the watching thread.
//!
//! The loop asks to be woken at least every [`BEAT_NS`]; whatever keeps it (a core that was taken
//! away, a task that does not yield) makes it late, in the closed model too, where nothing is due.
//! Invariant: a worker writes a few counters that nobody else writes, and never waits.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use chaos_record::health::STALLS_NS;

/// Longest sleep of a worker's loop: half of the shortest stall that counts.
const BEAT_NS: u64 = 5_000_000;

/// What one worker tells while it runs.
#[derive(Debug)]
pub(crate) struct Stalls {
    budget_ns: u64,
    max_ns: AtomicU64,
    counts: [AtomicU64; 2],
    over_budget_ns: AtomicU64,
    /// Id of its thread; 0 until it runs.
    thread: AtomicI32,
    ended: AtomicBool,
}

/// What was told since it was last taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) max_ns: u64,
    pub(super) counts: [u64; 2],
    pub(super) over_budget_ns: u64,
}

impl Stalls {
    /// Stalls longer than `budget_ns` are added up.
    pub(crate) fn new(budget_ns: u64) -> Self {
        Self {
            budget_ns,
            max_ns: AtomicU64::new(0),
            counts: [AtomicU64::new(0), AtomicU64::new(0)],
            over_budget_ns: AtomicU64::new(0),
            thread: AtomicI32::new(0),
            ended: AtomicBool::new(false),
        }
    }

    /// The calling thread is the worker's; it has ended once what this gives is dropped.
    pub(crate) fn begin(&self) -> Begun<'_> {
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        self.thread.store(thread, Ordering::Release);
        Begun(self)
    }

    /// The instant to wake at, given what is waited for otherwise.
    pub(crate) fn beat_before(soonest_ns: u64, now_ns: u64) -> u64 {
        soonest_ns.min(now_ns.saturating_add(BEAT_NS))
    }

    /// The loop came round at `now_ns` to what was due at `due_ns`.
    pub(crate) fn came_round(&self, due_ns: u64, now_ns: u64) {
        let late_ns = now_ns.saturating_sub(due_ns);
        if late_ns > self.max_ns.load(Ordering::Relaxed) {
            self.max_ns.store(late_ns, Ordering::Relaxed);
        }
        for (count, limit_ns) in self.counts.iter().zip(STALLS_NS) {
            if late_ns > limit_ns {
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        if late_ns > self.budget_ns {
            self.over_budget_ns.fetch_add(late_ns, Ordering::Relaxed);
        }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Id of the worker's thread while it runs.
    pub(super) fn thread(&self) -> Option<i32> {
        let thread = self.thread.load(Ordering::Acquire);
        (thread != 0 && !self.has_ended()).then_some(thread)
    }

    pub(super) fn take(&self) -> Taken {
        Taken {
            max_ns: self.max_ns.swap(0, Ordering::Relaxed),
            counts: [0, 1].map(|i| self.counts[i].swap(0, Ordering::Relaxed)),
            over_budget_ns: self.over_budget_ns.swap(0, Ordering::Relaxed),
        }
    }
}

/// A worker that runs.
#[derive(Debug)]
pub(crate) struct Begun<'a>(&'a Stalls);

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn stalls_are_counted_by_length_and_taken_once() {
        let stalls = Stalls::new(20 * MS);
        for late in [0, 9, 11, 26, 21] {
            stalls.came_round(100 * MS, (100 + late) * MS);
        }
        stalls.came_round(200 * MS, 100 * MS);
        let expected = Taken {
            max_ns: 26 * MS,
            counts: [3, 1],
            over_budget_ns: 47 * MS,
        };
        assert_eq!(stalls.take(), expected);
        assert_eq!(stalls.take(), Taken::default());
    }

    #[test]
    fn a_loop_with_nothing_to_do_comes_round_all_the_same() {
        assert_eq!(Stalls::beat_before(u64::MAX, 7), 7 + BEAT_NS);
        assert_eq!(Stalls::beat_before(9, 7), 9);
    }

    #[test]
    fn a_worker_has_ended_also_by_a_panic() {
        let stalls = Stalls::new(0);
        assert_eq!((stalls.has_ended(), stalls.thread()), (false, None));
        let panicked = std::panic::catch_unwind(|| {
            let _begun = stalls.begin();
            assert!(stalls.thread().is_some());
            panic!("broken");
        });
        assert!(panicked.is_err() && stalls.has_ended() && stalls.thread().is_none());
    }
}
