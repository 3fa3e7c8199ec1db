//! What one probe of a search shows: whether the deciding claims hold at its rate.
//!
//! The counts are those of the probe's own stage, the weighing is that of every other claim. A
//! probe that ended early is measured by the requests it would have had: more bad ones than
//! those may have cannot be made good by the rest.
//! Invariant: a request that the generator itself sent late never makes a rate break.

use chaos_plan::plan::{Expect, LatencyLimit, Part, Segment};

use super::claims::{Allowance, Tally, weigh};
use super::generator;
use super::population::{self, Population};
use super::requests;
use crate::facts::{Facts, cells_of_seconds, ns};
use crate::outcome::Counts;
use crate::quantile;
use crate::verdict::{ProbeFinding, ProbeOutcome, Status};
use crate::words;
use crate::{CELL_NS, SECOND_NS};

/// Chance may bring a probe more requests than expected: by so many thousandths, no probe that ended
/// early is judged too harshly.
const MORE_PER_MILLE: u64 = 1_100;

/// One limit of a claim on one group of requests, weighed.
struct Weighed {
    claim: String,
    status: Status,
    late: u64,
    /// Not held even if everything the generator sent late had been good.
    is_broken: bool,
    why: String,
}

/// What a probe shows, if that is certain: cells below `settled` are accounted for.
pub(crate) fn look(
    facts: &Facts<'_>,
    stage: usize,
    segment: &Segment,
    settled: u64,
) -> Option<ProbeFinding> {
    let end = ns(facts.plan.load.stages.get(stage)?.end());
    let is_seen = end.div_ceil(CELL_NS) <= settled;
    let is_full = end >= segment.until;
    let weighed = weighed(facts, stage, segment, is_seen && is_full);
    let decided = if let Some(broken) = weighed.iter().find(|it| it.is_broken) {
        let why = broken.why.clone();
        Some((ProbeOutcome::Broke, Some(broken.claim.clone()), why))
    } else if !is_seen {
        None
    } else {
        let unclear = unclear(facts, stage, is_full, &weighed);
        Some(
            unclear.map_or((ProbeOutcome::Held, None, String::new()), |why| {
                (ProbeOutcome::Unclear, None, why)
            }),
        )
    };
    let (outcome, claim, why) = decided?;
    Some(finding(facts, stage, segment, (outcome, claim, why)))
}

/// Why nothing can be said although all of it was seen and nothing broke.
fn unclear(facts: &Facts<'_>, stage: usize, is_full: bool, weighed: &[Weighed]) -> Option<String> {
    if let Some(late) = weighed.iter().find(|it| it.status == Status::NotHeld) {
        return Some(format!(
            "{}: {}, but {} of them were sent late by the generator",
            late.claim,
            late.why,
            words::count(late.late)
        ));
    }
    if !is_full {
        return Some("the probe was cut off".to_owned());
    }
    if let Some(sick) = generator::complaint(facts, stage) {
        return Some(requests::unbelievable(&sick));
    }
    let unknown = weighed.iter().find(|it| it.status == Status::Unknown);
    unknown.map(|it| format!("{}: {}", it.claim, it.why))
}

fn weighed(facts: &Facts<'_>, stage: usize, segment: &Segment, whole: bool) -> Vec<Weighed> {
    let mut all = Vec::new();
    let all_late = facts.requests(&facts.stage_cells(stage)).counts.late;
    for claim in facts.plan.deciding() {
        for population in population::of_part(facts, claim.expect.part()) {
            let counts = population.over(facts, &[stage]);
            let base = base(facts, &population, segment);
            // Of a journey as a whole any of its steps may have been late.
            let late = if population.is_beside() {
                all_late
            } else {
                counts.late
            };
            let mut weigh_up = |what: &str, bad: u64, allowance: Allowance| {
                let tally = |bad| Tally {
                    n: counts.judged(),
                    bad,
                    planned: Some(base),
                    whole,
                    alone: population.is_beside(),
                };
                let (status, _, why) = weigh(tally(bad), allowance);
                let excused = weigh(tally(bad.saturating_sub(late)), allowance).0;
                let why = why.replacen("were bad", what, 1);
                all.push(Weighed {
                    claim: claim.name.clone(),
                    status,
                    late,
                    is_broken: excused == Status::NotHeld,
                    why: format!("{}: {why}", population.of),
                });
            };
            match &claim.expect {
                Expect::Latency { limits, .. } => {
                    for limit in limits {
                        let allowance = Allowance::PerMille(limit.quantile.over_per_mille());
                        weigh_up(&slower(limit), over(facts, &counts, limit), allowance);
                    }
                }
                Expect::Errors { max, .. } => {
                    weigh_up("were bad", counts.bad(), Allowance::Share(*max));
                }
                _ => {}
            }
        }
    }
    all
}

fn slower(limit: &LatencyLimit) -> String {
    format!(
        "were bad or slower than {}",
        words::duration(ns(limit.at_most))
    )
}

fn over(facts: &Facts<'_>, counts: &Counts, limit: &LatencyLimit) -> u64 {
    let number = facts.limits.iter().position(|it| *it == limit.at_most);
    number.map_or_else(|| counts.bad(), |number| counts.bad_or_over(number))
}

/// How many requests a probe that ends early is measured by.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most 1e8 journeys a run of at most 1,000 steps"
)]
fn base(facts: &Facts<'_>, population: &Population, segment: &Segment) -> u64 {
    let length = (segment.until - segment.from.min(segment.until)) as f64 / SECOND_NS as f64;
    let journeys = segment.rate.per_second() * length;
    let expected = population.expected(facts, journeys).ceil() as u64;
    expected * MORE_PER_MILLE / 1_000 + 1
}

fn finding(
    facts: &Facts<'_>,
    stage: usize,
    segment: &Segment,
    (outcome, claim, why): (ProbeOutcome, Option<String>, String),
) -> ProbeFinding {
    let counts = facts.requests(&facts.stage_cells(stage)).counts;
    let seconds = facts.stage_seconds(stage);
    let answers = facts.responses(None, &seconds);
    let bad = facts
        .picked(Part::All, &cells_of_seconds(&seconds))
        .counts
        .bad();
    let end = facts
        .plan
        .load
        .stages
        .get(stage)
        .map_or(segment.until, |it| ns(it.end()));
    ProbeFinding {
        rate: segment.rate.per_second(),
        start: segment.from,
        end,
        requests: counts.judged(),
        bad: counts.bad(),
        p50: quantile::response(&answers, bad, 500),
        p95: quantile::response(&answers, bad, 50),
        p99: quantile::response(&answers, bad, 10),
        outcome,
        claim,
        why,
        ended_early: end < segment.until,
    }
}
