//! The hypothesis: claims that could fail.
//!
//! Invariant: every claim of a plan has a name, stages to be judged on and requests enough.

use std::time::Duration;

use super::load::LoadFacts;
use super::{names, scope};
use crate::diagnostic::{Diagnostics, SourceFile, Span, codes};
use crate::file::format::Text;
use crate::file::located::{Located, Optional};
use crate::file::scenario::{self, Scenario};
use crate::plan::{Claim, Expect, LatencyLimit, Quantile};
use crate::units::{Share, duration_to_text};

/// Longest name of a claim, in characters.
const MAX_NAME: usize = 100;

pub(super) fn resolve(
    scenario: &Scenario,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<Vec<Claim>> {
    let hypothesis = scenario.hypothesis.get()?;
    if hypothesis.is_empty() {
        let problem = codes::NO_CLAIM.at(
            scenario.hypothesis.span,
            "the hypothesis claims nothing, so every run would pass",
        );
        problems.add(problem.help("add a claim: `- expect: { latency: { p95: 200ms } }`"));
    }
    names::distinct(
        hypothesis
            .iter()
            .filter_map(|claim| claim.get()?.name.given()),
        "claims",
        problems,
    );
    let has_faults = scenario
        .faults
        .given()
        .is_some_and(|faults| faults.get().is_none_or(|faults| !faults.is_empty()));
    let mut claims = Some(Vec::new());
    for located in hypothesis {
        let claim = located.get().and_then(|claim| {
            let expect = Judge {
                load,
                has_faults,
                problems,
            }
            .expect(&claim.expect);
            let name = name(&claim.name, expect.as_ref(), problems);
            Some(Claim {
                name: name?,
                expect: expect?,
                line: line(located.span, &problems.files),
            })
        });
        claims = claims.zip(claim).map(|(mut claims, claim)| {
            claims.push(claim);
            claims
        });
    }
    claims
}

/// Line of the scenario that holds a span; 1 for what stands in a `--set`.
pub(super) fn line(span: Span, files: &[SourceFile]) -> usize {
    files
        .get(span.file)
        .filter(|_| span.file == 0)
        .map_or(1, |file| file.place(span).line)
}

fn name(
    name: &Optional<String>,
    expect: Option<&Expect>,
    problems: &mut Diagnostics,
) -> Option<String> {
    let Some(given) = name.given() else {
        return expect.map(in_words);
    };
    let text = given.get()?;
    if text.trim().is_empty()
        || text.chars().count() > MAX_NAME
        || text.chars().any(char::is_control)
    {
        problems.add(
            codes::BAD_NAME
                .at(given.span, "this cannot be the name of a claim")
                .help("write one line of at most 100 characters"),
        );
    }
    Some(text.clone())
}

fn in_words(expect: &Expect) -> String {
    match expect {
        Expect::Latency { limits, .. } => {
            let limits: Vec<String> = limits
                .iter()
                .map(|limit| {
                    format!(
                        "{} at most {}",
                        limit.quantile.name(),
                        duration_to_text(limit.at_most)
                    )
                })
                .collect();
            limits.join(", ")
        }
        Expect::Errors { max, .. } => format!("errors at most {max}"),
        Expect::Availability { min, .. } => format!("availability at least {min}"),
        Expect::Recovery { within, .. } => format!("recovery within {}", duration_to_text(*within)),
    }
}

struct Judge<'a> {
    load: &'a LoadFacts,
    has_faults: bool,
    problems: &'a mut Diagnostics,
}

