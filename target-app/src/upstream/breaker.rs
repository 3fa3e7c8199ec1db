//! Whether a callee is asked at all.
//!
//! ```text
//! closed --[`RUN`] failures in a row, or [`SHARE_PERCENT`] of at least [`CALLS_MIN`] calls--> open
//! open --after a [`PAUSE`]--> half-open, with [`PROBES`] calls at a time
//! half-open --[`GOOD_PROBES`] answers--> closed        half-open --one failure--> open
//! ```
//!
//! A failure is a call without an answer after all its tries; any answer, also of an error, shows that
//! the callee lives. One instance of several that is gone makes no failures, since its calls are tried
//! again elsewhere; one that hangs makes some, but never [`RUN`] in a row beside others that answer.
//!
//! The pause does not grow: [`PROBES`] calls in each cost a callee that is coming back nothing, while a
//! longer one would keep shoppers away from a callee that answers again.
//!
//! Invariant: pure, time and chance are told; while open no call is admitted, and the fate of a call
//! counts only in the state that admitted it.

use std::time::Duration;

use super::window::Window;

/// Failures in a row that open the breaker. At 30 calls a second and a limit of 1.2 s that is 1.6 s after
/// the callee fell silent.
pub(super) const RUN: u32 = 10;
/// The share of failures that opens it, in percent: with one of two instances hanging it is about half.
const SHARE_PERCENT: u64 = 80;
/// The fewest calls of which a share is taken.
const CALLS_MIN: u64 = 20;
/// How long calls are remembered for the share.
const REMEMBERED: Duration = Duration::from_secs(5);
/// How long nothing is asked of a callee that fails, and so, beside the limit of a call, the longest time
/// until one that is back is noticed.
const PAUSE: Duration = Duration::from_millis(250);
/// By how much of itself chance may shorten a pause, so that callers do not come back in step.
const JITTER: f64 = 0.25;
/// Calls let through at a time to see whether the callee is back.
pub(super) const PROBES: u32 = 2;
/// Probes that must be answered before all calls are let through.
const GOOD_PROBES: u32 = 2;

const GOOD: usize = 0;
const FAILED: usize = 1;

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// There was an answer.
    Answered,
    /// There was none.
    Failed,
    /// The caller went away so early that nothing can be said.
    Abandoned,
}

/// The right to make a call, to be given back with its fate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// Counts the states so far.
    age: u64,
    pub(super) probe: bool,
}

/// What a fate changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Opened,
    /// A probe failed.
    OpenedAgain,
    Closed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed { run: u32 },
    Open { until: Duration },
    HalfOpen { probing: u32, good: u32 },
}

/// The breaker before one callee. Times are since any fixed moment and never go back.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    age: u64,
    calls: Window<2>,
}

impl Breaker {
    pub(super) fn new() -> Self {
        Self {
            state: State::Closed { run: 0 },
            age: 0,
            calls: Window::new(REMEMBERED),
        }
    }

    /// Admits a call, or says how long none will be.
    pub(super) fn admit(&mut self, now: Duration) -> Result<Ticket, Duration> {
        if let Some(wait) = self.wait(now) {
            return Err(wait);
        }
        match &mut self.state {
            State::Closed { .. } => {}
            State::Open { .. } => self.enter(State::HalfOpen {
                probing: 1,
                good: 0,
            }),
            State::HalfOpen { probing, .. } => *probing += 1,
        }
        Ok(Ticket {
            age: self.age,
            probe: matches!(self.state, State::HalfOpen { .. }),
        })
    }

