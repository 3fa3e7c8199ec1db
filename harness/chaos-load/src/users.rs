//! Who: the users of the closed model, when each of them is there, and what each goes for.
//!
//! User `u`, counted from 0, is there while the planned number, rounded on a ramp, exceeds `u`: those
//! who came last leave first, as [`chaos_plan::schedule::users_at`] counts them. Users go to the
//! workers in turn, or to those that keep their connections.
//! Invariant: pure. Who is there when, and the order of each user's journeys, depend on the plan
//! alone, not on the number of workers.

use chaos_plan::chance;
use chaos_plan::plan::{Load, Stage};
use rand::RngExt;

use crate::clock::length_ns;
use crate::pace::Slice;

/// From one instant up to another, both from the start of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stay {
    pub(crate) from_ns: u64,
    pub(crate) until_ns: u64,
}

/// One user.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct User {
    pub(crate) number: u32,
    /// In order of time; none touches the next.
    pub(crate) stays: Vec<Stay>,
    /// Running sums of the journeys' weights.
    weights: Vec<f64>,
}

impl User {
    /// Hands out the user's journeys: the index each draws its chance by, and which it is.
    pub(crate) fn journeys(&self, seed: u64) -> impl FnMut() -> (u64, usize) {
        let mut chance = chance::stream(seed, &format!("user {}", self.number));
        let first = u64::from(self.number) << 32;
        let total = self.weights.last().copied().unwrap_or(0.0);
        let mut count = 0;
        move || {
            let point = chance.random::<f64>() * total;
            let journey = self.weights.partition_point(|sum| *sum <= point);
            count += 1;
            (
                first + (count - 1),
                journey.min(self.weights.len().saturating_sub(1)),
            )
        }
    }
}

/// The users of one worker.
pub(crate) fn users_of(load: &Load, slice: Slice) -> Vec<User> {
    let mut sum = 0.0;
    let weights = load.journeys.iter().map(|journey| {
        sum += journey.weight;
        sum
    });
    let weights: Vec<f64> = weights.collect();
    let mine = (0..most(load)).filter(|number| slice.has_user(*number, load.connections));
    let user = |number| User {
        number,
        stays: stays(load, number),
        weights: weights.clone(),
    };
    mine.map(user).collect()
}

/// Most users that are there at once.
pub(crate) fn most(load: &Load) -> u32 {
    let levels = load.stages.iter().filter_map(Stage::users);
    levels.map(|(from, to)| from.max(to)).max().unwrap_or(0)
}

fn stays(load: &Load, user: u32) -> Vec<Stay> {
    let mut stays: Vec<Stay> = Vec::new();
    for stay in load.stages.iter().filter_map(|stage| stay_in(stage, user)) {
        match stays.last_mut() {
            Some(last) if last.until_ns == stay.from_ns => last.until_ns = stay.until_ns,
            Some(_) | None => stays.push(stay),
        }
    }
    stays
}

/// When a user is there in one stage: from where the straight line rises past the half that is
/// rounded to the next number, or up to where it falls below it.
fn stay_in(stage: &Stage, user: u32) -> Option<Stay> {
    let (from, to) = stage.users()?;
    let crossing = || {
        let share = (f64::from(user) + 0.5 - f64::from(from)) / (f64::from(to) - f64::from(from));
        length_ns(stage.start + stage.length.mul_f64(share))
    };
    let (start_ns, end_ns) = (length_ns(stage.start), length_ns(stage.end()));
    let (from_ns, until_ns) = match (from > user, to > user) {
        (true, true) => (start_ns, end_ns),
        (false, true) => (crossing(), end_ns),
        (true, false) => (start_ns, crossing()),
        (false, false) => return None,
    };
    (from_ns < until_ns).then_some(Stay { from_ns, until_ns })
}

#[cfg(test)]
mod tests {
    use chaos_plan::schedule::users_at;
    use chaos_testkit::plan::{PlanBuilder, get};
    use proptest::prelude::*;

    use super::*;

    const WHOLE: Slice = Slice {
        worker: 0,
        workers: 1,
    };

    fn load(stages: &[(f64, u32, u32)]) -> chaos_plan::Plan {
        let mut plan = PlanBuilder::new()
            .journey("a", 3.0, vec![get("a", "/a")])
            .journey("b", 1.0, vec![get("b", "/b")]);
        for (number, (seconds, from, to)) in stages.iter().enumerate() {
            plan = plan.users_ramp(&format!("s{number}"), *seconds, (*from, *to));
        }
        plan.build()
    }

