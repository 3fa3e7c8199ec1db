//! When: the arrivals of one worker, handed out as they fall due.
//!
//! While a search goes on, they are known up to the instant the [`SearchClock`] grants; what comes
//! after is looked up when that instant is reached.
//!
//! Invariant: pure. It asks no clock and no client; every arrival of the plan belongs to exactly
//! one worker and keeps its own intended instant, however late it is handed out.

use std::sync::Arc;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::Role;
use chaos_plan::schedule::{Arrival, Schedule};

use crate::clock::length_ns;
use crate::search_clock::SearchClock;

/// A journey that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Position in the schedule of the whole plan.
    pub(crate) index: u64,
    /// Intended instant on the raw clock.
    pub(crate) intended_ns: u64,
    /// Index into `plan.load.journeys`.
    pub(crate) journey: usize,
    /// Whose turn it waits for: one user goes on one journey at a time.
    pub(crate) user: Option<u32>,
}

/// Which slice of the load: arrivals, connections, or users without connections of their own, whose number
/// leaves the rest `worker` when divided by `workers`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) worker: usize,
    pub(crate) workers: usize,
}

impl Slice {
    /// Users are dealt out to the `connections` in turn and belong to the worker that keeps theirs: it has as
    /// many of them as its connections carry.
    pub(crate) fn has_user(self, user: u32, connections: Option<u32>) -> bool {
        let connection = connections.map_or(user, |connections| user % connections.max(1));
        self.has(u64::from(connection))
    }

    /// All journeys of a user belong together.
    fn has_arrival(self, arrival: &Arrival, connections: Option<u32>) -> bool {
        match arrival.user {
            Some(user) => self.has_user(user, connections),
            None => self.has(arrival.index),
        }
    }

    fn has(self, number: u64) -> bool {
        number % self.workers.max(1) as u64 == self.worker as u64
    }
}

/// One worker's arrivals, in order of time.
#[derive(Debug)]
pub(crate) struct Pace {
    schedule: Schedule,
    slice: Slice,
    connections: Option<u32>,
    start_ns: u64,
    next: Option<Due>,
    /// Arrivals before this instant are certain, nanoseconds from the start of the load.
    certain_ns: u64,
    /// The search that goes on.
    search: Option<Arc<SearchClock>>,
    /// Its segments that were taken in.
    segments: usize,
}

impl Pace {
    /// `start_ns` is the raw instant of load time zero.
    pub(crate) fn new(
        plan: &Plan,
        start_ns: u64,
        slice: Slice,
        search: Option<Arc<SearchClock>>,
    ) -> Self {
        let mut pace = Self {
            schedule: Schedule::new(plan),
            slice,
            connections: plan.load.connections,
            start_ns,
            next: None,
            certain_ns: search.as_ref().map_or(u64::MAX, |_| 0),
            search,
            segments: 0,
        };
        pace.advance();
        pace
    }