    /// How long no call will be admitted, if one is not admitted now; a pause while probes are under way,
    /// since the first of them that fails begins one.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        match self.state {
            State::Open { until } if now < until => Some(until.saturating_sub(now)),
            State::HalfOpen { probing, .. } if probing >= PROBES => Some(PAUSE),
            State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
        }
    }

    /// Learns the fate of an admitted call; `chance`, from 0 to 1, is how much of [`JITTER`] a pause loses.
    pub(super) fn learn(
        &mut self,
        ticket: &Ticket,
        fate: Fate,
        now: Duration,
        chance: f64,
    ) -> Option<Change> {
        if ticket.age != self.age {
            return None;
        }
        match (&mut self.state, fate) {
            (State::Closed { run }, Fate::Answered) => {
                *run = 0;
                self.calls.add(now, GOOD);
                None
            }
            (State::Closed { run }, Fate::Failed) => {
                *run += 1;
                let run = *run;
                self.calls.add(now, FAILED);
                if run < RUN && !self.mostly_failed(now) {
                    return None;
                }
                self.open(now, chance);
                Some(Change::Opened)
            }
            (State::HalfOpen { probing, good }, Fate::Answered) => {
                *probing -= 1;
                *good += 1;
                if *good < GOOD_PROBES {
                    return None;
                }
                self.calls = Window::new(REMEMBERED);
                self.enter(State::Closed { run: 0 });
                Some(Change::Closed)
            }
            (State::HalfOpen { .. }, Fate::Failed) => {
                self.open(now, chance);
                Some(Change::OpenedAgain)
            }
            (State::HalfOpen { probing, .. }, Fate::Abandoned) => {
                *probing -= 1;
                None
            }
            (State::Closed { .. }, Fate::Abandoned) | (State::Open { .. }, _) => None,
        }
    }

    /// 0 closed, 1 half-open, 2 open.
    pub(super) fn level(&self) -> i64 {
        match self.state {
            State::Closed { .. } => 0,
            State::HalfOpen { .. } => 1,
            State::Open { .. } => 2,
        }
    }

    fn mostly_failed(&mut self, now: Duration) -> bool {
        let [good, failed] = self.calls.sum(now);
        let all = good + failed;
        all >= CALLS_MIN && failed * 100 >= all * SHARE_PERCENT
    }

    fn open(&mut self, now: Duration, chance: f64) {
        let until = now + PAUSE.mul_f64(1.0 - chance.clamp(0.0, 1.0) * JITTER);
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.age += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Makes a call that ends at once.
    fn call(breaker: &mut Breaker, at: Duration, fate: Fate) -> Result<Option<Change>, Duration> {
        let ticket = breaker.admit(at)?;
        Ok(breaker.learn(&ticket, fate, at, 0.0))
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::new();
        for turn in 1..=RUN {
            let change = call(&mut breaker, ms(0), Fate::Failed).unwrap();
            assert_eq!(change, (turn == RUN).then_some(Change::Opened));
        }
        breaker
    }

    #[test]
    fn a_run_of_failures_opens_it_and_two_answers_after_a_pause_close_it() {
        let mut breaker = opened();
        assert_eq!(breaker.admit(ms(100)).err(), PAUSE.checked_sub(ms(100)));
        assert_eq!(call(&mut breaker, PAUSE, Fate::Answered), Ok(None));
        let closed = call(&mut breaker, PAUSE + ms(1), Fate::Answered);
        assert_eq!(closed, Ok(Some(Change::Closed)));
        assert_eq!(breaker.level(), 0);
    }

    #[test]
    fn every_pause_is_as_long_as_the_first_and_chance_shortens_it_by_a_quarter() {
        let mut breaker = opened();
        let mut now = PAUSE;
        for _ in 0..10 {
            let again = call(&mut breaker, now, Fate::Failed);
            assert_eq!(again, Ok(Some(Change::OpenedAgain)));
            assert_eq!(breaker.wait(now), Some(PAUSE));
            now += PAUSE;
        }
        let probe = breaker.admit(now).unwrap();
        breaker.learn(&probe, Fate::Failed, now, 1.0);
        assert_eq!(breaker.wait(now), Some(PAUSE * 3 / 4));
    }

    #[test]
    fn only_two_probes_are_under_way_and_an_abandoned_one_makes_room() {
        let mut breaker = opened();
        let first = breaker.admit(PAUSE).unwrap();
        let second = breaker.admit(PAUSE).unwrap();
        assert!(first.probe && breaker.admit(PAUSE) == Err(PAUSE));
        breaker.learn(&first, Fate::Abandoned, PAUSE + ms(10), 0.0);
        assert!(breaker.admit(PAUSE + ms(10)).is_ok());
        assert!(breaker.admit(PAUSE + ms(10)).is_err());
        let again = breaker.learn(&second, Fate::Failed, PAUSE + ms(20), 0.0);
        assert_eq!(again, Some(Change::OpenedAgain));
    }

    #[test]
    fn what_was_begun_before_it_opened_says_nothing_afterwards() {
        let mut breaker = Breaker::new();
        let old = breaker.admit(ms(0)).unwrap();
        for _ in 0..RUN {
            call(&mut breaker, ms(0), Fate::Failed).unwrap();
        }
        let probe = breaker.admit(PAUSE).unwrap();
        assert_eq!(
            breaker.learn(&old, Fate::Failed, PAUSE + ms(100), 0.0),
            None
        );
        assert_eq!(
            breaker.learn(&old, Fate::Answered, PAUSE + ms(100), 0.0),
            None
        );
        assert_eq!(
            breaker.learn(&probe, Fate::Answered, PAUSE + ms(100), 0.0),
            None
        );
        assert_eq!(breaker.level(), 1);
    }

    #[test]
    fn half_of_the_calls_failing_in_turn_leaves_it_closed_and_nearly_all_open_it() {
        let mut breaker = Breaker::new();
        for turn in 0..1000_u64 {
            let fate = [Fate::Answered, Fate::Failed][usize::from(turn % 2 == 1)];
            assert_eq!(call(&mut breaker, ms(turn * 10), fate), Ok(None));
        }
        // Nine of ten: never a run of ten, but a share.
        let mut breaker = Breaker::new();
        let changes = (0..40_u64).map_while(|turn| {
            let fate = [Fate::Answered, Fate::Failed][usize::from(turn % 10 != 0)];
            call(&mut breaker, ms(turn * 10), fate).ok()
        });
        assert_eq!(changes.last(), Some(Some(Change::Opened)));
    }

    /// The longest time between two calls of a story.
    const GAP_MAX_MS: u64 = 60;

    /// Calls at random times against a callee that answers, hangs and comes back.
    #[derive(Debug, Clone)]
    struct Story {
        gaps_ms: Vec<u64>,
        /// The callee is silent from the first to the second.
        silent_ms: (u64, u64),
        limit_ms: u64,
        chance: f64,
    }

    fn stories() -> impl Strategy<Value = Story> {
        let gaps = prop::collection::vec(5..=GAP_MAX_MS, 400..900);
        let silent = (500_u64..3000, 2500_u64..12_000);
        (gaps, silent, 100_u64..1200, 0.0..1.0).prop_map(
            |(gaps_ms, (from, lasts), limit_ms, chance)| Story {
                gaps_ms,
                silent_ms: (from, from + lasts),
                limit_ms,
                chance,
            },
        )
    }

    /// When the breaker changed in a story, and when calls were admitted.
    fn play(story: &Story) -> (Vec<(Duration, Change)>, Vec<Duration>) {
        let mut breaker = Breaker::new();
        let (mut changes, mut admitted) = (Vec::new(), Vec::new());
        let mut pending: Vec<(Duration, Ticket, Fate)> = Vec::new();
        let mut now = Duration::ZERO;
        for gap in &story.gaps_ms {
            now += ms(*gap);
            pending.sort_by_key(|(at, ..)| *at);
            while pending.first().is_some_and(|(at, ..)| *at <= now) {
                let (at, ticket, fate) = pending.remove(0);
                let change = breaker.learn(&ticket, fate, at, story.chance);
                changes.extend(change.map(|change| (at, change)));
            }
            if let Ok(ticket) = breaker.admit(now) {
                admitted.push(now);
                let (from, until) = (ms(story.silent_ms.0), ms(story.silent_ms.1));
                let hangs = now >= from && now + ms(story.limit_ms) <= until;
                let (takes, fate) = if hangs {
                    (ms(story.limit_ms), Fate::Failed)
                } else {
                    (ms(3), Fate::Answered)
                };
                pending.push((now + takes, ticket, fate));
            }
        }
        (changes, admitted)
    }

    proptest! {
        #[test]
        fn it_opens_soon_after_silence_lets_few_through_and_closes_soon_after_the_end(story in stories()) {
            let (changes, admitted) = play(&story);
            let (from, until) = (ms(story.silent_ms.0), ms(story.silent_ms.1));
            let end: Duration = story.gaps_ms.iter().map(|gap| ms(*gap)).sum();
            let opened = changes.iter().find(|(_, change)| *change == Change::Opened);
            let limit = ms(story.limit_ms);
            // The calls of a run, and the limit of the last.
            let latest = from + ms(GAP_MAX_MS) * (RUN + 1) + limit;
            if until.min(end) > latest + limit {
                let (at, _) = opened.expect("it opens");
                prop_assert!(*at >= from && *at <= latest, "opened at {at:?}");
                let through = admitted.iter().filter(|time| **time > *at && **time + limit <= until).count();
                // As many at a time as there are probes, each time after a pause and their limit.
                let (silence, turn) = (until.saturating_sub(*at), PAUSE.mul_f64(1.0 - JITTER) + limit);
                let bound = u128::from(PROBES) * (1 + silence.as_nanos() / turn.as_nanos());
                prop_assert!(through as u128 <= bound, "{through} of {bound} until {until:?}");
            } else if opened.is_none() {
                prop_assert!(changes.is_empty());
            }
            // A pause that begins at the end, and a call for each probe that must be answered.
            let noticed = until + PAUSE + ms(GAP_MAX_MS) * (GOOD_PROBES + 1);
            if end > noticed + ms(GAP_MAX_MS) {
                let last = changes.last();
                prop_assert!(last.is_none_or(|(_, change)| *change == Change::Closed), "{changes:?}");
                prop_assert!(last.is_none_or(|(at, _)| *at <= noticed), "{changes:?} after {noticed:?}");
            }
        }
    }
}
