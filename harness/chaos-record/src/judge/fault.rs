//! What each fault did to shoppers: the card of the report, and what the recovery claim is judged by.
//!
//! Invariant: a recovery is stated only where the effect is proven, the undo is proven, the
//! reference was steady and the record reaches far enough; everything else is unknown and says why.

use std::ops::Range;

use super::signals;
use crate::band::Band;
use crate::course::{Course, Instants};
use crate::facts::{Facts, cells_of_seconds, ns};
use crate::life::Life;
use crate::quantile;
use crate::steady::{self, Steady};
use crate::verdict::{FaultFinding, Recovery};
use crate::words;
use crate::{CELL_NS, SECOND_NS};

/// A fault's finding and what it was read from.
#[derive(Debug)]
pub(crate) struct JudgedFault<'a> {
    pub(crate) life: Life<'a>,
    pub(crate) finding: FaultFinding,
    /// Absent where nothing can be said.
    pub(crate) course: Option<Course>,
    /// Other faults that were at work before this one was over.
    pub(crate) overlaps: Vec<String>,
}

/// Judges every fault of the plan, in its order.
pub(crate) fn judge<'a>(facts: &Facts<'a>) -> Vec<JudgedFault<'a>> {
    let lives: Vec<Life<'a>> = facts
        .plan
        .faults
        .iter()
        .map(|fault| Life::of(facts, fault))
        .collect();
    let effects: Vec<Option<u64>> = lives.iter().map(|life| life.effective).collect();
    let mut judged: Vec<JudgedFault<'a>> = lives
        .into_iter()
        .enumerate()
        .map(|(index, life)| {
            let next = effects[index].and_then(|own| next_after(&effects, index, own));
            one(facts, life, next)
        })
        .collect();
    let spans: Vec<Option<Range<u64>>> = judged.iter().map(|fault| fault.span(facts)).collect();
    for (index, fault) in judged.iter_mut().enumerate() {
        fault.overlaps = overlapping(facts, &spans, index);
    }
    judged
}

/// The effect of the fault that came next, in time and then in the order of the plan.
fn next_after(effects: &[Option<u64>], index: usize, own: u64) -> Option<u64> {
    let others = effects
        .iter()
        .enumerate()
        .filter_map(|(other, effect)| Some((other, (*effect)?)));
    others
        .filter(|(other, effect)| (*effect, *other) > (own, index))
        .map(|(_, effect)| effect)
        .min()
}

fn overlapping(facts: &Facts<'_>, spans: &[Option<Range<u64>>], index: usize) -> Vec<String> {
    let Some(own) = &spans[index] else {
        return Vec::new();
    };
    let meets = |other: &Range<u64>| other.start < own.end && own.start < other.end;
    let others = spans
        .iter()
        .enumerate()
        .filter(|(other, span)| *other != index && span.as_ref().is_some_and(meets));
    others
        .map(|(other, _)| facts.plan.faults[other].name.clone())
        .collect()
}

/// The course after a fault of which there is evidence, or why there is none. Also used while the run
/// goes on; then only what comes at or after `since`, a time of the load, is looked at.
pub(crate) fn course(
    facts: &Facts<'_>,
    life: &Life<'_>,
    next: Option<u64>,
    since: u64,
) -> (Option<Band>, Result<Course, String>) {
    let band = life
        .effective
        .map(|effective| Band::before(facts, effective));
    let course = match (&band, life.effective, life.origin(), life.no_evidence()) {
        (_, _, _, Some(why)) => Err(why),
        (Some(Ok(band)), Some(effective), Some(origin), None) => {
            steady_reference(facts, band).map(|()| {
                Course::after(
                    facts,
                    band,
                    Instants {
                        from: effective.max(since),
                        origin,
                        next,
                    },
                )
            })
        }
        (Some(Err(why)), ..) => Err(format!("no reference: {why}")),
        _ => Err("nothing shows that it was injected".to_owned()),
    };
    (band.and_then(Result::ok), course)
}

