//! When each journey is due, in closed form from the plan.
//!
//! With rates the number of arrivals up to time `t` follows the integral of the rate, L(t). `even`
//! puts arrival `i` where L reaches `i + 1/2`; `poisson` puts it where L reaches the sum of `i + 1`
//! exponential gaps of mean 1 (time change of a unit Poisson process, Cinlar 1975). With users and
//! a cycle each user is due at a phase of its own in every cycle; without a cycle nothing is due.
//!
//! Invariant: arrivals depend on stages and seed alone: not on the clock, the number of workers
//! or how fast anyone is. Engine and verdict compute the same list.

mod users;

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::chance;
use crate::plan::{Arrivals, Level, Load, Model, Plan, Role, Segment, Stage};
use users::Cycles;

pub use users::users_at;

/// One planned journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Position in the schedule, from 0.
    pub index: u64,
    /// Intended instant, from the start of the load.
    pub at: Duration,
    /// Index into `plan.load.journeys`.
    pub journey: usize,
    /// The user whose journey it is, from 0; `None` in an open model.
    pub user: Option<u32>,
}

/// All arrivals of a plan, in order of time. Empty for users without a cycle.
#[derive(Debug, Clone)]
pub struct Schedule {
    integral: Integral,
    due: Due,
    mix: ChaCha8Rng,
    /// Running sums of the journeys' weights.
    weights: Vec<f64>,
    index: u64,
}

/// What makes journeys due.
#[derive(Debug, Clone)]
enum Due {
    Rate {
        arrivals: Arrivals,
        gaps: Box<ChaCha8Rng>,
        /// Where L must be for the next arrival.
        level: f64,
    },
    Users(Cycles),
    /// Users begin as soon as they have ended.
    Never,
}

impl Due {
    fn new(load: &Load, seed: u64) -> Self {
        match load.model {
            Model::Open => {
                let mut gaps = Box::new(chance::stream(seed, "arrivals"));
                let level = match load.arrivals {
                    Arrivals::Even => 0.5,
                    Arrivals::Poisson => gap(&mut gaps),
                };
                Self::Rate {
                    arrivals: load.arrivals,
                    gaps,
                    level,
                }
            }
            Model::Closed { cycle: Some(cycle) } => Self::Users(Cycles::new(load, cycle, seed)),
            Model::Closed { cycle: None } => Self::Never,
        }
    }

    /// The next one, if it is due before `until`; otherwise nothing has changed.
    fn next(
        &mut self,
        integral: &mut Integral,
        until: Duration,
    ) -> Option<(Duration, Option<u32>)> {
        match self {
            Self::Rate {
                arrivals,
                gaps,
                level,
            } => {
                let at = Duration::from_secs_f64(integral.reaches(*level)?);
                if at >= until {
                    return None;
                }
                *level += match arrivals {
                    Arrivals::Even => 1.0,
                    Arrivals::Poisson => gap(gaps),
                };
                Some((at, None))
            }
            Self::Users(cycles) => cycles.next().map(|(at, user)| (at, Some(user))),
            Self::Never => None,
        }
    }
}

fn gap(gaps: &mut ChaCha8Rng) -> f64 {
    // 1 - u is in (0, 1], so its logarithm is finite.
    -(1.0 - gaps.random::<f64>()).ln()
}

impl Schedule {
    pub fn new(plan: &Plan) -> Self {
        Self::of(&plan.load, plan.seed)
    }

    /// The schedule of a load under a seed.
    pub fn of(load: &Load, seed: u64) -> Self {
        let mut sum = 0.0;
        let weights = load.journeys.iter().map(|journey| {
            sum += journey.weight;
            sum
        });
        Self {
            integral: Integral::new(load),
            due: Due::new(load, seed),
            mix: chance::stream(seed, "journeys"),
            weights: weights.collect(),
            index: 0,
        }
    }

    /// Number of arrivals expected up to `at`: the integral of the rate, with users that of users
    /// through cycle (off by at most one for each user and stage), and 0 without a cycle.
    pub fn expected_until(&self, at: Duration) -> f64 {
        self.integral.until(at.as_secs_f64())
    }

    /// The next arrival if it is due before `until`; otherwise nothing has changed. Only rates look
    /// at `until`: users are never searched for.
    ///
    /// While a search goes on, arrivals are certain only up to where its next segment can begin.
    pub fn next_before(&mut self, until: Duration) -> Option<Arrival> {
        let (at, user) = self.due.next(&mut self.integral, until)?;
        let arrival = Arrival {
            index: self.index,
            at,
            journey: self.draw_journey(),
            user,
        };
        self.index += 1;
        Some(arrival)
    }

