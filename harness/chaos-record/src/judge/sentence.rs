//! The one plain sentence of the banner: what was done, what shoppers felt, whether it held.
//!
//! Invariant: it says nothing the verdict does not say elsewhere.

use chaos_plan::plan::{Inject, Stage, Target};

use super::claims::Ground;
use super::fault::JudgedFault;
use crate::CELL_NS;
use crate::event::Event;
use crate::facts::{Facts, ns};
use crate::life::because;
use crate::verdict::{ClaimVerdict, Exit, Recovery, RunOutcome, Status};
use crate::words;

/// Faults told one by one; more are only counted.
const TOLD_MAX: usize = 3;

/// Writes it, with a capital letter and a full stop.
pub(super) fn write(
    ground: &Ground<'_>,
    outcome: RunOutcome,
    exit: &Exit,
    claims: &[ClaimVerdict],
) -> String {
    let (facts, faults) = (ground.facts, ground.faults);
    let mut parts: Vec<String> = Vec::new();
    if facts.load_started.is_none() {
        parts.push("no load was offered".to_owned());
    } else if faults.is_empty() && ground.capacity.is_none() {
        parts.push(format!("under up to {}", peak(facts)));
    } else if faults.len() > TOLD_MAX {
        parts.push(counted(faults));
    } else {
        parts.extend(faults.iter().map(|fault| told(facts, fault)));
    }
    // With a search this is what the run was about.
    parts.extend(ground.capacity.map(|capacity| capacity.sentence.clone()));
    parts.push(end(facts, outcome, exit, claims));
    let is_one = faults.is_empty() && ground.capacity.is_none();
    let text = parts.join(if is_one { ": " } else { "; " });
    let text = violated(ground).map_or(text.clone(), |first| format!("{first}; {text}"));
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        format!(
            "{}{}.",
            first.to_uppercase(),
            letters.as_str().trim_end_matches('.')
        )
    })
}

/// Nothing else matters as much, so it comes first: `integrity is violated: stock_conserved once`.
fn violated(ground: &Ground<'_>) -> Option<String> {
    let verdict = &ground.integrity?.verdict;
    let broken: Vec<String> = verdict
        .rules
        .iter()
        .filter(|rule| rule.status == Status::NotHeld)
        .map(|rule| match rule.violations {
            1 => format!("{} once", rule.rule.name()),
            n => format!("{} {} times", rule.rule.name(), words::count(n)),
        })
        .collect();
    (!broken.is_empty()).then(|| format!("integrity is violated: {}", words::list(&broken)))
}

/// `100 journeys a second`, `50 users`.
fn peak(facts: &Facts<'_>) -> String {
    let stages = &facts.plan.load.stages;
    let users = stages.iter().filter_map(Stage::users);
    if let Some(most) = users.map(|(from, to)| from.max(to)).max() {
        return words::counted(u64::from(most), "user");
    }
    let rates = stages.iter().filter_map(Stage::rates);
    let peak = rates.fold(0.0_f64, |peak, (from, to)| {
        peak.max(from.per_second()).max(to.per_second())
    });
    if peak.fract() < 0.05 {
        format!("{peak:.0} journeys a second")
    } else {
        format!("{peak:.1} journeys a second")
    }
}