fn steady_reference(facts: &Facts<'_>, band: &Band) -> Result<(), String> {
    match steady::assess(facts, band.stage, &band.cells) {
        Steady::Yes => Ok(()),
        Steady::No(why) | Steady::Unknown(why) => Err(format!("not steady before it: {why}")),
    }
}

fn one<'a>(facts: &Facts<'a>, life: Life<'a>, next: Option<u64>) -> JudgedFault<'a> {
    let (band, course) = course(facts, &life, next, 0);
    let recovery = match &course {
        Ok(course) => recovery(course),
        Err(why) => Recovery::Unknown { why: why.clone() },
    };
    let course = course.ok();
    let felt = felt(facts, &life, course.as_ref());
    let after_effect = |at: u64| at.saturating_sub(life.effective.unwrap_or(at));
    let trouble = life.unproven.or(life.undo_failed).map(str::to_owned);
    let finding = FaultFinding {
        name: life.fault.name.clone(),
        kind: life.fault.inject.kind().to_owned(),
        targets: life.targets.to_vec(),
        requested: life.requested,
        effective: life.effective,
        undone: life.undone,
        effect_proof: life.effect_proof.to_vec(),
        undo_proof: life.undo_proof.to_vec(),
        not_injected: life
            .not_injected
            .map(|(reason, why)| (reason, why.to_owned())),
        trouble,
        symptom_after: course
            .as_ref()
            .and_then(Course::symptom_at)
            .map(after_effect),
        detected_after: signals::detected(facts, &life, next),
        recovery,
        capacity_after: signals::capacity(facts, &life),
        excess_bad: felt
            .as_ref()
            .zip(band.as_ref())
            .map_or(0, |(felt, band)| excess(facts, felt, band)),
        caught: caught(facts, &life),
        worst_p95: felt.as_ref().and_then(|felt| worst_p95(facts, felt)),
        reference: band.map(|band| band.reference),
    };
    JudgedFault {
        life,
        finding,
        course,
        overlaps: Vec::new(),
    }
}

fn recovery(course: &Course) -> Recovery {
    let seen = (course.horizon * CELL_NS).saturating_sub(course.origin);
    match (course.recovered_at(), course.symptom_at()) {
        (Some(_), None) => Recovery::Absorbed,
        (Some(at), Some(_)) => Recovery::Recovered {
            after: at - course.origin,
            relapses: course.relapses().len() as u64,
        },
        (None, Some(_)) => Recovery::NotRecovered { longer_than: seen },
        (None, None) => Recovery::Unknown {
            why: format!(
                "only {} were seen after it, {} in band are needed",
                words::duration(seen),
                words::duration(course.steady_for)
            ),
        },
    }
}

/// Cells from the effect until shoppers were back in band, or as far as was seen.
pub(super) fn felt(
    facts: &Facts<'_>,
    life: &Life<'_>,
    course: Option<&Course>,
) -> Option<Range<u64>> {
    let from = life.effective? / CELL_NS;
    let until = match course.map(|course| (course.steady_from(), course.symptom_at(), course)) {
        // Absorbed: the stretch that showed it.
        Some((Some(steady), None, course)) => steady + course.steady_for.div_ceil(CELL_NS),
        Some((Some(steady), Some(_), _)) => steady,
        _ => facts.horizon(),
    };
    Some(from..until.min(facts.horizon()).max(from))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an expectation is at most the count it came from"
)]
fn excess(facts: &Facts<'_>, felt: &Range<u64>, band: &Band) -> u64 {
    let counts = facts.requests(felt).counts;
    counts
        .bad()
        .saturating_sub(band.expected_bad(counts.judged()).round() as u64)
}