    /// Goes on with what a search decided on. No arrival from its begin on may have been taken
    /// already: then the rest is the same as if the whole list had been known from the start.
    pub fn follow(&mut self, segment: &Segment) {
        self.integral.follow(segment);
    }

    fn draw_journey(&mut self) -> usize {
        let total = self.weights.last().copied().unwrap_or(0.0);
        let point = self.mix.random::<f64>() * total;
        self.weights
            .partition_point(|sum| *sum <= point)
            .min(self.weights.len().saturating_sub(1))
    }
}

impl Iterator for Schedule {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        self.next_before(Duration::MAX)
    }
}

/// Journeys a second at begin and end of a stage, as far as they are planned.
fn rates(stage: &Stage, model: Model) -> (f64, f64) {
    match (stage.level, model) {
        (Level::Rate { from, to }, _) => (from.per_second(), to.per_second()),
        (Level::Users { from, to }, Model::Closed { cycle: Some(cycle) }) => {
            let a_second = |users: u32| f64::from(users) / cycle.as_secs_f64();
            (a_second(from), a_second(to))
        }
        (Level::Users { .. }, _) => (0.0, 0.0),
    }
}

/// L(t) for a list of stages, and its inverse.
#[derive(Debug, Clone)]
struct Integral {
    pieces: Vec<Piece>,
    /// The piece the last level fell into: levels only rise.
    current: usize,
}

/// One stage: L rises from `before` by `area` between `start` and `start + length` seconds.
#[derive(Debug, Clone, Copy)]
struct Piece {
    begin: Duration,
    start: f64,
    length: f64,
    from: f64,
    slope: f64,
    before: f64,
    area: f64,
}

impl Integral {
    fn new(load: &Load) -> Self {
        let mut integral = Self {
            pieces: Vec::with_capacity(load.stages.len()),
            current: 0,
        };
        for stage in &load.stages {
            integral.push(stage, rates(stage, load.model));
        }
        integral
    }

    fn push(&mut self, stage: &Stage, (from, to): (f64, f64)) {
        let length = stage.length.as_secs_f64();
        let slope = if length > 0.0 {
            (to - from) / length
        } else {
            0.0
        };
        let last = self.pieces.last();
        self.pieces.push(Piece {
            begin: stage.start,
            start: stage.start.as_secs_f64(),
            length,
            from,
            slope,
            before: last.map_or(0.0, |last| last.before + last.area),
            area: f64::midpoint(from, to) * length,
        });
    }

    /// Ends the last piece where the segment begins, and adds it. Only a constant piece is ever
    /// cut short: the segments of a search are, and its first one begins at the end of a stage.
    fn follow(&mut self, segment: &Segment) {
        let begin = Duration::from_nanos(segment.from);
        if let Some(last) = self.pieces.last_mut() {
            let length = begin.saturating_sub(last.begin).as_secs_f64();
            if length < last.length {
                last.length = length;
                last.area = last.from * length;
            }
        }
        if let Some(stage) = segment.stage("").filter(|_| segment.role != Role::End) {
            self.push(&stage, rates(&stage, Model::Open));
        }
    }

    fn until(&self, at: f64) -> f64 {
        self.pieces
            .iter()
            .map(|piece| {
                let s = (at - piece.start).clamp(0.0, piece.length);
                piece.from * s + piece.slope * s * s / 2.0
            })
            .sum()
    }

