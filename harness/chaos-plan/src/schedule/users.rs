//! Users of a closed model: how many there are, and when each is due.
//!
//! Invariant: users come and go in the order of their numbers, so user `k` is there exactly while
//! more than `k` are; a user that comes back has the phase it had.

use std::time::Duration;

use rand::RngExt;

use crate::chance;
use crate::plan::{Arrivals, Load, Stage};

/// The golden ratio's fractional part: its multiples spread any number of users over a cycle
/// nearly evenly, however many come after them (Kronecker sequence).
const GOLDEN: f64 = 0.618_033_988_749_894_8;

/// Number of users that are there at an instant of the load: 0 after its end and for rates.
pub fn users_at(load: &Load, at: Duration) -> u32 {
    let stage = load.stage_at(at).and_then(|index| load.stages.get(index));
    stage.map_or(0, |stage| users_of(stage, at))
}

/// The same within a stage; a straight line is rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between two numbers that fit"
)]
fn users_of(stage: &Stage, at: Duration) -> u32 {
    let Some((from, to)) = stage.users() else {
        return 0;
    };
    if from == to {
        return to;
    }
    let length = stage.length.as_secs_f64().max(f64::MIN_POSITIVE);
    let share = (at.saturating_sub(stage.start).as_secs_f64() / length).min(1.0);
    (f64::from(from) + (f64::from(to) - f64::from(from)) * share).round() as u32
}

/// The instants at which users are due, in order.
#[derive(Debug, Clone)]
pub(super) struct Cycles {
    stages: Vec<Stage>,
    cycle: u64,
    /// Each user's place in the cycle, in nanoseconds.
    phases: Vec<u64>,
    /// The stage that is gone through now, and its users by phase.
    stage: usize,
    order: Vec<usize>,
    round: u64,
    position: usize,
}

impl Cycles {
    pub(super) fn new(load: &Load, cycle: Duration, seed: u64) -> Self {
        let cycle = ns(cycle).max(1);
        let most = load.stages.iter().map(most_users).max().unwrap_or(0);
        let mut chance = chance::stream(seed, "phases");
        let phases = (0..most).map(|user| {
            let share = match load.arrivals {
                Arrivals::Even => ((user as f64 + 0.5) * GOLDEN).fract(),
                Arrivals::Poisson => chance.random::<f64>(),
            };
            part_of(cycle, share)
        });
        let mut cycles = Self {
            stages: load.stages.clone(),
            cycle,
            phases: phases.collect(),
            stage: 0,
            order: Vec::new(),
            round: 0,
            position: 0,
        };
        cycles.enter();
        cycles
    }

    /// Prepares for the present stage.
    fn enter(&mut self) {
        let Some(stage) = self.stages.get(self.stage) else {
            return;
        };
        self.order = (0..most_users(stage)).collect();
        self.order.sort_by_key(|user| (self.phases[*user], *user));
        self.round = ns(stage.start) / self.cycle;
        self.position = 0;
    }

    pub(super) fn next(&mut self) -> Option<(Duration, u32)> {
        loop {
            let stage = self.stages.get(self.stage)?;
            let begin = Duration::from_nanos(self.round.saturating_mul(self.cycle));
            let user = self.order.get(self.position).copied();
            let due = begin + Duration::from_nanos(user.map_or(0, |user| self.phases[user]));
            if due >= stage.end() || self.order.is_empty() {
                self.stage += 1;
                self.enter();
                continue;
            }
            let Some(user) = user else {
                self.round += 1;
                self.position = 0;
                continue;
            };
            self.position += 1;
            let number = u32::try_from(user).unwrap_or(u32::MAX);
            if due >= stage.start && number < users_of(stage, due) {
                return Some((due, number));
            }
        }
    }
}