impl Judge<'_> {
    fn expect(&mut self, expect: &Located<scenario::Expect>) -> Option<Expect> {
        let span = expect.span;
        match expect.get()? {
            scenario::Expect::Latency(latency) => self.latency(latency, span),
            scenario::Expect::Errors(errors) => {
                let stages = scope::resolve(
                    &errors.during,
                    &errors.except,
                    span,
                    self.load,
                    self.problems,
                );
                let max = errors.max.get()?.0;
                let stages = stages?;
                scope::enough(
                    max,
                    &format!("an error share of {max}"),
                    errors.max.span,
                    (&stages, self.load),
                    self.problems,
                );
                Some(Expect::Errors { max, stages })
            }
            scenario::Expect::Availability(availability) => self.availability(availability, span),
            scenario::Expect::Recovery(recovery) => self.recovery(recovery, span),
        }
    }

    fn availability(
        &mut self,
        availability: &scenario::Availability,
        span: Span,
    ) -> Option<Expect> {
        let stages = scope::resolve(
            &availability.during,
            &availability.except,
            span,
            self.load,
            self.problems,
        );
        let good = availability.good.or_text(scenario::GOOD);
        for (given, key) in [
            (Some(&availability.min), "min"),
            (availability.good.given(), "good"),
        ] {
            if let Some(given) =
                given.filter(|given| given.get().is_some_and(|share| share.0.ratio() <= 0.0))
            {
                let problem =
                    codes::OUT_OF_RANGE.at(given.span, format!("`{key}` must be more than 0%"));
                self.problems.add(
                    problem
                        .label("holds whatever happens")
                        .help("for example `99.9%`"),
                );
            }
        }
        Some(Expect::Availability {
            min: availability.min.get()?.0,
            good: good?,
            stages: stages?,
        })
    }

    fn recovery(&mut self, recovery: &scenario::Recovery, span: Span) -> Option<Expect> {
        if !self.has_faults {
            let problem =
                codes::RECOVERY_WITHOUT_FAULT.at(span, "a recovery claim, but nothing breaks");
            self.problems
                .add(problem.help("add a fault under `faults:`, or leave the claim out"));
        }
        let within = names::positive(&recovery.within, "`within`", self.problems);
        let steady_for = names::positive_or(
            &recovery.steady_for,
            scenario::STEADY_FOR,
            "`steady_for`",
            self.problems,
        );
        Some(Expect::Recovery {
            within: within?,
            steady_for: steady_for?,
        })
    }

    fn latency(&mut self, latency: &scenario::Latency, span: Span) -> Option<Expect> {
        let stages = scope::resolve(
            &latency.during,
            &latency.except,
            span,
            self.load,
            self.problems,
        );
        let given = [
            &latency.p50,
            &latency.p90,
            &latency.p95,
            &latency.p99,
            &latency.p999,
        ];
        if given.iter().all(|limit| limit.given().is_none()) {
            let problem = codes::NO_LIMIT.at(span, "a latency claim without a limit");
            self.problems.add(problem.help("add a limit: `p95: 200ms`"));
        }
        let mut limits = Some(Vec::new());
        for (quantile, limit) in Quantile::ALL.into_iter().zip(given) {
            let Some(limit) = limit.given() else { continue };
            let at_most = self.limit(quantile, limit, stages.as_deref());
            limits = limits.zip(at_most).map(|(mut limits, at_most)| {
                limits.push(LatencyLimit { quantile, at_most });
                limits
            });
        }
        Some(Expect::Latency {
            limits: limits?,
            stages: stages?,
        })
    }

    fn limit(
        &mut self,
        quantile: Quantile,
        limit: &Located<Text<Duration>>,
        stages: Option<&[usize]>,
    ) -> Option<Duration> {
        let at_most = names::positive(limit, "a limit", self.problems)?;
        if let Some(patience) = self.load.patience.filter(|patience| at_most > *patience) {
            let message = format!(
                "the limit is longer than patience ({}): only failures can miss it",
                duration_to_text(patience)
            );
            self.problems.add(
                codes::LIMIT_BEYOND_PATIENCE
                    .at(limit.span, message)
                    .help("lower the limit or raise `patience`"),
            );
        }
        if let Some(stages) = stages {
            let allowed = Share::from_ratio(quantile.over_per_mille() as f64 / 1_000.0);
            scope::enough(
                allowed,
                &format!("a {}", quantile.name()),
                limit.span,
                (stages, self.load),
                self.problems,
            );
        }
        Some(at_most)
    }
}
