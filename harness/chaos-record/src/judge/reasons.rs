//! Everything that calls for an exit code other than 0, in words.
//!
//! Invariant: a run without any reason held; so whatever is missing, doubtful or failed must give one here.

use super::claims::Ground;
use super::fault::JudgedFault;
use crate::event::{Event, StopSignal};
use crate::exit::{self, ExitCode};
use crate::facts::Facts;
use crate::verdict::{ClaimVerdict, Cleanup, RunOutcome, Status};
use crate::words;

type Reason = (ExitCode, String);

/// The last clean-up the record tells of; without one nothing is verified.
pub(super) fn cleanup(facts: &Facts<'_>) -> Cleanup {
    let last = facts
        .record
        .events
        .iter()
        .rev()
        .find_map(|event| match &event.what {
            Event::CleanedUp { verified, left } => Some(Cleanup {
                verified: *verified,
                left: left.clone(),
            }),
            _ => None,
        });
    last.unwrap_or(Cleanup {
        verified: false,
        left: Vec::new(),
    })
}

/// How far an incomplete record goes, nanoseconds since the start of the run. A later clean-up does not count.
pub(super) fn incomplete_after(facts: &Facts<'_>) -> Option<u64> {
    let counts = |event: &&crate::event::Stamped| !matches!(event.what, Event::CleanedUp { .. });
    let last_event = facts
        .record
        .events
        .iter()
        .filter(counts)
        .map(|event| event.at)
        .max()
        .unwrap_or(0);
    let last_cell = facts
        .load_started
        .map_or(0, |started| started + facts.closed * crate::CELL_NS);
    (!facts.complete).then(|| last_event.max(last_cell))
}

/// All reasons, in no order.
pub(super) fn collect(
    ground: &Ground<'_>,
    claims: &[ClaimVerdict],
    cleanup: &Cleanup,
) -> Vec<Reason> {
    let facts = ground.facts;
    let mut reasons: Vec<Reason> = facts
        .record
        .events
        .iter()
        .filter_map(|event| of_event(&event.what))
        .collect();
    reasons.extend(of_record(ground));
    if !cleanup.verified {
        let left = if cleanup.left.is_empty() {
            "nothing shows that all is cleaned up".to_owned()
        } else {
            format!("left behind: {}", words::list(&cleanup.left))
        };
        reasons.push((
            exit::NOT_CLEAN,
            format!("{left}; `chaos recover` finishes the clean-up"),
        ));
    }
    let faults = ground.faults.iter();
    reasons.extend(faults.filter_map(|fault| of_fault(facts, fault)));
    reasons.extend(claims.iter().filter_map(of_claim));
    if claims.is_empty() {
        reasons.push((exit::INCONCLUSIVE, "the plan makes no claim".to_owned()));
    }
    reasons
}

fn of_event(event: &Event) -> Option<Reason> {
    match event {
        Event::Aborted { why } => Some((exit::ABORTED, why.clone())),
        Event::Interrupted {
            signal: StopSignal::Interrupt,
        } => Some((exit::INTERRUPTED, "stopped by the user".to_owned())),
        Event::Interrupted {
            signal: StopSignal::Terminate,
        } => Some((exit::TERMINATED, "stopped by the user (SIGTERM)".to_owned())),
        Event::Halted { by } => Some((exit::INTERRUPTED, format!("halted by {by}"))),
        Event::EnvironmentFailed { what } => Some((exit::ENVIRONMENT, what.clone())),
        Event::GuardianLost => Some((
            exit::ENVIRONMENT,
            "the guardian ended before the run did".to_owned(),
        )),
        Event::Panicked { message } => Some((exit::BUG, format!("chaos itself failed: {message}"))),
        _ => None,
    }
}

fn of_record(ground: &Ground<'_>) -> Vec<Reason> {
    let facts = ground.facts;
    let mut reasons = Vec::new();
    if let Some(after) = incomplete_after(facts) {
        let damage = facts.record.damaged_at_line.map_or(String::new(), |line| {
            format!(", it is damaged at line {line}")
        });
        reasons.push((
            exit::INCONCLUSIVE,
            format!(
                "the record is incomplete after {}{damage}",
                words::duration(after)
            ),
        ));
    }
    if facts.load_started.is_none() {
        reasons.push((exit::INCONCLUSIVE, "no load was offered".to_owned()));
    }
    if let Some(difference) = ground.conservation.differences.first() {
        // Only a record that claims to be whole shows a bug; a cut one may just lack its end.
        let code = if facts.complete {
            exit::BUG
        } else {
            exit::INCONCLUSIVE
        };
        reasons.push((
            code,
            format!("not everything is accounted for: {difference}"),
        ));
    }
    if let Some(why) = ground.health.everywhere() {
        reasons.push((exit::INCONCLUSIVE, why.to_owned()));
    }
    reasons
}