    /// The time at which L reaches `level`; `None` past the end.
    fn reaches(&mut self, level: f64) -> Option<f64> {
        while level >= self.pieces.get(self.current)?.before + self.pieces[self.current].area {
            self.current += 1;
        }
        let piece = self.pieces[self.current];
        let rest = level - piece.before;
        // The root of from*s + slope*s^2/2 = rest, in the form that loses no digits for a small slope.
        let root = (piece.from * piece.from + 2.0 * piece.slope * rest)
            .max(0.0)
            .sqrt();
        Some(piece.start + (2.0 * rest / (piece.from + root)).clamp(0.0, piece.length))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::plan::Journey;
    use crate::units::Rate;

    fn load(arrivals: Arrivals, rates: &[(u64, f64, f64)]) -> Load {
        let mut start = Duration::ZERO;
        let stages = rates.iter().enumerate().map(|(i, (seconds, from, to))| {
            let length = Duration::from_secs(*seconds);
            let stage = Stage {
                name: format!("s{i}"),
                start,
                length,
                level: Level::Rate {
                    from: Rate::new(*from),
                    to: Rate::new(*to),
                },
            };
            start += length;
            stage
        });
        let journey = |name: &str, weight| Journey {
            name: name.to_owned(),
            weight,
            data: std::collections::BTreeMap::new(),
            popularity: std::collections::BTreeMap::new(),
            steps: Vec::new(),
        };
        Load {
            name: "shoppers".to_owned(),
            model: Model::Open,
            arrivals,
            timeout: Duration::from_secs(2),
            patience: Duration::from_secs(5),
            connections: None,
            streams: None,
            traceparent: true,
            stages: stages.collect(),
            journeys_max: None,
            search: None,
            journeys: vec![journey("a", 70.0), journey("b", 20.0), journey("c", 10.0)],
        }
    }

    fn count(schedule: Schedule, until: f64) -> f64 {
        schedule
            .take_while(|arrival| arrival.at.as_secs_f64() < until)
            .count() as f64
    }

    proptest! {
        #[test]
        fn even_counts_follow_the_integral(rates in prop::collection::vec((1_u64..20, 0.0..300.0_f64, 0.0..300.0_f64), 1..5), cut in 0.0..1.0_f64) {
            let load = load(Arrivals::Even, &rates);
            let schedule = Schedule::of(&load, 7);
            let until = load.length().as_secs_f64() * cut;
            let expected = schedule.expected_until(Duration::from_secs_f64(until));
            prop_assert!((count(schedule, until) - expected).abs() <= 1.0);
        }

        #[test]
        fn poisson_counts_stay_within_four_sigma(rates in prop::collection::vec((1_u64..20, 0.0..300.0_f64, 0.0..300.0_f64), 1..5), cut in 0.0..1.0_f64, seed: u64) {
            let load = load(Arrivals::Poisson, &rates);
            let schedule = Schedule::of(&load, seed);
            let until = load.length().as_secs_f64() * cut;
            let expected = schedule.expected_until(Duration::from_secs_f64(until));
            // What is promised is 4 sigma, which one schedule in 15,000 misses. The property draws as many over
            // its life: one that misses must be followed by seeds that do not, which a biased one never is.
            let misses = |seed: &u64| {
                let found = count(Schedule::of(&load, *seed), until);
                (found - expected).abs() > 4.0 * expected.sqrt() + 1.0
            };
            let seeds = (0..4).map(|step| seed.wrapping_add(step));
            prop_assert!(!misses(&seed) || seeds.filter(misses).count() == 1);
        }

        #[test]
        fn arrivals_never_go_back_and_end_with_the_load(rates in prop::collection::vec((1_u64..10, 0.0..200.0_f64, 0.0..200.0_f64), 1..4), seed: u64) {
            let load = load(Arrivals::Poisson, &rates);
            let times: Vec<Duration> = Schedule::of(&load, seed).map(|arrival| arrival.at).collect();
            prop_assert!(times.is_sorted());
            prop_assert!(times.last().is_none_or(|last| *last <= load.length()));
        }
    }

    #[test]
    fn the_mix_follows_the_weights() {
        let load = load(Arrivals::Even, &[(100, 100.0, 100.0)]);
        let mut counts = [0_u32; 3];
        for arrival in Schedule::of(&load, 1) {
            counts[arrival.journey] += 1;
        }
        assert!(
            counts
                .iter()
                .zip([7_000_u32, 2_000, 1_000])
                .all(|(n, want)| n.abs_diff(want) < 200),
            "{counts:?}"
        );
    }

    /// A search that was decided on while it ran, by rate and how long each segment lasted of the
    /// longest it might have.
    fn segments(of: &[(u32, u64, u64)]) -> Vec<Segment> {
        let mut from = 4_000_000_000;
        let mut all: Vec<Segment> = of
            .iter()
            .map(|(rate, longest, lasted)| {
                let segment = Segment {
                    from,
                    until: from + longest.max(lasted) * 100_000_000,
                    rate: Rate::new(f64::from(*rate)),
                    role: Role::Probe,
                };
                from += lasted * 100_000_000;
                segment
            })
            .collect();
        all.push(Segment {
            from,
            until: from,
            rate: Rate::new(0.0),
            role: Role::End,
        });
        all
    }

    proptest! {
        /// What workers take while a search goes on is what the judge computes from the whole list.
        #[test]
        fn a_search_known_bit_by_bit_is_the_same_as_one_known_at_once(
            poisson: bool,
            seed: u64,
            of in prop::collection::vec((1..3_000_u32, 1..40_u64, 1..40_u64), 1..12),
        ) {
            let arrivals = if poisson { Arrivals::Poisson } else { Arrivals::Even };
            let mut load = load(arrivals, &[(2, 0.0, 40.0), (2, 40.0, 40.0)]);
            let mut bit_by_bit = Schedule::of(&load, seed);
            let mut taken = Vec::new();
            for segment in segments(&of) {
                // Nobody knows what comes after the begin of the next segment.
                let known = Duration::from_nanos(segment.from);
                taken.extend(std::iter::from_fn(|| bit_by_bit.next_before(known)));
                bit_by_bit.follow(&segment);
                let last = load.stages.last_mut().expect("stages");
                last.length = last.length.min(known.saturating_sub(last.start));
                load.stages.extend(segment.stage("find"));
            }
            taken.extend(&mut bit_by_bit);
            let at_once: Vec<Arrival> = Schedule::of(&load, seed).collect();
            prop_assert_eq!(&taken, &at_once);
            let expected = Schedule::of(&load, seed).expected_until(load.length());
            let slack = if poisson { 4.0 * expected.sqrt() + 1.0 } else { 1.0 };
            prop_assert!((taken.len() as f64 - expected).abs() <= slack);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_schedule() {
        let load = load(Arrivals::Poisson, &[(5, 10.0, 50.0)]);
        assert!(Schedule::of(&load, 3).eq(Schedule::of(&load, 3)));
        assert!(!Schedule::of(&load, 3).eq(Schedule::of(&load, 4)));
    }

    /// Goodness of fit (Anderson and Darling 1954): how far sorted `shares`, which should be even over 0
    /// to 1, are from that. Beyond 3.857 at 1 %, 6.0 at 0.1 % (Marsaglia and Marsaglia 2004).
    fn anderson_darling(shares: &[f64]) -> f64 {
        let n = shares.len() as f64;
        let pairs = shares.iter().zip(shares.iter().rev()).enumerate();
        let terms = pairs.map(|(i, (low, high))| {
            let tiny = f64::MIN_POSITIVE;
            (2 * i + 1) as f64 * (low.max(tiny).ln() + (1.0 - high).max(tiny).ln())
        });
        -n - terms.sum::<f64>() / n
    }

    fn sorted(shares: impl Iterator<Item = f64>) -> Vec<f64> {
        let mut shares: Vec<f64> = shares.collect();
        shares.sort_by(f64::total_cmp);
        shares
    }

    /// How far the gaps between arrivals, on a clock that runs with the integral of the rate, are from
    /// exponential, and how far each is from independent of the one before.
    fn misfit(arrivals: Arrivals, rates: &[(u64, f64, f64)], seed: u64) -> (f64, f64) {
        let load = load(arrivals, rates);
        let schedule = Schedule::of(&load, seed);
        let integral = schedule.integral.clone();
        let levels: Vec<f64> = schedule
            .map(|arrival| integral.until(arrival.at.as_secs_f64()))
            .collect();
        let gaps: Vec<f64> = levels.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let fit = anderson_darling(&sorted(gaps.iter().map(|gap| 1.0 - (-gap).exp())));
        // Of two independent exponential gaps the first takes an even share of both.
        let shares = gaps
            .chunks_exact(2)
            .map(|pair| pair[0] / (pair[0] + pair[1]));
        (fit, anderson_darling(&sorted(shares)))
    }

    #[test]
    fn poisson_gaps_are_exponential_and_independent() {
        let constant = [(60, 100.0, 100.0)];
        let spike = [
            (20, 20.0, 20.0),
            (10, 20.0, 300.0),
            (10, 300.0, 300.0),
            (5, 300.0, 0.0),
        ];
        for rates in [&constant[..], &spike] {
            for seed in 1..=8 {
                let (gaps, pairs) = misfit(Arrivals::Poisson, rates, seed);
                assert!(gaps < 6.0 && pairs < 6.0, "seed {seed}: {gaps} {pairs}");
            }
        }
        // The test can tell: arrivals at even distances are nothing of the kind.
        let (gaps, pairs) = misfit(Arrivals::Even, &constant, 1);
        assert!(gaps > 100.0 && pairs > 100.0, "{gaps} {pairs}");
    }
}