    /// Intended instant of the next arrival, or where a search may have more; `None` after the last.
    /// No arrival that is still to come is intended before it.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        let search = self.search.as_ref();
        self.arrival_ns()
            .or_else(|| search.map(|_| self.start_ns.saturating_add(self.certain_ns)))
    }

    /// Intended instant of the next arrival, if it is known.
    pub(crate) fn arrival_ns(&self) -> Option<u64> {
        self.next.map(|due| due.intended_ns)
    }

    /// The next arrival if its instant is not after `now_ns`.
    pub(crate) fn due(&mut self, now_ns: u64) -> Option<Due> {
        if self.next.is_none() && self.search.is_some() {
            self.advance();
        }
        let due = self.next.filter(|due| due.intended_ns <= now_ns)?;
        self.advance();
        Some(due)
    }

    fn advance(&mut self) {
        self.next = self.find();
        if self.next.is_none() && self.search.is_some() {
            self.look_further();
            self.next = self.find();
        }
    }

    /// The worker's next arrival among those that are certain.
    fn find(&mut self) -> Option<Due> {
        let certain = Duration::from_nanos(self.certain_ns);
        loop {
            let arrival = self.schedule.next_before(certain)?;
            if self.slice.has_arrival(&arrival, self.connections) {
                return Some(Due {
                    index: arrival.index,
                    intended_ns: self.start_ns.saturating_add(length_ns(arrival.at)),
                    journey: arrival.journey,
                    user: arrival.user,
                });
            }
        }
    }

    /// Takes in what the search has decided on since. What is granted is read first: every segment
    /// that begins before it was published before.
    fn look_further(&mut self) {
        let Some(search) = &self.search else { return };
        self.certain_ns = search.granted_ns();
        let mut is_over = self.certain_ns == u64::MAX;
        while let Some(segment) = search.segment(self.segments) {
            self.segments += 1;
            self.schedule.follow(segment);
            is_over |= segment.role == Role::End;
        }
        if is_over {
            self.certain_ns = u64::MAX;
            self.search = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{Arrivals, Segment};
    use chaos_plan::units::Rate;
    use chaos_testkit::plan::{PlanBuilder, get};
    use proptest::prelude::*;

    use super::*;

    fn plan(arrivals: Arrivals, rate: f64, seed: u64) -> Plan {
        PlanBuilder::new()
            .arrivals(arrivals)
            .seed(seed)
            .stage("s", 3.0, rate)
            .journey("j", 1.0, vec![get("g", "/")])
            .build()
    }

    fn all(plan: &Plan, start_ns: u64, slice: Slice) -> Vec<Due> {
        let mut pace = Pace::new(plan, start_ns, slice, None);
        std::iter::from_fn(|| pace.due(u64::MAX)).collect()
    }

    proptest! {
        #[test]
        fn the_slices_of_all_workers_are_the_schedule(workers in 1_usize..6, rate in 1.0..200.0_f64, seed: u64) {
            let plan = plan(Arrivals::Poisson, rate, seed);
            let mut due: Vec<Due> = (0..workers).flat_map(|worker| all(&plan, 5, Slice { worker, workers })).collect();
            due.sort_by_key(|due| due.index);
            let expected: Vec<Due> = Schedule::new(&plan)
                .map(|arrival| Due { index: arrival.index, intended_ns: 5 + length_ns(arrival.at), journey: arrival.journey, user: arrival.user })
                .collect();
            prop_assert_eq!(due, expected);
        }
    }

    #[test]
    fn in_a_search_only_what_is_granted_is_handed_out() {
        let plan = PlanBuilder::new()
            .stage("s", 1.0, 10.0)
            .journey("j", 1.0, vec![get("g", "/")])
            .search((10.0, 100.0), 4.0, 0.05)
            .build();
        let search = plan.load.search.as_ref().expect("a search");
        let clock = Arc::new(SearchClock::new(search));
        let slice = Slice {
            worker: 0,
            workers: 1,
        };
        let mut pace = Pace::new(&plan, 0, slice, Some(Arc::clone(&clock)));
        let mut due = |until_s: u64| {
            let due = std::iter::from_fn(|| pace.due(until_s * 1_000_000_000)).count();
            assert_eq!(pace.arrival_ns(), None, "nothing to stay awake for");
            (due, pace.next_ns().map(|at_ns| at_ns / 1_000_000))
        };
        assert_eq!(
            due(9),
            (10, Some(1_000)),
            "the stage, and nobody knows more"
        );
        let segment = |from_s: u64, rate, role| Segment {
            from: from_s * 1_000_000_000,
            until: (from_s + 4) * 1_000_000_000,
            rate: Rate::new(rate),
            role,
        };
        assert!(clock.publish(segment(2, 100.0, Role::Probe)));
        clock.grant(3_000_000_000);
        assert_eq!(due(9), (100, Some(3_000)), "a second of four");
        assert!(clock.publish(segment(3, 10.0, Role::Rest)));
        assert!(clock.publish(segment(5, 0.0, Role::End)));
        clock.grant(5_000_000_000);
        assert_eq!(due(9), (20, None), "two seconds of rest");
    }

    #[test]
    fn nothing_is_handed_out_before_it_is_due() {
        let plan = plan(Arrivals::Even, 10.0, 1);
        let mut pace = Pace::new(
            &plan,
            1_000,
            Slice {
                worker: 0,
                workers: 1,
            },
            None,
        );
        let first = 1_000 + 50_000_000;
        assert_eq!(pace.next_ns(), Some(first));
        assert_eq!(pace.due(first - 1), None);
        assert_eq!(pace.due(first).map(|due| due.intended_ns), Some(first));
        assert_eq!(pace.due(first), None);
    }

    #[test]
    fn what_is_late_keeps_its_own_instant() {
        let plan = plan(Arrivals::Even, 10.0, 1);
        let mut pace = Pace::new(
            &plan,
            0,
            Slice {
                worker: 0,
                workers: 1,
            },
            None,
        );
        let late: Vec<u64> = std::iter::from_fn(|| pace.due(1_000_000_000))
            .map(|due| due.intended_ns / 1_000_000)
            .collect();
        assert_eq!(late, [50, 150, 250, 350, 450, 550, 650, 750, 850, 950]);
    }
}