/// What a harness that died left at work, the guardian or `chaos recover` took back if the clean-up they wrote
/// down is verified: then its end is not known, but nothing is left of it. A harness that closed its
/// record had to tell of each undo itself, and a failed undo stays one.
fn of_fault(facts: &Facts<'_>, fault: &JudgedFault<'_>) -> Option<Reason> {
    let (life, name) = (&fault.life, &fault.finding.name);
    let applied = life.effective.is_some() || life.unproven.is_some();
    if let Some(why) = life.undo_failed {
        return Some((
            exit::NOT_CLEAN,
            format!("the undo of {name} is not verified: {why}"),
        ));
    }
    let undone = life.is_one_shot() || life.undone.is_some() || cleaned_after(facts, name);
    if applied && !undone {
        return Some((
            exit::NOT_CLEAN,
            format!("nothing shows that {name} was undone; `chaos recover` finishes the clean-up"),
        ));
    }
    life.no_evidence()
        .map(|why| (exit::INCONCLUSIVE, format!("{name}: {why}")))
}

/// Whether the harness did not live to close its record, and the last clean-up, after everything
/// that is told of the fault, is verified.
fn cleaned_after(facts: &Facts<'_>, name: &str) -> bool {
    let events = || facts.record.events.iter();
    let last_change = events()
        .filter(|event| matches!(&event.what, Event::Fault { fault, .. } if fault == name))
        .map(|event| event.at)
        .max();
    let last_clean_up = events().rev().find_map(|event| match event.what {
        Event::CleanedUp { verified, .. } => Some((verified, event.at)),
        _ => None,
    });
    facts.record.end.is_none()
        && last_clean_up.is_some_and(|(verified, at)| verified && Some(at) >= last_change)
}

fn of_claim(claim: &ClaimVerdict) -> Option<Reason> {
    let code = match claim.status {
        Status::Held => return None,
        Status::NotHeld if claim.kind == "integrity" => exit::INTEGRITY,
        Status::NotHeld => exit::NOT_HELD,
        Status::Unknown | Status::NotJudged => exit::INCONCLUSIVE,
    };
    Some((code, format!("{}: {}", claim.name, claim.why)))
}

