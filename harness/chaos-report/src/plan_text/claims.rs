//! Claims in words, with the evidence each needs and the plan offers.
//!
//! Invariant: a claim needs as many requests as make ten allowed bad ones (DESIGN section 5).

use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{Claim, Expect};
use chaos_plan::schedule::Schedule;
use chaos_plan::units::{Share, duration_to_text};

use crate::clean::clean;
use crate::columns::row;
use crate::words;

/// Bad requests a claim must allow at least, or chance decides it.
const ALLOWED_MIN: f64 = 10.0;

/// A table: claim, what it expects, where, evidence.
pub(super) fn rows(plan: &Plan) -> Vec<Vec<String>> {
    let mut rows = vec![row(["claim", "expects", "in", "evidence"])];
    rows.extend(plan.claims.iter().map(|claim| {
        row([
            &clean(&claim.name),
            &expects(&claim.expect),
            &stages(plan, claim),
            &evidence(plan, claim),
        ])
    }));
    rows
}

fn expects(expect: &Expect) -> String {
    match expect {
        Expect::Latency { limits, .. } => {
            let limits: Vec<String> = limits
                .iter()
                .map(|limit| {
                    format!(
                        "{} <= {}",
                        limit.quantile.name(),
                        duration_to_text(limit.at_most)
                    )
                })
                .collect();
            limits.join(", ")
        }
        Expect::Errors { max, .. } => format!("bad <= {max}"),
        Expect::Availability { min, good, .. } => format!("{min} of seconds with {good} good"),
        Expect::Recovery { within, steady_for } => format!(
            "normal within {}, steady for {}",
            duration_to_text(*within),
            duration_to_text(*steady_for)
        ),
    }
}

fn stages(plan: &Plan, claim: &Claim) -> String {
    let judged = claim.expect.stages();
    let name = |stage: &usize| plan.load.stages.get(*stage).map(|stage| clean(&stage.name));
    if judged.is_empty() {
        "after each fault".to_owned()
    } else if judged.len() == plan.load.stages.len() {
        "all stages".to_owned()
    } else {
        judged
            .iter()
            .filter_map(name)
            .collect::<Vec<_>>()
            .join(", ")
    }
}

fn evidence(plan: &Plan, claim: &Claim) -> String {
    match &claim.expect {
        Expect::Latency { limits, .. } => {
            let tightest = limits
                .iter()
                .map(|limit| limit.quantile.over_per_mille())
                .min()
                .unwrap_or(1_000);
            requests(plan, claim, tightest as f64 / 1_000.0)
        }
        Expect::Errors { max, .. } => requests(plan, claim, max.ratio()),
        Expect::Availability { min, .. } => windows(plan, claim, *min),
        Expect::Recovery { .. } => words::counted(plan.faults.len() as u64, "fault"),
    }
}

/// `needs 200 requests, planned about 9,850`.
fn requests(plan: &Plan, claim: &Claim, allowed: f64) -> String {
    let planned = whole_count(stage_journeys(plan, claim) * steps_per_journey(plan));
    if allowed <= 0.0 {
        return format!("allows none, planned about {planned} requests");
    }
    let needed = whole_count((ALLOWED_MIN / allowed - 1e-9).ceil());
    format!("needs {needed} requests, planned about {planned}")
}

fn windows(plan: &Plan, claim: &Claim, min: Share) -> String {
    let length: Duration = claim
        .expect
        .stages()
        .iter()
        .filter_map(|stage| plan.load.stages.get(*stage))
        .map(|stage| stage.length)
        .sum();
    let seconds = length.as_secs();
    // Good windows must be at least `min` of all, so bad ones at most the rest, cut off.
    let allowed = Share::from_ratio(1.0 - min.ratio()).floor_of(seconds);
    format!(
        "{} windows of 1 s, {} may be bad",
        words::count(seconds),
        words::count(allowed)
    )
}

/// An expected number of things, rounded.
pub(super) fn whole_count(expected: f64) -> String {
    words::count(whole(expected))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a planned count is positive and far below 2^53"
)]
fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
}

/// Journeys the schedule is expected to hold in the stages of a claim.
fn stage_journeys(plan: &Plan, claim: &Claim) -> f64 {
    let schedule = Schedule::new(plan);
    let stages = claim
        .expect
        .stages()
        .iter()
        .filter_map(|stage| plan.load.stages.get(*stage));
    stages
        .map(|stage| schedule.expected_until(stage.end()) - schedule.expected_until(stage.start))
        .sum()
}

/// Steps of a journey, weighted by how often each is taken.
fn steps_per_journey(plan: &Plan) -> f64 {
    let weights: f64 = plan
        .load
        .journeys
        .iter()
        .map(|journey| journey.weight)
        .sum();
    let steps: f64 = plan
        .load
        .journeys
        .iter()
        .map(|journey| journey.weight * journey.steps.len() as f64)
        .sum();
    if weights > 0.0 { steps / weights } else { 0.0 }
}
