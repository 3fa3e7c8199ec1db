//! When an instance that exited is started again.
//!
//! As a kubelet does it: the first restart after `delay`, then after `backoff`, which doubles up to
//! `backoff_max`. A kubelet begins anew after ten minutes; runs here are minutes long, so an
//! instance that was ready for ten times `backoff` without a break begins anew.
//! Invariant: decides only; it neither waits nor starts.

use std::time::Duration;

use chaos_plan::plan::{Restart, RestartPolicy};

/// Times `backoff` that an instance must have been ready for its past failures to be forgotten.
const FORGIVEN_AFTER: u32 = 10;

#[derive(Debug)]
pub(super) struct Backoff<'a> {
    policy: &'a Restart,
    /// Restarts since it was last forgiven.
    restarts: u32,
}

impl<'a> Backoff<'a> {
    pub(super) fn new(policy: &'a Restart) -> Self {
        Self {
            policy,
            restarts: 0,
        }
    }

    /// How long to wait before the next start; `None` leaves it down.
    pub(super) fn next(&mut self, failed: bool, ready_for: Duration) -> Option<Duration> {
        let again = match self.policy.policy {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => failed,
            RestartPolicy::Never => false,
        };
        if !again {
            return None;
        }
        if !ready_for.is_zero() && ready_for >= self.policy.backoff * FORGIVEN_AFTER {
            self.restarts = 0;
        }
        let Restart {
            delay,
            backoff,
            backoff_max,
            ..
        } = self.policy;
        let wait = match self.restarts {
            0 => *delay,
            restarts => backoff
                .saturating_mul(2_u32.saturating_pow(restarts - 1))
                .min(*backoff_max),
        };
        self.restarts = self.restarts.saturating_add(1);
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNREADY: u64 = 0;

    /// Exits after having been ready for so many ms, and the waits in ms that follow.
    fn check(policy: RestartPolicy, exits: &[(bool, u64)], expected: &[Option<u64>]) {
        let restart = Restart {
            policy,
            delay: Duration::from_millis(100),
            backoff: Duration::from_millis(500),
            backoff_max: Duration::from_secs(3),
        };
        let mut backoff = Backoff::new(&restart);
        let waits: Vec<Option<u64>> = exits
            .iter()
            .map(|&(failed, ready_ms)| backoff.next(failed, Duration::from_millis(ready_ms)))
            .map(|wait| wait.map(|wait| u64::try_from(wait.as_millis()).expect("short")))
            .collect();
        assert_eq!(waits, expected);
    }

    #[test]
    fn the_first_restart_waits_its_delay_and_then_waits_double() {
        let exits = [(true, UNREADY); 6];
        let waits = [100, 500, 1000, 2000, 3000, 3000].map(Some);
        check(RestartPolicy::Always, &exits, &waits);
    }

    #[test]
    fn ten_times_the_backoff_ready_begins_anew() {
        let exits = [
            (true, UNREADY),
            (true, 4_999),
            (true, 5_000),
            (true, UNREADY),
        ];
        check(
            RestartPolicy::Always,
            &exits,
            &[100, 500, 100, 500].map(Some),
        );
    }

    #[test]
    fn the_policy_decides_whether_at_all() {
        check(RestartPolicy::Always, &[(false, UNREADY)], &[Some(100)]);
        check(
            RestartPolicy::OnFailure,
            &[(true, UNREADY), (false, UNREADY)],
            &[Some(100), None],
        );
        check(RestartPolicy::Never, &[(true, UNREADY)], &[None]);
    }

    #[test]
    fn a_long_crash_loop_neither_overflows_nor_exceeds_the_longest_wait() {
        let exits = [(true, UNREADY); 100];
        let mut waits = [Some(3_000); 100];
        waits[..4].copy_from_slice(&[100, 500, 1000, 2000].map(Some));
        check(RestartPolicy::Always, &exits, &waits);
    }
}