    fn check(stages: &[(f64, u32, u32)], user: usize, expected_ms: &[(u64, u64)]) {
        let plan = load(stages);
        let found = users_of(&plan.load, WHOLE)[user].stays.clone();
        let ms = |stay: Stay| (stay.from_ns / 1_000_000, stay.until_ns / 1_000_000);
        let found: Vec<_> = found.into_iter().map(ms).collect();
        assert_eq!(found, expected_ms, "user {user} of {stages:?}");
    }

    #[test]
    fn users_come_and_go_with_the_number_planned() {
        let crowd = [(10.0, 2, 2), (4.0, 2, 6), (2.0, 6, 2), (1.0, 2, 2)];
        check(&crowd, 0, &[(0, 17_000)]);
        check(&crowd, 1, &[(0, 17_000)]);
        check(&crowd, 2, &[(10_500, 15_750)]);
        check(&crowd, 4, &[(12_500, 14_750)]);
        check(&crowd, 5, &[(13_500, 14_250)]);
        let steps = [
            (1.0, 1, 1),
            (1.0, 3, 3),
            (1.0, 1, 1),
            (1.0, 2, 2),
            (1.0, 0, 0),
        ];
        check(&steps, 0, &[(0, 4_000)]);
        check(&steps, 1, &[(1_000, 2_000), (3_000, 4_000)]);
        check(&steps, 2, &[(1_000, 2_000)]);
    }

    proptest! {
        #[test]
        fn the_users_of_all_workers_are_all_users(workers in 1_usize..6, stages in prop::collection::vec((0.1..5.0_f64, 0_u32..40, 0_u32..40), 1..5)) {
            let plan = load(&stages);
            let mut users: Vec<User> = (0..workers).flat_map(|worker| users_of(&plan.load, Slice { worker, workers })).collect();
            users.sort_by_key(|user| user.number);
            prop_assert_eq!(&users, &users_of(&plan.load, WHOLE));
        }

        #[test]
        fn the_number_there_follows_the_plan(stages in prop::collection::vec((0.1..5.0_f64, 0_u32..40, 0_u32..40), 1..5), part in 0.001..0.999_f64) {
            let plan = load(&stages);
            let users = users_of(&plan.load, WHOLE);
            for stage in &plan.load.stages {
                let at = stage.start + stage.length.mul_f64(part);
                let (from, to) = stage.users().expect("a closed model");
                let level = f64::from(from) + (f64::from(to) - f64::from(from)) * part;
                if ((level + 0.5).round() - (level + 0.5)).abs() < 1e-6 {
                    // Somebody comes or goes within this nanosecond.
                    continue;
                }
                let at_ns = length_ns(at);
                let stays = users.iter().flat_map(|user| &user.stays);
                let there = stays.filter(|stay| (stay.from_ns..stay.until_ns).contains(&at_ns)).count();
                prop_assert_eq!(there, users_at(&plan.load, at) as usize);
            }
        }
    }

    #[test]
    fn a_user_draws_its_journeys_from_the_seed_by_their_weights() {
        let plan = load(&[(1.0, 3, 3)]);
        let users = users_of(&plan.load, WHOLE);
        let drawn = |user: usize, seed| {
            let mut journeys = users[user].journeys(seed);
            (0..4_000).map(|_| journeys()).collect::<Vec<_>>()
        };
        assert_eq!(drawn(1, 5), drawn(1, 5));
        let of_kind = |drawn: Vec<(u64, usize)>| drawn.into_iter().map(|(_, journey)| journey);
        assert!(!of_kind(drawn(1, 5)).eq(of_kind(drawn(2, 5))));
        assert!(!of_kind(drawn(1, 5)).eq(of_kind(drawn(1, 6))));
        let firsts = of_kind(drawn(1, 5)).filter(|journey| *journey == 0).count();
        assert!((2_800..3_200).contains(&firsts), "{firsts}");
        let mut indices: Vec<u64> = (0..3)
            .flat_map(|user| drawn(user, 5))
            .map(|(index, _)| index)
            .collect();
        indices.sort_unstable();
        indices.dedup();
        assert_eq!(indices.len(), 12_000, "no two journeys draw the same");
    }
}
