//! Whether a sign of life has stood still for long enough to be one of death.
//!
//! Invariant: pure. Only time in which the sign was looked at again and again, and each look was answered,
//! counts: an API server that is away and a janitor that was stopped itself begin the wait anew.

use std::time::Duration;

/// A sign that has stood still for so long is nobody's.
pub(super) const STANDS_STILL: Duration = crate::kubernetes::lease::LASTS;
/// Longest time between two answers in which nothing can have been missed.
const GAP: Duration = Duration::from_secs(10);

/// What was seen so far.
#[derive(Debug)]
pub(super) struct Waiting<S>(Option<Seen<S>>);

#[derive(Debug)]
struct Seen<S> {
    sign: S,
    /// When it was first seen as it is.
    since: Duration,
    /// When it was last seen.
    last: Duration,
}

impl<S: PartialEq> Waiting<S> {
    pub(super) fn new() -> Self {
        Self(None)
    }

    /// Takes an answer: what was asked at `asked` was answered by `answered`, both on one clock that
    /// never goes back. True if the sign has stood still for long enough.
    pub(super) fn answered(&mut self, (asked, answered): (Duration, Duration), sign: S) -> bool {
        let before = self
            .0
            .take()
            .filter(|seen| seen.sign == sign && answered.saturating_sub(seen.last) <= GAP);
        // What is between is the least that it can have been.
        let since = before.map_or(answered, |seen| seen.since);
        self.0 = Some(Seen {
            sign,
            since,
            last: answered,
        });
        asked.saturating_sub(since) >= STANDS_STILL
    }

    /// Nobody answered, or somebody else was faster.
    pub(super) fn begin_anew(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When it would act, given what is seen every 2 s from 0 on; `None` is no answer.
    fn acts_at(seen: impl Fn(u64) -> Option<u64>, stopped: impl Fn(u64) -> bool) -> Option<u64> {
        let mut waiting = Waiting::new();
        (0..200).step_by(2).filter(|at| !stopped(*at)).find(|&at| {
            let now = Duration::from_secs(at);
            if let Some(sign) = seen(at) {
                return waiting.answered((now, now), sign);
            }
            waiting.begin_anew();
            false
        })
    }

    #[test]
    fn only_a_sign_that_stands_still_while_it_is_seen_is_one_of_death() {
        let awake = |_| false;
        // Renewed every 5 s, for ever and until 50.
        assert_eq!(acts_at(|at| Some(at / 5), awake), None);
        assert_eq!(acts_at(|at| Some(at.min(50) / 5), awake), Some(80));
        // The API server is away from 60 to 70; a second after it is back is not the end of 30.
        let away = |at: u64| (!(60..70).contains(&at)).then_some(at.min(50) / 5);
        assert_eq!(acts_at(away, awake), Some(100));
        // It was stopped itself, and the harness with it: both go on at 100.
        let both = |at: u64| {
            Some(if at < 50 {
                at / 5
            } else {
                at.saturating_sub(40) / 5
            })
        };
        assert_eq!(acts_at(both, |at| (50..100).contains(&at)), None);
        // The same, and the harness is dead: no time counts in which nobody looked.
        let dead = |at: u64| Some(at.min(50) / 5);
        assert_eq!(acts_at(dead, |at| (52..100).contains(&at)), Some(130));
    }

    #[test]
    fn a_slow_answer_counts_for_no_more_than_it_proves() {
        let at = Duration::from_secs;
        let mut waiting = Waiting::new();
        assert!(!waiting.answered((at(0), at(5)), "a"));
        for second in (7..35).step_by(4) {
            assert!(
                !waiting.answered((at(second), at(second + 2)), "a"),
                "{second}"
            );
        }
        // Seen since 5 at the latest; asked at 34 and answered at 36, that is 29 s.
        assert!(!waiting.answered((at(34), at(36)), "a"));
        assert!(waiting.answered((at(36), at(38)), "a"));
    }
}
