//! Claims in words, with the evidence each needs and the plan offers.
//!
//! Invariant: a claim needs as many requests as make ten allowed bad ones.

use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{Claim, Expect, Model, Part, Rule, Search};
use chaos_plan::schedule::Schedule;
use chaos_plan::units::{Share, duration_to_text};

use crate::clean::{clean, clean_all};
use crate::columns::row;
use crate::words;

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
        Expect::Integrity { rules } if rules.len() == Rule::ALL.len() => {
            "every integrity rule".to_owned()
        }
        Expect::Integrity { rules } => {
            let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
            names.join(", ")
        }
        Expect::Resources { cpu, memory, .. } => listed([
            cpu.map(|share| format!("cpu <= {share}")),
            memory.map(|share| format!("memory <= {share}")),
        ]),
        Expect::Goodput { min, at_least, .. } => listed([
            min.map(|share| format!("goodput >= {share} of before")),
            at_least.map(|rate| format!("goodput >= {rate}")),
        ]),
        Expect::Drift {
            memory,
            descriptors,
            connections,
            p95,
            ..
        } => listed([
            memory.map(|bytes| format!("memory <= +{} MiB/h", mib(bytes))),
            descriptors.map(|n| format!("descriptors <= +{n}/h")),
            connections.map(|n| format!("connections <= +{n}/h")),
            p95.map(|p95| format!("p95 <= +{}/h", duration_to_text(p95))),
        ]),
        Expect::ScaleOut {
            service,
            to,
            within,
            ..
        } => {
            let more = to.map_or_else(|| "one more".to_owned(), |to| to.to_string());
            let within = duration_to_text(*within);
            format!("{more} of {} ready within {within}", clean(service))
        }
        Expect::Capacity { min: Some(min) } => format!("holds at {min}"),
        Expect::Capacity { min: None } => "a rate that holds".to_owned(),
    }
}

/// What is there, with commas.
fn listed<const N: usize>(parts: [Option<String>; N]) -> String {
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn mib(bytes: u64) -> String {
    let mib = bytes as f64 / (1024.0 * 1024.0);
    format!("{mib:.1}").trim_end_matches(".0").to_owned()
}

fn stages(plan: &Plan, claim: &Claim) -> String {
    let judged = claim.expect.stages();
    let name = |stage: &usize| plan.load.stages.get(*stage).map(|stage| clean(&stage.name));
    let part = match claim.expect.part() {
        Part::All => String::new(),
        Part::Journey(journey) => format!(", journey {}", journey_name(plan, journey)),
        Part::Endpoint { journey, step } => {
            let steps = plan.load.journeys.get(journey).map(|own| &own.steps);
            let step = steps.and_then(|steps| steps.get(step));
            let step = step.map_or_else(String::new, |step| clean(&step.name));
            format!(", endpoint {}/{step}", journey_name(plan, journey))
        }
    };
    let stages = if judged.is_empty() {
        match claim.expect {
            Expect::Integrity { .. } => "after the run".to_owned(),
            Expect::Capacity { .. } => "in the search".to_owned(),
            _ => "after each fault".to_owned(),
        }
    } else if judged.len() == plan.load.stages.len() {
        "all stages".to_owned()
    } else {
        judged
            .iter()
            .filter_map(name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    stages + &part
}

fn journey_name(plan: &Plan, journey: usize) -> String {
    let journey = plan.load.journeys.get(journey);
    journey.map_or_else(String::new, |journey| clean(&journey.name))
}

fn evidence(plan: &Plan, claim: &Claim) -> String {
    match &claim.expect {
        Expect::Latency { limits, .. } => {
            let tightest = limits
                .iter()
                .map(|limit| limit.quantile.over_per_mille())
                .min()
                .unwrap_or(1_000);
            requests(plan, claim, Share::from_ratio(tightest as f64 / 1_000.0))
        }
        Expect::Errors { max, .. } => requests(plan, claim, *max),
        Expect::Availability { min, .. } => windows(plan, claim, *min),
        Expect::Recovery { .. } | Expect::Goodput { .. } => {
            words::counted(plan.faults.len() as u64, "fault")
        }
        Expect::Integrity { rules } => words::counted(rules.len() as u64, "rule"),
        Expect::Resources { services, .. } => {
            format!("instances of {}", clean_all(services).join(", "))
        }
        Expect::Drift { stages, .. } => words::counted(stages.len() as u64, "stage"),
        Expect::ScaleOut { service, .. } => format!("the autoscaler of {}", clean(service)),
        Expect::Capacity { .. } => {
            let most = plan.load.search.as_ref().map_or(0, Search::probes_max);
            format!("at most {}", words::counted(most as u64, "probe"))
        }
    }
}

/// `needs 200 requests, planned about 9,850`.
fn requests(plan: &Plan, claim: &Claim, allowed: Share) -> String {
    let planned = match plan.load.model {
        Model::Open => whole_count(stage_journeys(plan, claim) * steps_per_journey(plan, claim)),
        Model::Closed { .. } => return "as many requests as the target answers".to_owned(),
    };
    match allowed.needed() {
        None => format!("allows none, planned about {planned} requests"),
        Some(needed) => {
            let needed = words::count(needed);
            format!("needs {needed} requests, planned about {planned}")
        }
    }
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

/// Steps of a journey that the claim is about, weighted by how often each journey is taken.
fn steps_per_journey(plan: &Plan, claim: &Claim) -> f64 {
    let part = claim.expect.part();
    let journeys = &plan.load.journeys;
    let weights: f64 = journeys.iter().map(|journey| journey.weight).sum();
    let steps: f64 = journeys
        .iter()
        .enumerate()
        .map(|(number, journey)| {
            let judged = (0..journey.steps.len()).filter(|step| part.holds(number, *step));
            journey.weight * judged.count() as f64
        })
        .sum();
    if weights > 0.0 { steps / weights } else { 0.0 }
}
