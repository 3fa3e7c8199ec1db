//! How many connections a worker may need.
//!
//! Invariant: decided before the load starts, so that no spike waits for capacity to be made.

use chaos_plan::plan::Load;
use chaos_plan::units::Rate;

/// Connections of one worker, whatever the plan asks for.
const MIN: f64 = 64.0;
const MAX: f64 = 4_096.0;

/// Enough for the peak of the load if every answer takes as long as it may (Little's law).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 64..=4,096 before the cast"
)]
pub(super) fn needed(load: &Load, workers: usize) -> usize {
    let rates = load.stages.iter().flat_map(|stage| [stage.from, stage.to]);
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
}
