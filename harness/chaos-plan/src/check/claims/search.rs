//! What a search makes of the claims, and the claim about what it finds.
//!
//! Invariant: a plan with a search has a claim that decides whether a rate holds, requests enough
//! for it in every probe, and a claim about the capacity; without a search it has none of that kind.

use super::Judge;
use crate::check::load::LoadFacts;
use crate::check::scope;
use crate::diagnostic::{Diagnostics, SourceFile, Span, codes};
use crate::file::claim;
use crate::plan::{Claim, Expect, Scope};
use crate::units::Share;

use super::{line, words};

impl Judge<'_> {
    pub(super) fn capacity(&mut self, capacity: &claim::Capacity, span: Span) -> Option<Expect> {
        let min = capacity.min.get()?.0;
        let Some(search) = &self.load.search else {
            let problem =
                codes::SEARCH.at(span, "a claim on capacity, but nothing searches for it");
            self.problems.add(problem.help(
                "add a last stage `{ name: find, search: { from: 20/s, to: 500/s } }`, or leave the claim out",
            ));
            return None;
        };
        let to = search.plan.as_ref()?.to;
        if min > to || min.per_second() <= 0.0 {
            let message = format!("the search tries rates up to {to}, so it cannot show {min}");
            let problem = codes::OUT_OF_RANGE.at(capacity.min.span, message);
            self.problems.add(
                problem
                    .related(search.span, "the search is here")
                    .help("claim a rate above 0 that is tried, or raise `to` of the search"),
            );
            return None;
        }
        Some(Expect::Capacity { min: Some(min) })
    }
}

/// Whether a claim says when a rate holds; one with too few requests in the first probe is reported.
/// A claim that is bad is not held against the search.
pub(super) fn decides(
    expect: Option<&Expect>,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> bool {
    let (Some(search), Some(expect)) = (&load.search, expect) else {
        return expect.is_none();
    };
    let mut check = |allowed: Share, what: &str, scope: &Scope| {
        scope::enough_in_probe(allowed, what, search.from, (scope, load), problems);
    };
    match expect {
        Expect::Latency { limits, scope } => {
            for limit in limits {
                let allowed = Share::from_ratio(limit.quantile.over_per_mille() as f64 / 1e3);
                check(allowed, &format!("a {}", limit.quantile.name()), scope);
            }
        }
        Expect::Errors { max, scope } => check(*max, &format!("an error share of {max}"), scope),
        _ => return false,
    }
    true
}

/// Reports a search of which no claim says when a rate holds.
pub(super) fn check_decided(decides: bool, load: &LoadFacts, problems: &mut Diagnostics) {
    if let Some(search) = load.search.as_ref().filter(|_| !decides) {
        let problem = codes::SEARCH.at(search.span, "no claim says when a rate holds");
        problems.add(
            problem
                .help("add a claim on latency or errors: `- expect: { latency: { p95: 200ms } }`"),
        );
    }
}

/// The claims of a plan: with a search one of them is about what it finds.
pub(super) fn complete(
    mut claims: Vec<Claim>,
    load: &LoadFacts,
    files: &[SourceFile],
) -> Vec<Claim> {
    let is_capacity = |claim: &Claim| matches!(claim.expect, Expect::Capacity { .. });
    if let Some(search) = &load.search
        && !claims.iter().any(is_capacity)
    {
        let expect = Expect::Capacity { min: None };
        claims.push(Claim {
            name: words::of(&expect, load),
            expect,
            line: line(search.span, files),
        });
    }
    claims
}