/// Requests in flight at the effect: intended before it, at most `patience` earlier.
fn caught(facts: &Facts<'_>, life: &Life<'_>) -> [u64; 2] {
    let Some(effective) = life.effective else {
        return [0, 0];
    };
    let earliest = effective.saturating_sub(ns(facts.plan.load.patience) + SECOND_NS) / CELL_NS;
    facts
        .requests(&(earliest..effective / CELL_NS + 1))
        .counts
        .caught
}

/// The p95 of the second in which the largest share of requests was bad or over the tightest limit.
fn worst_p95(facts: &Facts<'_>, felt: &Range<u64>) -> Option<u64> {
    let seconds = felt.start * CELL_NS / SECOND_NS..(felt.end * CELL_NS).div_ceil(SECOND_NS);
    let badness = |second: u64| {
        let counts = facts
            .requests(&cells_of_seconds(&(second..second + 1)))
            .counts;
        (counts.bad_or_over(0), counts)
    };
    let mut worst: Option<(u64, u64, u64)> = None;
    for second in seconds {
        let (bad, counts) = badness(second);
        let n = counts.judged();
        // bad / n > worst bad / worst n, without dividing.
        let worse = worst.is_none_or(|(_, most, of)| {
            u128::from(bad) * u128::from(of) > u128::from(most) * u128::from(n)
        });
        if n > 0 && worse {
            worst = Some((second, bad, n));
        }
    }
    let (second, ..) = worst?;
    let seconds = second..second + 1;
    let bad = facts.requests(&cells_of_seconds(&seconds)).counts.bad();
    quantile::response(&facts.responses(None, &seconds), bad, 50)
}

