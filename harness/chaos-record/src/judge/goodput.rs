//! The claim on goodput: journeys completed, a second and beside what was normal before each fault.
//!
//! Invariant: completed is counted by intended instants, as everything else, but for the rate of users
//! without a cycle, which counts what was completed within the stages; around a fault the share of
//! planned journeys that were completed is compared, so that a change of rate is no loss.

use std::ops::Range;

use chaos_plan::plan::Part;
use chaos_plan::units::{Rate, Share};

use super::claims::Ground;
use super::fault::{JudgedFault, felt};
use super::requests::unbelievable;
use crate::facts::{Facts, ns};
use crate::outcome::Counts;
use crate::verdict::{Finding, Reference, Status};
use crate::words;
use crate::{CELL_NS, SECOND_NS};

/// Journeys that must be planned around a fault to say anything.
const PLANNED_MIN: u64 = 10;

/// What is asked of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// One journey, or all.
    pub(super) journey: Option<usize>,
    pub(super) min: Option<Share>,
    pub(super) at_least: Option<Rate>,
}

/// The claim in words.
pub(super) fn target(facts: &Facts<'_>, asked: &Asked) -> String {
    let of = match asked
        .journey
        .and_then(|journey| facts.plan.load.journeys.get(journey))
    {
        Some(journey) => format!("journeys {}", journey.name),
        None => "journeys".to_owned(),
    };
    let limits = [
        asked.at_least.map(|rate| {
            format!(
                "at least {} {of} a second completed",
                words::decimal(rate.per_second())
            )
        }),
        asked
            .min
            .map(|share| format!("around each fault {share} of the {of} completed before it")),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    words::list(&limits)
}

/// One finding over the stages, and one for each fault in them.
pub(super) fn findings(ground: &Ground<'_>, asked: &Asked, stages: &[usize]) -> Vec<Finding> {
    let over = asked
        .at_least
        .map(|rate| over_stages(ground, asked, rate, stages));
    let around = asked.min.into_iter().flat_map(|min| {
        let hit = ground
            .faults
            .iter()
            .filter(|fault| is_in(ground.facts, fault, stages));
        hit.map(move |fault| around(ground, asked, min, fault))
    });
    over.into_iter().chain(around).collect()
}

/// Completed journeys, those planned, and those that count in neither: cut off by the end of the
/// run, or broken in flight by a fault that came later.
fn counted(facts: &Facts<'_>, asked: &Asked, cells: &Range<u64>) -> (Counts, u64) {
    let counts = counts(facts, asked, cells);
    let planned = match asked.journey {
        None => facts.planned.journeys(cells.start, cells.end),
        Some(journey) => facts.planned.of_journey(journey, cells.start, cells.end),
    };
    let planned = planned.saturating_sub(counts.cancelled);
    (counts, planned)
}

fn counts(facts: &Facts<'_>, asked: &Asked, cells: &Range<u64>) -> Counts {
    match asked.journey {
        None => facts.journeys(cells),
        Some(journey) => facts.journey(journey, cells).counts,
    }
}

fn over_stages(ground: &Ground<'_>, asked: &Asked, rate: Rate, stages: &[usize]) -> Finding {
    let facts = ground.facts;
    let (mut ok, mut planned, mut length, mut completed) = (0, 0, 0, 0);
    for (number, stage) in stages
        .iter()
        .filter_map(|number| Some((*number, facts.plan.load.stages.get(*number)?)))
    {
        let (own, due) = counted(facts, asked, &facts.stage_cells(number));
        (ok, planned, length) = (ok + own.ok, planned + due, length + ns(stage.length));
        completed += facts.completed(number, &own, |cells| counts(facts, asked, cells));
    }
    let reached = per_second(completed, length);
    let (status, why) = if !facts.whole(stages) {
        (
            Status::Unknown,
            "the run ended before all of it was seen".to_owned(),
        )
    } else if reached + 1e-9 >= rate.per_second() {
        (Status::Held, String::new())
    } else {
        let why = format!(
            "{} a second were completed, {} must be",
            words::decimal(reached),
            words::decimal(rate.per_second())
        );
        not_held(ground, stages, why)
    };
    Finding {
        of: "over the stages".to_owned(),
        status,
        n: planned,
        bad: planned.saturating_sub(ok),
        allowed: 0,
        measured: format!("{} a second", words::decimal(reached)),
        why,
    }
}

fn per_second(n: u64, length: u64) -> f64 {
    if length == 0 {
        0.0
    } else {
        n as f64 * SECOND_NS as f64 / length as f64
    }
}

fn not_held(ground: &Ground<'_>, stages: &[usize], why: String) -> (Status, String) {
    match ground.health.short(stages) {
        Some(sick) => (Status::Unknown, unbelievable(&sick)),
        None => (Status::NotHeld, why),
    }
}

/// Whether a fault took effect, or should have, in one of the stages.
fn is_in(facts: &Facts<'_>, fault: &JudgedFault<'_>, stages: &[usize]) -> bool {
    let planned = ns(fault.life.fault.when.latest());
    let at = fault.finding.effective.unwrap_or(planned);
    stages.contains(&facts.stage_of_cell(at / CELL_NS))
}

fn around(ground: &Ground<'_>, asked: &Asked, min: Share, fault: &JudgedFault<'_>) -> Finding {
    let facts = ground.facts;
    let of = format!("fault {}", fault.finding.name);
    let unknown = |why: String| Finding {
        of: of.clone(),
        status: Status::Unknown,
        n: 0,
        bad: 0,
        allowed: 0,
        measured: String::new(),
        why,
    };
    let (Some(course), Some(reference)) = (&fault.course, &fault.finding.reference) else {
        let why = fault.life.no_evidence();
        return unknown(
            why.unwrap_or_else(|| {
                "there is no steady stretch before it to compare with".to_owned()
            }),
        );
    };
    let Some(felt) = felt(facts, &fault.life, Some(course)) else {
        return unknown("nothing shows that it was injected".to_owned());
    };
    // However soon shoppers were back, so long is looked at.
    let least = felt.start + course.steady_for.div_ceil(CELL_NS);
    let cells = felt.start..felt.end.max(least.min(course.horizon));
    let (Counts { ok, .. }, planned) = counted(facts, asked, &cells);
    let before = before(facts, asked, reference);
    if planned < PLANNED_MIN || before <= 0.0 {
        return unknown(format!(
            "too few journeys around it: {planned}, needs {PLANNED_MIN}"
        ));
    }
    let kept = level(facts, ok, planned, &cells) / before;
    let (status, why) = if kept + 1e-9 >= min.ratio() {
        (Status::Held, String::new())
    } else {
        let length = words::duration((cells.end - cells.start) * CELL_NS);
        let why = format!(
            "in the {length} from its effect on {} of what was completed before it, {min} must be",
            words::percent(kept)
        );
        let stage = facts.stage_of_cell(cells.start);
        not_held(ground, &[stage], why)
    };
    Finding {
        status,
        n: planned,
        bad: planned.saturating_sub(ok),
        measured: format!(
            "{}: {} of the reference",
            fault.finding.name,
            words::percent(kept)
        ),
        why,
        ..unknown(String::new())
    }
}

/// The level in the reference, without what the fault broke in flight.
fn before(facts: &Facts<'_>, asked: &Asked, reference: &Reference) -> f64 {
    let cells = reference.from / CELL_NS..reference.until / CELL_NS;
    let (Counts { ok, .. }, planned) = counted(facts, asked, &cells);
    let part = asked.journey.map_or(Part::All, Part::Journey);
    let broken = facts
        .broken_in_flight(part, &cells)
        .min(planned.saturating_sub(ok));
    level(facts, ok, planned - broken, &cells)
}

/// Completed among planned; in a closed model without a cycle, where a slow target is asked less, a second.
fn level(facts: &Facts<'_>, ok: u64, planned: u64, cells: &Range<u64>) -> f64 {
    if !facts.is_paced() {
        per_second(ok, (cells.end - cells.start) * CELL_NS)
    } else if planned == 0 {
        0.0
    } else {
        ok as f64 / planned as f64
    }
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::Expect;

    use super::*;
    use crate::fixture::{Answer, MS, Run};
    use crate::judge::judge;
    use crate::verdict::ClaimVerdict;

    const SEC: u64 = SECOND_NS;

    fn claim(
        run: Run,
        journey: Option<usize>,
        min: Option<&str>,
        at_least: Option<f64>,
    ) -> ClaimVerdict {
        let claimed = run.claims(vec![Expect::Goodput {
            journey,
            min: min.map(|text| Share::parse(text).expect("a share")),
            at_least: at_least.map(Rate::new),
            stages: vec![1],
        }]);
        judge(&claimed.record()).claims.remove(0)
    }

    /// One in `every` is refused in the 4 s after the fault.
    fn failing(every: u64) -> Run {
        Run::kill().answer(move |request| {
            let is_hit = (12 * SEC..16 * SEC).contains(&request.at);
            if is_hit && request.number.is_multiple_of(every) {
                Answer::refused()
            } else {
                Answer::Ok(5 * MS)
            }
        })
    }

    #[test]
    fn around_a_fault_the_share_of_the_reference_decides() {
        let status = |run: Run, min: &str| {
            let claim = claim(run, None, Some(min), None);
            (claim.status, claim.measured, claim.why)
        };
        assert_eq!(status(Run::kill(), "99%").0, Status::Held);
        // Journeys of two requests of which one in four fails: three in five of these are completed.
        let (half, measured, why) = status(failing(4), "80%");
        assert_eq!(half, Status::NotHeld, "{measured} {why}");
        assert_eq!(status(failing(4), "40%").0, Status::Held);
        assert_eq!(status(failing(1), "1%").0, Status::NotHeld);
        assert_eq!(status(Run::kill().unproven(), "1%").0, Status::Unknown);
        assert_eq!(
            status(Run::kill().without_effect(), "1%").0,
            Status::Unknown
        );
        assert_eq!(status(Run::calm(), "1%").0, Status::Unknown);
    }

    #[test]
    fn a_higher_rate_is_asked_of_the_stages() {
        let status = |run: Run, journey, rate: f64| claim(run, journey, None, Some(rate)).status;
        assert_eq!(status(Run::calm(), None, 99.0), Status::Held);
        assert_eq!(status(Run::calm(), None, 101.0), Status::NotHeld);
        assert_eq!(status(Run::calm(), Some(1), 15.0), Status::Held);
        assert_eq!(status(Run::calm(), Some(1), 30.0), Status::NotHeld);
        assert_eq!(status(failing(1), None, 90.0), Status::NotHeld);
        assert_eq!(status(failing(1), None, 80.0), Status::Held);
        assert_eq!(
            status(Run::calm().cut_short(20 * SEC), None, 1.0),
            Status::Unknown
        );
    }
}
