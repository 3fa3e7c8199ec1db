//! How many connections a worker may need.
//!
//! Invariant: decided before the load starts, so that no spike waits for capacity to be made.

use chaos_plan::plan::{Load, Model, Stage};
use chaos_plan::units::Rate;

use crate::pace::Slice;
use crate::users;

/// Connections of one worker in the open model, whatever the plan asks for.
const MIN: f64 = 64.0;
const MAX: f64 = 4_096.0;

/// In the open model enough for the peak of the load if every answer takes as long as it may
/// (Little's law); in the closed one a connection for each user.
pub(super) fn needed(load: &Load, workers: usize) -> usize {
    match load.model {
        Model::Open => for_rates(load, workers),
        Model::Closed { .. } => (users::most(load) as usize).div_ceil(workers.max(1)).max(1),
    }
}

/// This worker's share of the connections that the plan asks for; `None` if it does not say. Its users
/// follow them ([`Slice::has_user`]).
pub(super) fn kept(load: &Load, slice: Slice) -> Option<usize> {
    let connections = load.connections? as usize;
    let Slice { worker, workers } = slice;
    Some(connections / workers.max(1) + usize::from(worker < connections % workers.max(1)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 64..=4,096 before the cast"
)]
fn for_rates(load: &Load, workers: usize) -> usize {
    let rates = load.stages.iter().filter_map(Stage::rates);
    let rates = rates.flat_map(|(from, to)| [from, to]);
    let rates = rates.chain(load.search.iter().map(|search| search.to));
    let journeys_a_second = rates.map(Rate::per_second).fold(0.0, f64::max);
    let weights: f64 = load.journeys.iter().map(|journey| journey.weight).sum();
    let weighted_steps =
        |journey: &chaos_plan::plan::Journey| journey.weight * journey.steps.len() as f64;
    let steps: f64 = load.journeys.iter().map(weighted_steps).sum();
    let steps_a_journey = if weights > 0.0 { steps / weights } else { 0.0 };
    let in_flight = journeys_a_second * steps_a_journey * load.timeout.as_secs_f64();
    (in_flight / workers.max(1) as f64).ceil().clamp(MIN, MAX) as usize
}

#[cfg(test)]
mod tests {
    use chaos_testkit::plan::{PlanBuilder, get};
    use proptest::prelude::*;

    use super::*;

    fn check(rate: f64, workers: usize, expected: usize) {
        let plan = PlanBuilder::new()
            .timeout_ms(2_000)
            .stage("low", 1.0, 1.0)
            .stage("peak", 1.0, rate)
            .journey("j", 1.0, vec![get("a", "/a"), get("b", "/b")])
            .build();
        assert_eq!(
            needed(&plan.load, workers),
            expected,
            "{rate}/s over {workers}"
        );
    }

    #[test]
    fn slots_follow_the_peak_within_their_bounds() {
        check(1.0, 1, 64);
        check(100.0, 1, 400);
        check(100.0, 2, 200);
        check(100_000.0, 2, 4_096);
    }

    #[test]
    fn connections_are_shared_out_without_rest() {
        let plan = PlanBuilder::new()
            .connections(10)
            .stage("s", 1.0, 1.0)
            .build();
        let share = |worker, workers| kept(&plan.load, Slice { worker, workers });
        assert_eq!(
            [0, 1, 2].map(|worker| share(worker, 3)),
            [4, 3, 3].map(Some)
        );
        assert_eq!(share(0, 1), Some(10));
    }

    proptest! {
        #[test]
        fn users_are_where_their_connections_are(connections in 1_u32..30, streams in 1_u32..8, threads in 1_usize..9) {
            let plan = PlanBuilder::new()
                .connections(connections)
                .users("s", 1.0, connections * streams)
                .journey("j", 1.0, vec![get("g", "/")])
                .build();
            let workers = threads.min(connections as usize);
            for slice in (0..workers).map(|worker| Slice { worker, workers }) {
                let lanes = kept(&plan.load, slice).map(|kept| kept * streams as usize);
                prop_assert_eq!(Some(users::users_of(&plan.load, slice).len()), lanes);
            }
        }
    }

    #[test]
    fn each_user_has_a_connection() {
        let plan = PlanBuilder::new()
            .users("few", 1.0, 1)
            .users_ramp("crowd", 1.0, (1, 101))
            .journey("j", 1.0, vec![get("a", "/a")])
            .build();
        assert_eq!(
            [1, 2, 500].map(|workers| needed(&plan.load, workers)),
            [101, 51, 1]
        );
    }
}
