//! How many calls may be tried again.
//!
//! Trying again helps against one failure and hurts against many: it multiplies the load of a callee
//! that has too much already.
//!
//! Invariant: pure, time is told; of the calls of any [`SPAN`], at most [`SHARE_PERCENT`] and [`FLOOR`]
//! more are tried again.

use std::time::Duration;

use super::window::Window;

/// The stretch over which tries are weighed against calls.
const SPAN: Duration = Duration::from_secs(10);
/// Tries allowed for a hundred calls.
const SHARE_PERCENT: u64 = 20;
/// Tries allowed whatever the number of calls, so that a quiet caller can outlive the death of an
/// instance to which it holds many connections.
const FLOOR: u64 = 20;

const CALLS: usize = 0;
const AGAIN: usize = 1;

/// Calls and repetitions of the last seconds.
#[derive(Debug)]
pub(super) struct Budget(Window<2>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Window::new(SPAN))
    }

    /// A call is made for the first time.
    pub(super) fn call(&mut self, now: Duration) {
        self.0.add(now, CALLS);
    }

    /// Whether one more try may be made; if so, it is counted.
    pub(super) fn take(&mut self, now: Duration) -> bool {
        let [calls, again] = self.0.sum(now);
        let allowed = again < FLOOR + calls * SHARE_PERCENT / 100;
        if allowed {
            self.0.add(now, AGAIN);
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quiet_caller_has_a_few_tries_and_gets_them_back() {
        let mut budget = Budget::new();
        let tries = |budget: &mut Budget, at| (0..100).filter(|_| budget.take(at)).count() as u64;
        budget.call(Duration::ZERO);
        assert_eq!(tries(&mut budget, Duration::ZERO), FLOOR);
        assert_eq!(tries(&mut budget, SPAN), FLOOR);
    }

    proptest! {
        #[test]
        fn tries_stay_below_their_share_in_every_span(
            steps in prop::collection::vec((0_u64..200, 0_u32..4), 1..300),
        ) {
            let mut budget = Budget::new();
            let mut now = Duration::ZERO;
            let (mut calls, mut again) = (Vec::new(), Vec::new());
            for (gap_ms, tries) in steps {
                now += Duration::from_millis(gap_ms);
                budget.call(now);
                calls.push(now);
                for _ in 0..tries {
                    if budget.take(now) {
                        again.push(now);
                    }
                }
                let within = |times: &[Duration], span: Duration| {
                    times.iter().filter(|at| now.saturating_sub(**at) < span).count() as u64
                };
                // The window remembers nine to ten tenths of its span.
                let allowed = FLOOR + within(&calls, SPAN) * SHARE_PERCENT / 100;
                prop_assert!(within(&again, SPAN * 9 / 10) <= allowed);
            }
            prop_assert!(budget.take(now) || again.len() as u64 >= FLOOR);
        }
    }
}