/// Most users that are there at any time of a stage.
fn most_users(stage: &Stage) -> usize {
    stage.users().map_or(0, |(from, to)| from.max(to) as usize)
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a u64 fits a u64"
)]
fn part_of(cycle: u64, share: f64) -> u64 {
    ((cycle as f64 * share) as u64).min(cycle - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::plan::{Journey, Level, Model};
    use crate::schedule::Schedule;

    fn load(arrivals: Arrivals, cycle_ms: Option<u64>, stages: &[(u64, u32, u32)]) -> Load {
        let mut start = Duration::ZERO;
        let stages = stages.iter().map(|(seconds, from, to)| {
            let stage = Stage {
                name: "s".to_owned(),
                start,
                length: Duration::from_secs(*seconds),
                level: Level::Users {
                    from: *from,
                    to: *to,
                },
            };
            start = stage.end();
            stage
        });
        Load {
            name: "shoppers".to_owned(),
            model: Model::Closed {
                cycle: cycle_ms.map(Duration::from_millis),
            },
            arrivals,
            timeout: Duration::from_secs(2),
            patience: Duration::from_secs(5),
            connections: None,
            streams: None,
            traceparent: true,
            stages: stages.collect(),
            journeys_max: None,
            search: None,
            journeys: vec![Journey {
                name: "a".to_owned(),
                weight: 1.0,
                data: BTreeMap::new(),
                popularity: BTreeMap::new(),
                steps: Vec::new(),
            }],
        }
    }

    fn check(load: &Load, at_ms: u64, expected: u32) {
        assert_eq!(
            users_at(load, Duration::from_millis(at_ms)),
            expected,
            "at {at_ms} ms"
        );
    }

    #[test]
    fn users_follow_their_stages() {
        let load = load(
            Arrivals::Even,
            None,
            &[(10, 10, 10), (10, 10, 20), (10, 5, 5)],
        );
        check(&load, 0, 10);
        check(&load, 9_999, 10);
        check(&load, 15_000, 15);
        check(&load, 20_000, 5);
        check(&load, 30_000, 0);
    }

    #[test]
    fn each_user_is_due_once_a_cycle_at_its_own_phase() {
        let load = load(Arrivals::Even, Some(1_000), &[(10, 7, 7)]);
        let mut by_user: BTreeMap<u32, Vec<Duration>> = BTreeMap::new();
        for arrival in Schedule::of(&load, 1) {
            by_user
                .entry(arrival.user.expect("a user"))
                .or_default()
                .push(arrival.at);
        }
        assert_eq!(by_user.len(), 7);
        for times in by_user.values() {
            assert_eq!(times.len(), 10);
            let gaps = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
            assert!(gaps.clone().all(|gap| gap == Duration::from_secs(1)));
        }
    }

    #[test]
    fn phases_are_spread_over_the_cycle() {
        let load = load(Arrivals::Even, Some(1_000), &[(1, 100, 100)]);
        let times: Vec<f64> = Schedule::of(&load, 1)
            .map(|arrival| arrival.at.as_secs_f64())
            .collect();
        let longest = times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .fold(0.0, f64::max);
        // The three-distance theorem allows gaps of up to 2.62 times the mean.
        assert!(longest < 0.027, "{longest}");
    }

    #[test]
    fn without_a_cycle_nothing_is_due() {
        let schedule = Schedule::of(&load(Arrivals::Even, None, &[(10, 7, 7)]), 1);
        assert!(schedule.expected_until(Duration::from_secs(10)) < f64::EPSILON);
        assert_eq!(schedule.count(), 0);
    }

    proptest! {
        #[test]
        fn counts_follow_users_through_cycle(
            stages in prop::collection::vec((1_u64..20, 0_u32..60, 0_u32..60), 1..5),
            cycle in 20_u64..3_000,
            is_even: bool,
        ) {
            let arrivals = if is_even { Arrivals::Even } else { Arrivals::Poisson };
            let load = load(arrivals, Some(cycle), &stages);
            let schedule = Schedule::of(&load, 3);
            let expected = schedule.expected_until(load.length());
            let all: Vec<_> = schedule.collect();
            let times: Vec<Duration> = all.iter().map(|arrival| arrival.at).collect();
            prop_assert!(times.is_sorted());
            // One for each user of a stage, beside the rounding of a ramp.
            let slack: f64 = load.stages.iter().map(|stage| most_users(stage) as f64 + 1.0).sum();
            prop_assert!((all.len() as f64 - expected).abs() <= slack, "{} and {expected}", all.len());
            for arrival in &all {
                prop_assert!(arrival.user.expect("a user") < users_at(&load, arrival.at));
            }
        }
    }
}
