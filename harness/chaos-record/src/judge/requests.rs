//! Claims on latency and errors: exact counts over all requests together and each journey by itself.
//!
//! Invariant: a failure counts as slower than any limit, so it can never improve a claim.

use chaos_plan::plan::{LatencyLimit, Quantile, Scope};
use chaos_plan::units::{Share, duration_to_text};

use super::claims::{Allowance, Ground, weigh};
use super::population::{self, Population};
use crate::facts::Facts;
use crate::outcome::{Counts, FailKind};
use crate::quantile;
use crate::verdict::{Finding, Status};
use crate::words;

/// The quantile over all, failures as infinitely slow, with the successful ones beside it if any failed.
fn measured(
    population: &Population,
    facts: &Facts<'_>,
    stages: &[usize],
    asked: Quantile,
) -> String {
    let (answers, bad) = population.responses(facts, stages);
    let over = asked.over_per_mille();
    let name = if facts.is_paced() {
        asked.name().to_owned()
    } else {
        format!("service time {}", asked.name())
    };
    let of_successful = quantile::response(&answers, 0, over).map(words::duration);
    let failed = words::share(bad, bad + answers.len());
    match (quantile::response(&answers, bad, over), of_successful) {
        (Some(all), _) if bad == 0 => format!("{name} {}", words::duration(all)),
        (Some(all), Some(some)) => format!(
            "{name} {} ({failed} failed; successful only {some})",
            words::duration(all)
        ),
        (_, Some(some)) => {
            format!("{name} undefined: {failed} failed (successful only {some})")
        }
        (_, None) if bad > 0 => format!("{name} undefined: {failed} failed"),
        (_, None) => format!("{name} not measured"),
    }
}

/// `p95 <= 200ms`.
fn limit_text(limit: &LatencyLimit) -> String {
    format!(
        "{} <= {}",
        limit.quantile.name(),
        duration_to_text(limit.at_most)
    )
}

/// All limits of a claim in words.
pub(super) fn latency_target(limits: &[LatencyLimit]) -> String {
    words::list(&limits.iter().map(limit_text).collect::<Vec<_>>())
}

/// A finding for each limit and population.
pub(super) fn latency(ground: &Ground<'_>, limits: &[LatencyLimit], scope: &Scope) -> Vec<Finding> {
    let (facts, stages) = (ground.facts, &scope.stages);
    let populations = population::of_part(facts, scope.part);
    let several = limits.len() > 1;
    let pairs = limits.iter().flat_map(|limit| {
        populations
            .iter()
            .map(move |population| (limit, population))
    });
    pairs
        .map(|(limit, population)| {
            let Some(number) = facts
                .limits
                .iter()
                .position(|other| *other == limit.at_most)
            else {
                return unknown(&population.of, "the limit was not counted");
            };
            let counts = population.over(facts, stages);
            let bad = counts.bad_or_over(number);
            let allowance = Allowance::PerMille(limit.quantile.over_per_mille());
            let (status, allowed, why) =
                weigh(population.tally(facts, stages, &counts, bad), allowance);
            let limit_words = format!(
                "were bad or slower than {}",
                duration_to_text(limit.at_most)
            );
            let why = why.replacen("were bad", &limit_words, 1);
            let (status, why) = match ground.health.sick(stages) {
                Some(sick) if matches!(status, Status::Held | Status::NotHeld) => {
                    (Status::Unknown, unbelievable(&sick))
                }
                _ => (status, why),
            };
            let of = if several {
                format!("{}, {}", population.of, limit_text(limit))
            } else {
                population.of.clone()
            };
            let measured = measured(population, facts, stages, limit.quantile);
            Finding {
                of,
                status,
                n: counts.judged(),
                bad,
                allowed,
                measured,
                why,
            }
        })
        .collect()
}

/// A finding for each population.
pub(super) fn errors(ground: &Ground<'_>, max: Share, scope: &Scope) -> Vec<Finding> {
    let (facts, stages) = (ground.facts, &scope.stages);
    let judge = |population: Population| {
        let counts = &population.over(facts, stages);
        let weighed = |bad| {
            let tally = population.tally(facts, stages, counts, bad);
            weigh(tally, Allowance::Share(max))
        };
        let (status, allowed, why) = weighed(counts.bad());
        let by_target = weighed(sent_by_target(counts)).0 == Status::NotHeld;
        let (status, why) = match status {
            Status::NotHeld => blame(
                ground,
                stages,
                by_target,
                format!("{why}: {}", counts.kinds_in_words()),
            ),
            Status::Held => match ground.health.short(stages) {
                Some(sick) => (Status::Unknown, unbelievable(&sick)),
                None => (status, why),
            },
            Status::Unknown | Status::NotJudged => (status, why),
        };
        let measured = format!(
            "{} ({} of {})",
            words::share(counts.bad(), counts.judged()),
            words::count(counts.bad()),
            words::count(counts.judged())
        );
        Finding {
            n: counts.judged(),
            bad: counts.bad(),
            of: population.of,
            status,
            allowed,
            measured,
            why,
        }
    };
    population::of_part(facts, scope.part)
        .into_iter()
        .map(judge)
        .collect()
}

