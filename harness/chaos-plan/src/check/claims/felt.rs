//! Claims about what shoppers feel: latency, errors, availability, recovery, goodput.
//!
//! Invariant: each has a limit that a run could miss.

use std::time::Duration;

use super::{Judge, Keys};
use crate::check::{names, scope};
use crate::diagnostic::{Span, codes};
use crate::file::claim;
use crate::file::format::Text;
use crate::file::located::Located;
use crate::plan::{Expect, LatencyLimit, Quantile, Scope};
use crate::units::{Share, duration_to_text};

impl Judge<'_> {
    pub(super) fn errors(&mut self, errors: &claim::Errors, span: Span) -> Option<Expect> {
        let scope = self.scope(Keys {
            during: &errors.during,
            except: &errors.except,
            journey: &errors.journey,
            endpoint: &errors.endpoint,
            claim: span,
        });
        let max = errors.max.get()?.0;
        let scope = scope?;
        scope::enough(
            max,
            &format!("an error share of {max}"),
            errors.max.span,
            (&scope, self.load),
            self.problems,
        );
        Some(Expect::Errors { max, scope })
    }

    pub(super) fn availability(
        &mut self,
        availability: &claim::Availability,
        span: Span,
    ) -> Option<Expect> {
        let scope = self.scope(Keys {
            during: &availability.during,
            except: &availability.except,
            journey: &availability.journey,
            endpoint: &availability.endpoint,
            claim: span,
        });
        let good = availability.good.or_text(claim::GOOD);
        self.above_zero(Some(&availability.min), "min", "holds whatever happens");
        self.above_zero(availability.good.given(), "good", "holds whatever happens");
        Some(Expect::Availability {
            min: availability.min.get()?.0,
            good: good?,
            scope: scope?,
        })
    }

    pub(super) fn recovery(&mut self, recovery: &claim::Recovery, span: Span) -> Option<Expect> {
        self.needs_fault(span, "a recovery claim");
        let within = names::positive(&recovery.within, "`within`", self.problems);
        let steady_for = names::positive_or(
            &recovery.steady_for,
            claim::STEADY_FOR,
            "`steady_for`",
            self.problems,
        );
        Some(Expect::Recovery {
            within: within?,
            steady_for: steady_for?,
        })
    }

    fn needs_fault(&mut self, span: Span, what: &str) {
        if !self.has_faults {
            let problem =
                codes::RECOVERY_WITHOUT_FAULT.at(span, format!("{what}, but nothing breaks"));
            self.problems
                .add(problem.help("add a fault under `faults:`, or leave the claim out"));
        }
    }

    pub(super) fn latency(&mut self, latency: &claim::Latency, span: Span) -> Option<Expect> {
        let scope = self.scope(Keys {
            during: &latency.during,
            except: &latency.except,
            journey: &latency.journey,
            endpoint: &latency.endpoint,
            claim: span,
        });
        let given = [
            &latency.p50,
            &latency.p90,
            &latency.p95,
            &latency.p99,
            &latency.p999,
        ];
        let are_given = given.map(|limit| limit.given().is_some());
        self.needs_limit(&are_given, ("a latency", "p95: 200ms"), span);
        let mut limits = Some(Vec::new());
        for (quantile, limit) in Quantile::ALL.into_iter().zip(given) {
            let Some(limit) = limit.given() else { continue };
            let at_most = self.limit(quantile, limit, scope.as_ref());
            limits = limits.zip(at_most).map(|(mut limits, at_most)| {
                limits.push(LatencyLimit { quantile, at_most });
                limits
            });
        }
        Some(Expect::Latency {
            limits: limits?,
            scope: scope?,
        })
    }

    fn limit(
        &mut self,
        quantile: Quantile,
        limit: &Located<Text<Duration>>,
        scope: Option<&Scope>,
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
        if let Some(scope) = scope {
            let allowed = Share::from_ratio(quantile.over_per_mille() as f64 / 1_000.0);
            scope::enough(
                allowed,
                &format!("a {}", quantile.name()),
                limit.span,
                (scope, self.load),
                self.problems,
            );
        }
        Some(at_most)
    }

    pub(super) fn goodput(&mut self, goodput: &claim::Goodput, span: Span) -> Option<Expect> {
        let stages = self.stages(&goodput.during, &goodput.except, span);
        let journey = scope::journey(&goodput.journey, self.load, self.problems);
        let (min, at_least) = (goodput.min.given(), goodput.at_least.given());
        self.needs_limit(
            &[min.is_some(), at_least.is_some()],
            ("a goodput", "min: 90%"),
            span,
        );
        self.above_zero(min, "min", "holds whatever happens");
        if let Some(min) = min {
            self.needs_fault(min.span, "`min` is a share of what was before a fault");
        }
        if let Some(rate) = at_least
            && rate.get().is_some_and(|rate| rate.0.per_second() <= 0.0)
        {
            let problem = codes::OUT_OF_RANGE.at(rate.span, "`at_least` must be more than 0/s");
            self.problems.add(
                problem
                    .label("holds whatever happens")
                    .help("for example `5/s`"),
            );
        }
        Some(Expect::Goodput {
            journey: journey?,
            min: known(min)?,
            at_least: known(at_least)?,
            stages: stages?,
        })
    }
}

/// The value if one was given; the outer `None` if it is bad.
#[expect(clippy::option_option, reason = "left out and bad are not the same")]
pub(super) fn known<T: Copy>(given: Option<&Located<Text<T>>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(given) => given.get().map(|value| Some(value.0)),
    }
}
