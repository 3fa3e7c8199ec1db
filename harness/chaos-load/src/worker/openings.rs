//! How many lanes may be opened now for those who find none idle.
//!
//! A lane that comes back serves sooner than one that is opened, and opening costs as much as several
//! requests: a worker that is behind must not get further behind by it. While lanes come back and the
//! line gets shorter by them, none is opened; if none comes back, the target is slow and all are needed.
//! Invariant: pure. Whoever waits is looked at again within [`LOOK_NS`].

/// About as long as opening takes; a lane that came back within it may well be followed by another.
const TURN_NS: u64 = 100_000;
/// Between two looks at whether the line gets shorter while lanes come back.
const LOOK_NS: u64 = 1_000_000;
/// Most lanes opened within [`TURN_NS`], so that answers are read in between.
const OPENED_MAX: usize = 32;

/// See above.
#[derive(Debug, Default)]
pub(super) struct Openings {
    /// What was opened since when, for the limit.
    since_ns: u64,
    opened: usize,
    /// When the line was looked at, and how many waited for lanes then.
    looked: Option<(u64, usize)>,
}

impl Openings {
    /// How many of the `waiting` may open a lane at `now_ns`, the last one having come back at
    /// `returned_ns`; it counts as done.
    pub(super) fn take(&mut self, waiting: usize, returned_ns: u64, now_ns: u64) -> usize {
        if now_ns.saturating_sub(returned_ns) < TURN_NS && self.gets_shorter(waiting, now_ns) {
            return 0;
        }
        if now_ns.saturating_sub(self.since_ns) >= TURN_NS {
            (self.since_ns, self.opened) = (now_ns, 0);
        }
        let opened = waiting.min(OPENED_MAX - self.opened);
        self.opened += opened;
        opened
    }

    /// Nobody waits for a lane.
    pub(super) fn nobody_waits(&mut self) {
        self.looked = None;
    }

    /// When those who still wait have to be looked at again.
    pub(super) fn look_ns(now_ns: u64) -> u64 {
        now_ns.saturating_add(TURN_NS)
    }

    /// True also as long as it is too early to tell.
    fn gets_shorter(&mut self, waiting: usize, now_ns: u64) -> bool {
        let (looked_ns, before) = *self.looked.get_or_insert((now_ns, waiting));
        if now_ns.saturating_sub(looked_ns) < LOOK_NS {
            return true;
        }
        self.looked = Some((now_ns, waiting));
        waiting < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1_000;
    const ZERO: u64 = 1_000_000 * US;

    #[test]
    fn a_slow_target_gets_a_lane_for_each_who_waits() {
        let mut openings = Openings::default();
        assert_eq!(openings.take(3, 0, ZERO), 3);
        assert_eq!(openings.take(1, 0, ZERO + US), 1);
        assert_eq!(openings.take(5, ZERO, ZERO + 100 * US), 5);
    }

    #[test]
    fn not_too_many_are_opened_at_once() {
        let mut openings = Openings::default();
        let opened: Vec<_> = [0, 40, 99, 100, 101]
            .map(|us| openings.take(30, 0, ZERO + us * US))
            .into();
        assert_eq!(opened, [30, 2, 0, 30, 2]);
    }

    #[test]
    fn none_is_opened_while_lanes_come_back_and_shorten_the_line() {
        let mut openings = Openings::default();
        // Two ms behind at 100,000/s, and ten too many come back each 100 us.
        for round in 0..20 {
            let now_ns = ZERO + round * 100 * US;
            let waiting = 200 - 10 * usize::try_from(round).expect("small");
            assert_eq!(openings.take(waiting, now_ns - US, now_ns), 0, "{round}");
        }
        // A target that is too slow for as many lanes: they come back, and the line grows.
        openings.nobody_waits();
        let opened: Vec<_> = [0, 5, 9, 10]
            .map(|tenth_ms| {
                let now_ns = ZERO + (40 + tenth_ms) * 100 * US;
                openings.take(20, now_ns - US, now_ns)
            })
            .into();
        assert_eq!(opened, [0, 0, 0, 20]);
    }
}