/// The one word for the run.
pub(super) fn outcome(
    facts: &Facts<'_>,
    claims: &[ClaimVerdict],
    reasons: &[Reason],
) -> RunOutcome {
    if facts
        .record
        .events
        .iter()
        .any(|event| matches!(event.what, Event::Aborted { .. }))
    {
        RunOutcome::Aborted
    } else if claims.iter().any(|claim| claim.status == Status::NotHeld) {
        RunOutcome::NotHeld
    } else if reasons.is_empty() {
        RunOutcome::Held
    } else {
        RunOutcome::Inconclusive
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC, forget};
    use crate::judge::judge;

    fn check(run: &Run, outcome: RunOutcome, code: u8) {
        let verdict = judge(&run.record());
        assert_eq!(
            (verdict.outcome, verdict.exit.code),
            (outcome, code),
            "{:?}",
            verdict.exit.because
        );
    }

    #[test]
    fn each_end_of_a_run_has_its_code() {
        use RunOutcome::{Aborted, Held, Inconclusive, NotHeld};
        let late = 40 * SEC;
        let failing = || Run::kill().answer(|_| Answer::reset());
        check(&Run::kill(), Held, 0);
        check(&failing(), NotHeld, 1);
        check(&Run::kill().unproven(), Inconclusive, 3);
        check(&Run::kill().without_effect(), Inconclusive, 3);
        check(
            &failing().event(
                late,
                Event::Aborted {
                    why: "too many failed".to_owned(),
                },
            ),
            Aborted,
            4,
        );
        check(
            &Run::kill().event(late, Event::GuardianLost),
            Inconclusive,
            5,
        );
        check(
            &Run::kill().event(
                late,
                Event::EnvironmentFailed {
                    what: "port taken".to_owned(),
                },
            ),
            Inconclusive,
            5,
        );
        check(
            &Run::kill().event(
                late,
                Event::Panicked {
                    message: "oh".to_owned(),
                },
            ),
            Inconclusive,
            70,
        );
        let stopped = |signal| {
            Run::kill()
                .cut_short(20 * SEC)
                .event(late, Event::Interrupted { signal })
        };
        check(&stopped(StopSignal::Interrupt), Inconclusive, 130);
        check(&stopped(StopSignal::Terminate), Inconclusive, 143);
        check(
            &failing().event(
                late,
                Event::Interrupted {
                    signal: StopSignal::Interrupt,
                },
            ),
            NotHeld,
            130,
        );
    }

    #[test]
    fn halted_from_elsewhere_is_stopped_by_the_user() {
        let by = "operator".to_owned();
        let run = Run::kill()
            .cut_short(20 * SEC)
            .event(40 * SEC, Event::Halted { by });
        check(&run, RunOutcome::Inconclusive, 130);
        let because = judge(&run.record()).exit.because;
        assert_eq!(because[0].why, "halted by operator");
    }

    #[test]
    fn clean_up_that_is_not_verified_wins_over_all() {
        let left = || Event::CleanedUp {
            verified: false,
            left: vec!["pid 4121".to_owned()],
        };
        check(
            &Run::kill().event(41 * SEC, left()),
            RunOutcome::Inconclusive,
            6,
        );
        check(
            &Run::kill()
                .answer(|_| Answer::reset())
                .event(41 * SEC, left()),
            RunOutcome::NotHeld,
            6,
        );
        check(&Run::pause(), RunOutcome::Held, 0);
    }

    #[test]
    fn a_fault_nobody_undid_is_left_behind_until_a_later_clean_up_is_verified() {
        let clean_up = |verified| Event::CleanedUp {
            verified,
            left: Vec::new(),
        };
        // The harness died while the fault was at work.
        let killed = |clean_ups: &[bool]| {
            let mut record = Run::pause().without_undo().until_cell(140).record();
            for verified in clean_ups {
                record.apply(&crate::line::Line::Event(crate::event::Stamped {
                    at: 90 * SEC,
                    what: clean_up(*verified),
                }));
            }
            judge(&record).exit
        };
        assert_eq!(killed(&[]).code, 6);
        assert_eq!(killed(&[true, false]).code, 6);
        for clean_ups in [&[true][..], &[false, true]] {
            let exit = killed(clean_ups);
            assert_eq!(exit.code, 3, "{:?}", exit.because);
            let unknown = "stall-api: nothing shows that it was undone";
            assert!(exit.because.iter().any(|because| because.why == unknown));
        }
        // Who closed the record had to tell of the undo.
        check(&Run::pause().without_undo(), RunOutcome::Inconclusive, 6);
        // A clean-up before the fault says nothing about it.
        let early = Run::pause().without_undo().event(2 * SEC, clean_up(true));
        assert_eq!(judge(&early.until_cell(140).record()).exit.code, 6);
    }

    #[test]
    fn a_failed_undo_is_not_mended_by_the_end_of_its_processes() {
        let failed = Event::Fault {
            fault: "stall-api".to_owned(),
            change: crate::event::FaultChange::UndoFailed {
                why: "pid 4121 does not answer".to_owned(),
            },
        };
        let run = Run::pause().without_undo().event(16 * SEC, failed);
        check(&run, RunOutcome::Inconclusive, 6);
    }

    #[test]
    fn a_killed_run_is_incomplete_until_recovered() {
        check(&Run::kill().until_cell(150), RunOutcome::Inconclusive, 6);
        let mut record = Run::kill().until_cell(150).record();
        record.apply(&crate::line::Line::Event(crate::event::Stamped {
            at: 90 * SEC,
            what: Event::CleanedUp {
                verified: true,
                left: Vec::new(),
            },
        }));
        let end = record.end_line(90 * SEC);
        record.apply(&end);
        let verdict = judge(&record);
        assert_eq!(
            (verdict.outcome, verdict.exit.code),
            (RunOutcome::Inconclusive, 3)
        );
        // Load started 1 s into the run and the first 150 cells are closed.
        assert_eq!(verdict.incomplete_after, Some(16 * SEC));
        assert!(
            verdict
                .claims
                .iter()
                .all(|claim| claim.status == Status::Unknown)
        );
    }

    #[test]
    fn lost_data_is_our_bug_and_nothing_holds() {
        let mut record = Run::kill().answer(|_| Answer::Ok(MS)).record();
        forget(&mut record, 100..101);
        let verdict = judge(&record);
        assert_eq!(
            (verdict.outcome, verdict.exit.code),
            (RunOutcome::Inconclusive, 70)
        );
        assert!(
            verdict
                .claims
                .iter()
                .all(|claim| claim.status == Status::Unknown)
        );
    }
}
