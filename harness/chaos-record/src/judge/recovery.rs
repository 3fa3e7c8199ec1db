//! The claim on recovery: after each fault, back in band in time.
//!
//! Invariant: it holds for a fault only if the fault is proven to have taken effect, and to be gone.

use std::time::Duration;

use chaos_plan::units::duration_to_text;

use super::claims::Ground;
use super::fault::JudgedFault;
use super::generator::recovery_stages;
use super::requests::unbelievable;
use crate::course::Course;
use crate::facts::ns;
use crate::verdict::{Finding, Recovery, Status};
use crate::words;

/// The claim in words.
pub(super) fn target(within: Duration, steady_for: Duration) -> String {
    format!(
        "back to normal within {} after each fault, for {}",
        duration_to_text(within),
        duration_to_text(steady_for)
    )
}

/// A finding for each fault.
pub(super) fn findings(ground: &Ground<'_>, within: Duration) -> Vec<Finding> {
    let sick = ground.health.sick(&recovery_stages(ground.facts));
    ground
        .faults
        .iter()
        .map(|fault| {
            let (status, why) = match &sick {
                Some(sick) => (Status::Unknown, unbelievable(sick)),
                None => decide(fault, ns(within)),
            };
            let bad = u64::from(status == Status::NotHeld);
            let of = format!("fault {}", fault.finding.name);
            Finding {
                of,
                status,
                n: 1,
                bad,
                allowed: 0,
                measured: measured(&fault.finding.name, &fault.finding.recovery),
                why: shared(fault, why),
            }
        })
        .collect()
}

fn decide(fault: &JudgedFault<'_>, within: u64) -> (Status, String) {
    let limit = words::duration(within);
    let (Some(course), recovery) = (&fault.course, &fault.finding.recovery) else {
        return (Status::Unknown, unknown_why(&fault.finding.recovery));
    };
    match recovery {
        Recovery::Absorbed => (Status::Held, String::new()),
        Recovery::Recovered { after, .. } if *after > within => (
            Status::NotHeld,
            format!(
                "back to normal only after {}, {limit} were allowed",
                words::duration(*after)
            ),
        ),
        Recovery::Recovered { .. } => match out_at(course, course.origin.saturating_add(within)) {
            Some((from, until)) => {
                let (from, until) = (words::duration(from), words::duration(until));
                (
                    Status::NotHeld,
                    format!(
                        "it left the band again from {from} to {until} after, when {limit} were over"
                    ),
                )
            }
            None => (Status::Held, String::new()),
        },
        Recovery::NotRecovered { longer_than } => {
            let last = course
                .last_out_until()
                .unwrap_or(0)
                .saturating_sub(course.origin);
            let seen = words::duration(*longer_than);
            if last > within {
                (
                    Status::NotHeld,
                    format!(
                        "not back to normal {} after, {limit} were allowed",
                        words::duration(last)
                    ),
                )
            } else {
                (
                    Status::Unknown,
                    format!("not back to normal when the run ended, {seen} after"),
                )
            }
        }
        Recovery::Unknown { .. } => (Status::Unknown, unknown_why(recovery)),
    }
}

/// A relapse that goes on beyond `deadline`, counted from the origin: the shop was not back by then.
fn out_at(course: &Course, deadline: u64) -> Option<(u64, u64)> {
    let spans = course
        .relapses()
        .into_iter()
        .find(|(from, until)| *from < deadline && deadline < *until);
    spans.map(|(from, until)| (from - course.origin, until - course.origin))
}

fn unknown_why(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Unknown { why } => why.clone(),
        _ => "there is no evidence of its course".to_owned(),
    }
}

/// Faults that overlap cannot be told apart; the reader is told.
fn shared(fault: &JudgedFault<'_>, why: String) -> String {
    if fault.overlaps.is_empty() || why.is_empty() {
        return why;
    }
    format!("{why} (overlaps with {})", words::list(&fault.overlaps))
}

fn measured(name: &str, recovery: &Recovery) -> String {
    match recovery {
        Recovery::Absorbed => format!("{name}: absorbed"),
        Recovery::Recovered { after, relapses: 0 } => {
            format!("{name}: back after {}", words::duration(*after))
        }
        Recovery::Recovered { after, relapses } => {
            format!(
                "{name}: back after {}, then {}",
                words::duration(*after),
                words::counted(*relapses, "relapse")
            )
        }
        Recovery::NotRecovered { longer_than } => {
            format!("{name}: > {} (run ended)", words::duration(*longer_than))
        }
        Recovery::Unknown { .. } => format!("{name}: not observed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::judge::judge;
    use crate::verdict::ClaimVerdict;

    fn claim(run: &Run) -> ClaimVerdict {
        judge(&run.record())
            .claims
            .into_iter()
            .find(|claim| claim.kind == "recovery")
            .expect("the plan has it")
    }

    fn down(from: u64, until: u64) -> Run {
        Run::kill().answer(move |request| {
            if (from..until).contains(&request.at) {
                Answer::refused()
            } else {
                Answer::Ok(5 * MS)
            }
        })
    }

    #[test]
    fn the_budget_decides() {
        let check = |run: &Run, status: Status, measured: &str| {
            let claim = claim(run);
            assert_eq!(claim.status, status, "{}", claim.why);
            assert!(claim.measured.contains(measured), "{}", claim.measured);
        };
        check(&Run::kill(), Status::Held, "absorbed");
        check(&down(12 * SEC, 15 * SEC), Status::Held, "back after 3");
        check(&down(12 * SEC, 19 * SEC), Status::NotHeld, "back after 7");
        check(
            &down(12 * SEC, 40 * SEC),
            Status::NotHeld,
            "> 18 s (run ended)",
        );
        check(&Run::kill().unproven(), Status::Unknown, "not observed");
    }

    #[test]
    fn a_run_that_ended_within_the_budget_says_nothing() {
        let claim = claim(&down(12 * SEC, 40 * SEC).cut_short(15 * SEC));
        assert_eq!(claim.status, Status::Unknown, "{}", claim.why);
    }

    #[test]
    fn out_of_band_at_the_deadline_is_not_back_whatever_came_before() {
        // In band for the first 3.5 s, then out beyond the 5 s that are allowed.
        assert_eq!(claim(&down(15_500 * MS, 19 * SEC)).status, Status::NotHeld);
        // Over before the deadline, or begun after it: counted as a relapse only.
        assert_eq!(claim(&down(15_500 * MS, 16 * SEC)).status, Status::Held);
        assert_eq!(claim(&down(20 * SEC, 21 * SEC)).status, Status::Held);
    }
}