fn counted(faults: &[JudgedFault<'_>]) -> String {
    let absorbed = faults
        .iter()
        .filter(|fault| fault.finding.recovery == Recovery::Absorbed)
        .count();
    let back = faults
        .iter()
        .filter(|fault| matches!(fault.finding.recovery, Recovery::Recovered { .. }))
        .count();
    format!(
        "of {} faults {absorbed} were absorbed, {back} were felt and overcome, {} neither",
        faults.len(),
        faults.len() - absorbed - back
    )
}

fn told(facts: &Facts<'_>, fault: &JudgedFault<'_>) -> String {
    let done = done(facts, fault);
    let finding = &fault.finding;
    if let Some((reason, why)) = &finding.not_injected {
        return format!("{done} did not happen: {}", because(*reason, why));
    }
    format!("{done}: {}", felt(fault))
}

fn felt(fault: &JudgedFault<'_>) -> String {
    let finding = &fault.finding;
    let bad = finding.excess_bad + finding.caught[1];
    let failed = match bad {
        0 => "no failed requests".to_owned(),
        _ => words::counted(bad, "failed request"),
    };
    match &finding.recovery {
        Recovery::Absorbed if bad == 0 => "shoppers felt nothing".to_owned(),
        Recovery::Absorbed => format!("shoppers felt nothing beyond {failed}"),
        Recovery::Recovered { after: 0, relapses } if fault.life.is_one_shot() => {
            format!(
                "shoppers felt nothing at first, later {}",
                words::counted(*relapses, "disturbance")
            )
        }
        Recovery::Recovered { after, relapses } => {
            let back = back(*after, fault.life.is_one_shot());
            let again = match relapses {
                0 => String::new(),
                _ => format!(", then {}", words::counted(*relapses, "relapse")),
            };
            format!("shoppers felt it, {failed}, back to normal {back}{again}")
        }
        Recovery::NotRecovered { longer_than } => {
            let later = words::duration(*longer_than);
            format!(
                "shoppers felt it, {failed}, not back to normal {later} later, when the run ended"
            )
        }
        Recovery::Unknown { why } => format!("what shoppers felt is unknown ({why})"),
    }
}

fn back(after: u64, is_one_shot: bool) -> String {
    match words::duration(after) {
        after if is_one_shot => format!("after {after}"),
        _ if after == 0 => "by its end".to_owned(),
        after => format!("{after} after its end"),
    }
}

/// `killing 1 of 3 api instances in the middle of spike`.
fn done(facts: &Facts<'_>, fault: &JudgedFault<'_>) -> String {
    let plan = fault.life.fault;
    let targets = plan.inject.targets();
    let all = match &facts.plan.target {
        Target::Deploy(description) => description
            .service(&targets.service)
            .map_or(0, |service| service.replicas),
        Target::Url(_) => 0,
    };
    let hit = match fault.finding.targets.len() {
        0 => targets.how_many.of(all) as usize,
        drawn => drawn,
    };
    let plural = if all == 1 { "" } else { "s" };
    let service = &targets.service;
    let some = |verb: &str| format!("{verb} {hit} of {all} {service} instance{plural}");
    let done = match &plan.inject {
        Inject::Kill { .. } => some("killing"),
        Inject::Pause { .. } => some("pausing"),
        Inject::Stop { .. } => some("stopping"),
        Inject::Restart { .. } => some("restarting one by one"),
        Inject::Evict { .. } => some("evicting"),
        Inject::Cpu { millicores, .. } => some(&format!("limiting to {millicores}m of CPU")),
        Inject::Scale { replicas, .. } => format!("scaling {service} from {all} to {replicas}"),
        Inject::Drift { replicas, .. } => {
            format!("drifting the replicas of {service} from {all} to {replicas}")
        }
        Inject::Rollout { .. } => format!("rolling out another {service}"),
        Inject::ServiceLost { name, .. } => format!("losing the Service {name}"),
    };
    let lasts = plan.lasts.map_or(String::new(), |lasts| {
        format!(" for {}", words::duration(ns(lasts)))
    });
    let at = fault
        .finding
        .effective
        .or(fault.finding.requested)
        .unwrap_or(ns(plan.when.latest()));
    format!("{done}{lasts} {}", place(facts, at))
}

/// `in the middle of spike`.
fn place(facts: &Facts<'_>, at: u64) -> String {
    let Some(Stage {
        name,
        start,
        length,
        ..
    }) = facts
        .plan
        .load
        .stages
        .get(facts.stage_of_cell(at / CELL_NS))
    else {
        return format!("after {}", words::duration(at));
    };
    let through = at.saturating_sub(ns(*start)) as f64 / ns(*length).max(1) as f64;
    match through {
        x if x < 0.2 => format!("early in {name}"),
        x if x <= 0.8 => format!("in the middle of {name}"),
        _ => format!("late in {name}"),
    }
}

fn end(facts: &Facts<'_>, outcome: RunOutcome, exit: &Exit, claims: &[ClaimVerdict]) -> String {
    let because = exit
        .because
        .first()
        .map_or("", |because| because.why.as_str());
    match outcome {
        RunOutcome::Held => "every claim held".to_owned(),
        RunOutcome::NotHeld => not_held(claims),
        RunOutcome::Aborted => format!("the run was aborted: {}", aborted(facts)),
        RunOutcome::Inconclusive => format!("whether every claim holds cannot be said: {because}"),
    }
}

fn aborted<'a>(facts: &Facts<'a>) -> &'a str {
    let why = facts
        .record
        .events
        .iter()
        .find_map(|event| match &event.what {
            Event::Aborted { why } => Some(why.as_str()),
            _ => None,
        });
    why.unwrap_or("a safety limit was crossed")
}

