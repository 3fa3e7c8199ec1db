//! Whether the target is steady enough to break something now.
//!
//! Invariant: no data is not steady. Chance alone does not make a target unsteady.

use std::ops::Range;

use chaos_plan::plan::{Claim, Expect, Part};

use crate::CELL_NS;
use crate::facts::{Facts, ns};
use crate::outcome::Counts;
use crate::poisson;
use crate::record::Record;
use crate::words;

/// Longest stretch that is looked at before a fault.
pub const REFERENCE_MAX_NS: u64 = 10_000_000_000;
/// Shortest stretch before a fault that says enough.
pub const REFERENCE_MIN_NS: u64 = 5_000_000_000;
/// What workers need at most to hand over what has ended.
pub(crate) const HANDOVER_NS: u64 = 1_000_000_000;

/// The answer, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steady {
    Yes,
    No(String),
    /// There is no data to say it by: treat it as not steady.
    Unknown(String),
}

/// Whether the claims on latency and errors are met in up to 10 s before `at_load_ns`, within the same stage.
///
/// `fault` names the fault of the plan that is about to be injected, by index, for the text.
pub fn before(record: &Record, fault: usize, at_load_ns: u64) -> Steady {
    let facts = Facts::of(record);
    let Some(fault) = facts.plan.faults.get(fault) else {
        return Steady::Unknown(format!("the plan has no fault number {fault}"));
    };
    let stage = facts.stage_of_cell(at_load_ns / CELL_NS);
    let cells = stretch_before(&facts, stage, at_load_ns);
    let settled = cells.start..cells.end.min(settled(&facts, at_load_ns));
    if settled.is_empty() {
        return Steady::Unknown(format!(
            "no finished requests yet in the stretch before {}",
            fault.name
        ));
    }
    assess(&facts, stage, &settled)
}

/// Up to 10 s of whole cells before `at`, in one stage.
pub(crate) fn stretch_before(facts: &Facts<'_>, stage: usize, at: u64) -> Range<u64> {
    let begin = facts
        .plan
        .load
        .stages
        .get(stage)
        .map_or(at, |stage| ns(stage.start));
    let from = begin
        .max(at.saturating_sub(REFERENCE_MAX_NS))
        .div_ceil(CELL_NS);
    from..(at / CELL_NS).max(from)
}

/// Cells below this one hold every request intended in them: the closed ones, and those so old that
/// patience is over for all their requests although later steps of their journeys are still to come.
pub(crate) fn settled(facts: &Facts<'_>, now: u64) -> u64 {
    let old = now.saturating_sub(ns(facts.plan.load.patience) + HANDOVER_NS) / CELL_NS;
    facts.closed.max(old)
}

/// Whether the claims that are judged on `stage` are met in `cells` by the requests each is about.
pub(crate) fn assess(facts: &Facts<'_>, stage: usize, cells: &Range<u64>) -> Steady {
    if unbroken(facts, Part::All, cells).0 == 0 {
        let length = words::duration((cells.end - cells.start) * CELL_NS);
        return Steady::Unknown(format!("no request ended in the {length} before"));
    }
    let claims = facts.plan.claims.iter();
    let of_stage = claims.filter(|claim| claim.expect.stages().contains(&stage));
    unmet(facts, of_stage, cells).map_or(Steady::Yes, Steady::No)
}