/// A claim that does not hold: if the generator is sick, only what the target itself sent stands.
pub(super) fn blame(
    ground: &Ground<'_>,
    stages: &[usize],
    by_target: bool,
    why: String,
) -> (Status, String) {
    match ground.health.sick(stages) {
        Some(sick) if !by_target => (Status::Unknown, unbelievable(&sick)),
        _ => (Status::NotHeld, why),
    }
}

/// Why a number is not believed.
pub(super) fn unbelievable(sick: &str) -> String {
    format!("the load generator was too slow to tell: {sick}")
}

/// Failures that a slow generator cannot have caused.
pub(super) fn sent_by_target(counts: &Counts) -> u64 {
    let by_generator = |kind| {
        matches!(
            kind,
            FailKind::Timeout | FailKind::ConnectTimeout | FailKind::Exhausted
        )
    };
    FailKind::ALL
        .into_iter()
        .zip(counts.failed)
        .filter(|(kind, _)| !by_generator(*kind))
        .map(|(_, n)| n)
        .sum()
}

fn unknown(of: &str, why: &str) -> Finding {
    Finding {
        of: of.to_owned(),
        status: Status::Unknown,
        n: 0,
        bad: 0,
        allowed: 0,
        measured: String::new(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use chaos_plan::plan::{Expect, Part};

    use super::*;
    use crate::fixture::{Answer, MS, Request, Run, SEC};
    use crate::judge::judge;
    use crate::verdict::ClaimVerdict;

    fn claim(run: &Run, kind: &str) -> ClaimVerdict {
        judge(&run.record())
            .claims
            .into_iter()
            .find(|claim| claim.kind == kind)
            .expect("the plan has it")
    }

    fn every(n: u64, answer: Answer) -> impl Fn(&Request) -> Answer + 'static {
        move |request| {
            if request.number % n == 0 {
                answer
            } else {
                Answer::Ok(5 * MS)
            }
        }
    }

    #[test]
    fn latency_counts_slow_and_failed_alike() {
        let status = |run: &Run| claim(run, "latency").status;
        assert_eq!(
            status(&Run::kill().answer(every(45, Answer::Ok(201 * MS)))),
            Status::Held
        );
        assert_eq!(
            status(&Run::kill().answer(every(15, Answer::Ok(201 * MS)))),
            Status::NotHeld
        );
        assert_eq!(
            status(&Run::kill().answer(every(15, Answer::reset()))),
            Status::NotHeld
        );
        // A journey of two steps takes 5 ms more: 200 ms is the limit, and not over it.
        assert_eq!(
            status(&Run::kill().answer(every(15, Answer::Ok(195 * MS)))),
            Status::Held
        );
        assert_eq!(
            status(&Run::kill().answer(every(15, Answer::Ok(196 * MS)))),
            Status::NotHeld
        );
    }

    #[test]
    fn a_slow_journey_does_not_hide_behind_the_others() {
        let claim = claim(
            &Run::kill().answer(|request| {
                Answer::Ok(if request.journey == 1 && request.number % 5 == 0 {
                    900 * MS
                } else {
                    5 * MS
                })
            }),
            "latency",
        );
        assert_eq!(claim.status, Status::NotHeld);
        assert!(
            claim.why.contains("journey buy") && !claim.why.contains("all requests"),
            "{}",
            claim.why
        );
    }

    #[test]
    fn the_quantile_of_the_successful_stands_beside_that_of_all() {
        let measured = |run: &Run| claim(run, "latency").measured;
        assert_eq!(measured(&Run::kill()), "p95 1 ms");
        let some = measured(&Run::kill().answer(every(50, Answer::reset())));
        assert!(
            some.starts_with("p95 5 ms (") && some.contains("failed; successful only 5 ms)"),
            "{some}"
        );
        let many = measured(&Run::kill().answer(every(6, Answer::reset())));
        assert!(
            many.starts_with("p95 undefined: ") && many.contains("successful only"),
            "{many}"
        );
    }

    #[test]
    fn errors_count_what_was_bad_and_say_of_which_kind() {
        assert_eq!(
            claim(&Run::kill().answer(every(300, Answer::reset())), "errors").status,
            Status::Held
        );
        let claim = claim(&Run::kill().answer(every(60, Answer::reset())), "errors");
        assert_eq!(claim.status, Status::NotHeld);
        assert!(claim.why.contains("connection broke"), "{}", claim.why);
    }

    #[test]
    fn a_journey_that_fails_altogether_does_not_hide_for_being_rare() {
        // 68 purchases are too few for 1 % and for a p95.
        let run = || {
            Run::kill().rate(10).answer(|request| {
                if request.journey == 1 {
                    Answer::reset()
                } else {
                    Answer::Ok(5 * MS)
                }
            })
        };
        for kind in ["errors", "latency"] {
            let claim = claim(&run(), kind);
            assert_eq!(claim.status, Status::NotHeld, "{}", claim.why);
            let buy = claim
                .findings
                .iter()
                .find(|finding| finding.of == "journey buy")
                .expect("it is listed");
            assert_eq!((buy.status, buy.n, buy.bad), (Status::NotHeld, 68, 68));
            assert!(buy.why.contains("does not explain"), "{}", buy.why);
            assert!(claim.why.contains("journey buy: 68 of 68"), "{}", claim.why);
        }
        // What a slow generator may have done itself is no breach.
        let late = Run::kill()
            .rate(10)
            .late(|request| request.number % 10 == 0)
            .answer(|request| {
                if request.journey == 1 {
                    Answer::Failed(FailKind::Timeout)
                } else {
                    Answer::Ok(5 * MS)
                }
            });
        assert_eq!(claim(&late, "errors").status, Status::Unknown);
    }

    #[test]
    fn a_slow_generator_spoils_times_but_not_what_the_target_sent() {
        let late = |run: Run| run.late(|request| request.number % 10 == 0);
        assert_eq!(claim(&late(Run::kill()), "latency").status, Status::Unknown);
        assert_eq!(claim(&late(Run::kill()), "errors").status, Status::Held);
        let failing = |answer: Answer| late(Run::kill().answer(every(30, answer)));
        assert_eq!(
            claim(&failing(Answer::Failed(FailKind::Timeout)), "errors").status,
            Status::Unknown
        );
        assert_eq!(
            claim(&failing(Answer::Shed), "errors").status,
            Status::Unknown
        );
        assert_eq!(
            claim(&failing(Answer::Failed(FailKind::Status)), "errors").status,
            Status::NotHeld
        );
    }

    #[test]
    fn too_few_requests_are_unknown() {
        let claim = claim(&Run::kill().rate(3), "latency");
        assert_eq!(claim.status, Status::Unknown);
        assert!(claim.why.contains("too few requests"), "{}", claim.why);
    }

    #[test]
    fn a_load_cut_short_is_unknown_unless_already_lost() {
        assert_eq!(
            claim(&Run::kill().cut_short(20 * SEC), "latency").status,
            Status::Unknown
        );
        let lost = Run::kill()
            .cut_short(20 * SEC)
            .answer(every(2, Answer::reset()));
        assert_eq!(claim(&lost, "latency").status, Status::NotHeld);
    }

    fn scoped(run: Run, part: Part, max: &str) -> ClaimVerdict {
        let scope = Scope {
            stages: vec![1],
            part,
        };
        let max = Share::parse(max).expect("a share");
        let record = run.claims(vec![Expect::Errors { max, scope }]).record();
        judge(&record).claims.remove(0)
    }

    #[test]
    fn a_scope_judges_its_own_requests_and_no_others() {
        // Only purchases fail: one in ten of them, one in ninety of all requests.
        let failing = || {
            Run::kill().answer(|request| {
                if request.journey == 1 && request.number % 10 == 0 {
                    Answer::reset()
                } else {
                    Answer::Ok(5 * MS)
                }
            })
        };
        let check = |part, expected: Status, findings: &[&str], target: &str| {
            let claim = scoped(failing(), part, "3%");
            assert_eq!(claim.status, expected, "{}", claim.why);
            let of: Vec<&str> = claim
                .findings
                .iter()
                .map(|finding| finding.of.as_str())
                .collect();
            assert_eq!((of.as_slice(), claim.target.as_str()), (findings, target));
        };
        let pay = Part::Endpoint {
            journey: 1,
            step: 0,
        };
        let look = Part::Endpoint {
            journey: 0,
            step: 1,
        };
        check(
            Part::Journey(0),
            Status::Held,
            &["requests of browse", "journey browse"],
            "errors <= 3% (journey browse, main)",
        );
        check(
            look,
            Status::Held,
            &["endpoint browse/look"],
            "errors <= 3% (endpoint browse/look, main)",
        );
        check(
            Part::Journey(1),
            Status::NotHeld,
            &["requests of buy", "journey buy"],
            "errors <= 3% (journey buy, main)",
        );
        check(
            pay,
            Status::NotHeld,
            &["endpoint buy/pay"],
            "errors <= 3% (endpoint buy/pay, main)",
        );
    }

    #[test]
    fn a_closed_model_without_a_cycle_measures_service_time() {
        let latency = |cycle| claim(&Run::calm().users(50, cycle), "latency");
        let paced = latency(Some(std::time::Duration::from_secs(1)));
        assert!(paced.measured.starts_with("p95 "), "{}", paced.measured);
        let unpaced = latency(None);
        assert!(
            unpaced.measured.starts_with("service time p95 "),
            "{}",
            unpaced.measured
        );
        assert_eq!((paced.status, unpaced.status), (Status::Held, Status::Held));
        // Nobody knows what the rest would have brought.
        let lost = Run::calm()
            .users(50, None)
            .cut_short(20 * SEC)
            .answer(every(2, Answer::reset()));
        assert_eq!(claim(&lost, "latency").status, Status::Unknown);
    }
}