fn not_held(claims: &[ClaimVerdict]) -> String {
    let failed: Vec<String> = claims
        .iter()
        .filter(|claim| claim.status == Status::NotHeld)
        .map(|claim| format!("`{}` ({})", claim.name, claim.measured))
        .collect();
    match failed.len() {
        1 if claims.len() == 1 => format!("the claim did not hold: {}", words::list(&failed)),
        n => format!(
            "{n} of {} claims did not hold: {}",
            claims.len(),
            words::list(&failed)
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::event::Event;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::judge::judge;

    fn check(run: &Run, expected: &str) {
        assert_eq!(judge(&run.record()).sentence, expected);
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
    fn it_reads_as_a_person_would_say_it() {
        check(
            &Run::kill(),
            "Killing 1 of 3 api instances in the middle of main: shoppers felt nothing; every claim held.",
        );
        check(
            &Run::calm(),
            "Under up to 100 journeys a second: every claim held.",
        );
        check(
            &Run::calm().users(40, None),
            "Under up to 40 users: every claim held.",
        );
        check(
            &Run::pause().without_undo(),
            "Pausing 1 of 3 api instances for 3 s in the middle of main: what shoppers felt is unknown \
             (nothing shows that it was undone); whether every claim holds cannot be said: \
             nothing shows that stall-api was undone; `chaos recover` finishes the clean-up.",
        );
    }

    #[test]
    fn it_names_what_did_not_hold() {
        let sentence = judge(&down(12 * SEC, 19 * SEC).record()).sentence;
        assert!(
            sentence.starts_with(
                "Killing 1 of 3 api instances in the middle of main: shoppers felt it, "
            ),
            "{sentence}"
        );
        assert!(
            sentence.contains("back to normal after 7")
                && sentence.contains("claims did not hold: `fast enough` ("),
            "{sentence}"
        );
    }

    #[test]
    fn it_tells_how_a_fault_that_lasts_was_felt() {
        let felt = |until: u64| {
            let run = Run::pause().answer(move |request| {
                let down = (12 * SEC..until).contains(&request.at);
                if down {
                    Answer::refused()
                } else {
                    Answer::Ok(5 * MS)
                }
            });
            judge(&run.record()).sentence
        };
        let check = |until, expected: &str| {
            let sentence = felt(until);
            assert!(sentence.contains(expected), "{sentence}");
        };
        check(13 * SEC, "failed requests, back to normal by its end;");
        check(16 * SEC, " after its end;");
    }

    #[test]
    fn it_says_why_a_run_was_aborted() {
        let run = down(12 * SEC, 40 * SEC).event(
            40 * SEC,
            Event::Aborted {
                why: "60 % of the requests failed for 3 s".to_owned(),
            },
        );
        assert!(
            judge(&run.record())
                .sentence
                .ends_with("the run was aborted: 60 % of the requests failed for 3 s.")
        );
    }
}