/// What the first of these claims that is not met in `cells` says.
pub(crate) fn unmet<'a>(
    facts: &Facts<'_>,
    mut claims: impl Iterator<Item = &'a Claim>,
    cells: &Range<u64>,
) -> Option<String> {
    claims.find_map(|claim| {
        let (n, broken, counts) = unbroken(facts, claim.expect.part(), cells);
        let unmet = match &claim.expect {
            Expect::Latency { limits, .. } => limits.iter().find_map(|limit| {
                let number = facts
                    .limits
                    .iter()
                    .position(|other| *other == limit.at_most)?;
                let share = limit.quantile.over_per_mille() as f64 / 1e3;
                let bad = counts.bad_or_over(number) - broken;
                (bad > most(n, share, n * limit.quantile.over_per_mille() / 1_000)).then_some(bad)
            }),
            Expect::Errors { max, .. } => Some(counts.bad() - broken)
                .filter(|bad| *bad > most(n, max.ratio(), max.floor_of(n))),
            Expect::Availability { .. }
            | Expect::Recovery { .. }
            | Expect::Integrity { .. }
            | Expect::Resources { .. }
            | Expect::Goodput { .. }
            | Expect::Drift { .. }
            | Expect::ScaleOut { .. }
            | Expect::Capacity { .. } => None,
        };
        let (bad, n) = (words::count(unmet?), words::count(n));
        Some(format!(
            "`{}` was not met before it: {bad} of {n} requests were bad",
            claim.name
        ))
    })
}

/// Judged requests of a part without those a fault broke in flight, these, and all counts: what was
/// broken in flight says nothing about the time before.
fn unbroken(facts: &Facts<'_>, part: Part, cells: &Range<u64>) -> (u64, u64, Counts) {
    let counts = facts.picked(part, cells).counts;
    let broken = facts.broken_in_flight(part, cells);
    (counts.judged() - broken, broken, counts)
}

/// Most bad requests of `n` that still count as met: what the claim allows, or with few requests
/// what chance explains (one-sided 99 % Poisson limit).
fn most(n: u64, share: f64, allowed: u64) -> u64 {
    if allowed >= 10 {
        allowed
    } else {
        poisson::upper(n as f64 * share, 0.99)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};

    fn at_twelve(run: Run) -> Steady {
        before(&run.until_cell(119).record(), 0, 12 * SEC)
    }

    #[test]
    fn a_quiet_target_is_steady() {
        assert_eq!(at_twelve(Run::kill()), Steady::Yes);
    }

    #[test]
    fn unmet_claims_are_not_steady() {
        let slow = Run::kill().answer(|_| Answer::Ok(300 * MS));
        assert!(matches!(at_twelve(slow), Steady::No(why) if why.contains("fast enough")));
        let failing = Run::kill().answer(|request| {
            if request.number % 10 == 0 {
                Answer::reset()
            } else {
                Answer::Ok(MS)
            }
        });
        assert!(matches!(at_twelve(failing), Steady::No(_)));
    }

    #[test]
    fn a_few_failures_among_few_requests_are_chance() {
        // 1 % of 180 requests is 1.8; up to 6 are within the 99 % Poisson limit.
        let every = |n: u64| {
            Run::kill().rate(10).answer(move |request| {
                if request.number % n == 0 {
                    Answer::reset()
                } else {
                    Answer::Ok(MS)
                }
            })
        };
        assert_eq!(at_twelve(every(60)), Steady::Yes);
        assert!(matches!(at_twelve(every(10)), Steady::No(_)));
    }

    #[test]
    fn no_data_is_unknown() {
        let record = Run::kill().until_cell(0).record();
        assert!(matches!(before(&record, 0, 12 * SEC), Steady::Unknown(_)));
        assert!(matches!(before(&record, 9, 12 * SEC), Steady::Unknown(_)));
    }

    #[test]
    fn a_scoped_claim_looks_at_its_own_requests() {
        let claimed = |journey| {
            let scope = chaos_plan::plan::Scope {
                stages: vec![1],
                part: Part::Journey(journey),
            };
            let max = chaos_plan::units::Share::parse("3%").expect("a share");
            Run::kill()
                .claims(vec![Expect::Errors { max, scope }])
                .answer(|request| {
                    if request.journey == 1 && request.number % 5 == 0 {
                        Answer::reset()
                    } else {
                        Answer::Ok(MS)
                    }
                })
        };
        assert_eq!(at_twelve(claimed(0)), Steady::Yes);
        assert!(matches!(at_twelve(claimed(1)), Steady::No(_)));
    }
}