impl JudgedFault<'_> {
    /// From effect to recovery, or as far as was seen, times of the load.
    fn span(&self, facts: &Facts<'_>) -> Option<Range<u64>> {
        let effective = self.life.effective?;
        let recovered = self.course.as_ref().and_then(Course::recovered_at);
        let until = recovered
            .or(self.life.undone)
            .unwrap_or(facts.horizon() * CELL_NS);
        Some(effective..until.max(effective + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::judge::judge as whole;

    fn recovery_of(run: &Run) -> Recovery {
        whole(&run.record()).faults[0].recovery.clone()
    }

    /// Everything intended in this stretch of the load is refused.
    fn outage(from: u64, until: u64) -> impl Fn(&crate::fixture::Request) -> Answer + 'static {
        move |request| {
            if (from..until).contains(&request.at) {
                Answer::refused()
            } else {
                Answer::Ok(5 * MS)
            }
        }
    }

    #[test]
    fn a_planted_outage_is_measured_within_250_ms() {
        for (begin, length) in [
            (12_000, 3_000),
            (12_030, 3_000),
            (12_070, 700),
            (12_000, 9_990),
        ] {
            let run = Run::kill()
                .rate(600)
                .effective(begin * MS)
                .answer(outage(begin * MS, (begin + length) * MS));
            let Recovery::Recovered { after, relapses } = recovery_of(&run) else {
                panic!("it recovered")
            };
            assert!(
                after.abs_diff(length * MS) <= 250 * MS && after >= length * MS,
                "{length}: {after}"
            );
            assert_eq!(relapses, 0);
        }
    }

    #[test]
    fn without_symptom_it_was_absorbed() {
        let verdict = whole(&Run::kill().record());
        let fault = &verdict.faults[0];
        assert_eq!(fault.recovery, Recovery::Absorbed);
        assert_eq!(
            (fault.symptom_after, fault.excess_bad, fault.trouble.clone()),
            (None, 0, None)
        );
    }

    #[test]
    fn a_relapse_is_counted_and_does_not_move_the_recovery() {
        let run = Run::kill().answer(|request| match request.at / (100 * MS) {
            120..130 | 200..210 | 230..231 => Answer::refused(),
            _ => Answer::Ok(5 * MS),
        });
        let Recovery::Recovered { after, relapses } = recovery_of(&run) else {
            panic!("it recovered")
        };
        assert!(after.abs_diff(SEC) <= 700 * MS, "{after}");
        assert_eq!(relapses, 2);
    }

    #[test]
    fn what_never_comes_back_is_longer_than_what_was_seen() {
        let run = Run::kill().answer(outage(12 * SEC, u64::MAX));
        assert_eq!(
            recovery_of(&run),
            Recovery::NotRecovered {
                longer_than: 18 * SEC
            }
        );
    }

    #[test]
    fn failures_before_the_effect_are_caught_and_not_a_symptom() {
        let run = Run::kill().effective(12_030 * MS).answer(|request| {
            if (11_990 * MS..12_000 * MS).contains(&request.at) {
                Answer::caught()
            } else {
                Answer::Ok(MS)
            }
        });
        let verdict = whole(&run.record());
        let fault = &verdict.faults[0];
        assert_eq!(fault.symptom_after, None);
        assert!(fault.caught[1] >= 1, "{:?}", fault.caught);
    }

    #[test]
    fn what_it_broke_in_flight_does_not_count_as_the_time_before() {
        // 36 requests and the steps behind them, where 18 are too many for the claim on errors.
        let run = Run::kill().answer(|request| {
            let caught = (11_800 * MS..12 * SEC).contains(&request.at);
            if caught {
                Answer::caught()
            } else {
                Answer::Ok(5 * MS)
            }
        });
        let fault = whole(&run.record()).faults.remove(0);
        assert_eq!(fault.recovery, Recovery::Absorbed);
        assert!(fault.caught[1] >= 18, "{:?}", fault.caught);
        assert_eq!(fault.reference.map(|reference| reference.bad), Some(0));
    }

    #[test]
    fn excess_is_what_the_reference_does_not_explain() {
        let run = Run::kill().answer(outage(12 * SEC, 14 * SEC));
        let verdict = whole(&run.record());
        // Two seconds of 100 journeys, of which four in five have two steps.
        assert!(
            (340..380).contains(&verdict.faults[0].excess_bad),
            "{}",
            verdict.faults[0].excess_bad
        );
        assert_eq!(verdict.faults[0].worst_p95, None);
    }

    #[test]
    fn the_worst_p95_is_that_of_the_worst_second() {
        let run = Run::kill().answer(|request| {
            Answer::Ok(if (13 * SEC..14 * SEC).contains(&request.at) {
                700 * MS
            } else {
                5 * MS
            })
        });
        let worst = whole(&run.record()).faults[0].worst_p95.expect("finite");
        assert!((worst as f64 / 700e6 - 1.0).abs() < 0.002, "{worst}");
    }

    #[test]
    fn without_proof_nothing_is_said() {
        let check = |run: &Run, part: &str| match recovery_of(run) {
            Recovery::Unknown { why } => assert!(why.contains(part), "{why}"),
            other => panic!("{other:?} instead of {part}"),
        };
        check(
            &Run::kill().without_effect(),
            "nothing shows that it was injected",
        );
        check(&Run::kill().unproven(), "not proven");
        check(
            &Run::pause().without_undo(),
            "nothing shows that it was undone",
        );
        check(&Run::kill().answer(|_| Answer::Ok(300 * MS)), "not steady");
        check(&Run::kill().effective(28 * SEC), "are needed");
    }

    #[test]
    fn a_fault_that_lasts_is_judged_from_its_undo() {
        // Paused from 12 s to 15 s; answers come again half a second after the undo.
        let run = Run::pause().answer(outage(12 * SEC, 15_500 * MS));
        let Recovery::Recovered { after, .. } = recovery_of(&run) else {
            panic!("it recovered")
        };
        assert!(after.abs_diff(500 * MS) <= 350 * MS, "{after}");
        let run = Run::pause().answer(outage(12 * SEC, 13 * SEC));
        assert_eq!(
            recovery_of(&run),
            Recovery::Recovered {
                after: 0,
                relapses: 0
            }
        );
    }
}
