//! Claims on latency and errors: exact counts over all requests together and each journey by itself.
//!
//! Invariant: a failure counts as slower than any limit, so it can never improve a claim.

use std::ops::Range;

use chaos_plan::plan::{LatencyLimit, Quantile};
use chaos_plan::units::{Share, duration_to_text};

use super::claims::{Allowance, Ground, Tally, weigh};
use crate::facts::{Facts, cells_of_seconds};
use crate::histogram::new_histogram;
use crate::outcome::{Counts, FailKind};
use crate::quantile;
use crate::verdict::{Finding, Status};
use crate::words;

/// Those a claim is judged on: all requests, or one journey as a whole.
#[derive(Debug)]
pub(super) struct Population {
    pub(super) of: String,
    pub(super) journey: Option<usize>,
    pub(super) counts: Counts,
    /// What the whole plan holds in these stages.
    pub(super) planned: u64,
}

/// All requests together, then each journey.
pub(super) fn populations(facts: &Facts<'_>, stages: &[usize]) -> Vec<Population> {
    let journeys = facts.plan.load.journeys.iter().enumerate();
    let each =
        journeys.map(|(number, journey)| (format!("journey {}", journey.name), Some(number)));
    std::iter::once(("all requests".to_owned(), None))
        .chain(each)
        .map(|(of, journey)| {
            let mut counts = Counts::default();
            for stage in stages {
                let cells = facts.stage_cells(*stage);
                counts.merge(
                    &journey
                        .map_or_else(
                            || facts.requests(&cells),
                            |journey| facts.journey(journey, &cells),
                        )
                        .counts,
                );
            }
            let planned = stages
                .iter()
                .map(|stage| planned(facts, journey, *stage))
                .sum();
            Population {
                of,
                journey,
                counts,
                planned,
            }
        })
        .collect()
}

/// By the whole schedule, also beyond where the run ended.
fn planned(facts: &Facts<'_>, journey: Option<usize>, stage: usize) -> u64 {
    let whole = &facts.record.planned;
    let Range { start, end } = facts.planned_cells(stage);
    journey.map_or_else(
        || whole.requests(start, end),
        |journey| whole.of_journey(journey, start, end),
    )
}

impl Population {
    fn tally(&self, bad: u64, whole: bool) -> Tally {
        Tally {
            n: self.counts.judged(),
            bad,
            planned: self.planned,
            whole,
            alone: self.journey.is_some(),
        }
    }

    /// The quantile over all, failures as infinitely slow, with the successful ones beside it if any failed.
    fn measured(&self, facts: &Facts<'_>, stages: &[usize], asked: Quantile) -> String {
        let series = self
            .journey
            .map(|journey| facts.record.series.of_journey(journey));
        let mut answers = new_histogram();
        let mut bad = 0;
        for seconds in stages.iter().map(|stage| facts.stage_seconds(*stage)) {
            answers
                .add(facts.responses(series, &seconds))
                .expect("all histograms share one layout");
            let cells = cells_of_seconds(&seconds);
            bad += series
                .map_or_else(
                    || facts.requests(&cells),
                    |series| facts.series(series, &cells),
                )
                .counts
                .bad();
        }
        let (name, over) = (asked.name(), asked.over_per_mille());
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
pub(super) fn latency(
    ground: &Ground<'_>,
    limits: &[LatencyLimit],
    stages: &[usize],
) -> Vec<Finding> {
    let facts = ground.facts;
    let populations = populations(facts, stages);
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
            let bad = population.counts.bad_or_over(number);
            let allowance = Allowance::PerMille(limit.quantile.over_per_mille());
            let (status, allowed, why) =
                weigh(population.tally(bad, facts.whole(stages)), allowance);
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
            let measured = population.measured(facts, stages, limit.quantile);
            Finding {
                of,
                status,
                n: population.counts.judged(),
                bad,
                allowed,
                measured,
                why,
            }
        })
        .collect()
}

/// A finding for each population.
pub(super) fn errors(ground: &Ground<'_>, max: Share, stages: &[usize]) -> Vec<Finding> {
    let facts = ground.facts;
    let judge = |population: Population| {
        let counts = &population.counts;
        let (status, allowed, why) = weigh(
            population.tally(counts.bad(), facts.whole(stages)),
            Allowance::Share(max),
        );
        let (status, why) = match status {
            Status::NotHeld => blame(
                ground,
                stages,
                sent_by_target(counts) > allowed,
                format!("{why}: {}", kinds(counts)),
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
    populations(facts, stages).into_iter().map(judge).collect()
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

/// What failed and how often, most frequent first.
fn kinds(counts: &Counts) -> String {
    let failed = FailKind::ALL
        .into_iter()
        .zip(counts.failed)
        .map(|(kind, n)| (n, kind.words()));
    let others = [
        (counts.not_reached, "never reached"),
        (counts.shed, "given up"),
    ];
    let mut all: Vec<(u64, &str)> = failed.chain(others).filter(|(n, _)| *n > 0).collect();
    all.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    all.into_iter()
        .map(|(n, kind)| format!("{kind} {}", words::count(n)))
        .collect::<Vec<_>>()
        .join(", ")
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
}
