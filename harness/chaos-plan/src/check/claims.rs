//! The hypothesis: claims that could fail.
//!
//! Invariant: every claim of a plan has a name, stages to be judged on and requests enough.

mod evidence;
mod felt;
mod scale_out;
mod search;
mod words;

use super::load::LoadFacts;
use super::scope::{Keys, Names};
use super::target::Reach;
use super::{Options, names, scope};
use crate::diagnostic::{Diagnostics, SourceFile, Span, codes};
use crate::file::claim;
use crate::file::format::Text;
use crate::file::located::{Located, Optional};
use crate::file::scenario::Scenario;
use crate::plan::{Claim, Expect, PlatformName, Scope};
use crate::units::Share;

/// Longest name of a claim, in characters.
const MAX_NAME: usize = 100;

pub(super) fn resolve(
    scenario: &Scenario,
    (load, reach, platform): (&LoadFacts, &Reach, PlatformName),
    options: &Options,
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
    let mut decides = false;
    for located in hypothesis {
        let claim = located.get().and_then(|claim| {
            let expect = Judge {
                load,
                reach,
                platform,
                has_faults,
                is_scaled: options.is_time_scaled(),
                problems,
            }
            .expect(&claim.expect);
            decides |= search::decides(expect.as_ref(), load, problems);
            let name = name(&claim.name, expect.as_ref(), load, problems);
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
    search::check_decided(decides, load, problems);
    Some(search::complete(claims?, load, &problems.files))
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
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<String> {
    let Some(given) = name.given() else {
        return expect.map(|expect| words::of(expect, load));
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

struct Judge<'a> {
    load: &'a LoadFacts,
    reach: &'a Reach,
    platform: PlatformName,
    has_faults: bool,
    is_scaled: bool,
    problems: &'a mut Diagnostics,
}

impl Judge<'_> {
    fn expect(&mut self, expect: &Located<claim::Expect>) -> Option<Expect> {
        let span = expect.span;
        match expect.get()? {
            claim::Expect::Latency(latency) => self.latency(latency, span),
            claim::Expect::Errors(errors) => self.errors(errors, span),
            claim::Expect::Availability(availability) => self.availability(availability, span),
            claim::Expect::Recovery(recovery) => self.recovery(recovery, span),
            claim::Expect::Integrity(rules) => self.integrity(rules, span),
            claim::Expect::Resources(resources) => self.resources(resources, span),
            claim::Expect::Goodput(goodput) => self.goodput(goodput, span),
            claim::Expect::Drift(drift) => self.drift(drift, span),
            claim::Expect::ScaleOut(scale_out) => self.scale_out(scale_out, span),
            claim::Expect::Capacity(capacity) => self.capacity(capacity, span),
        }
    }

    fn scope(&mut self, keys: Keys<'_>) -> Option<Scope> {
        scope::resolve(keys, self.load, self.problems)
    }

    fn stages(&mut self, during: &Names, except: &Names, claim: Span) -> Option<Vec<usize>> {
        scope::stages(during, except, claim, self.load, self.problems)
    }

    /// Reports a claim of which no limit is given.
    fn needs_limit(&mut self, given: &[bool], (kind, example): (&str, &str), span: Span) {
        if !given.contains(&true) {
            let problem = codes::NO_LIMIT.at(span, format!("{kind} claim without a limit"));
            self.problems
                .add(problem.help(format!("add a limit: `{example}`")));
        }
    }

    /// Reports a share of which nothing could be less.
    fn above_zero(&mut self, share: Option<&Located<Text<Share>>>, key: &str, why: &str) {
        let is_zero =
            |share: &&Located<Text<Share>>| share.get().is_some_and(|it| it.0.ratio() <= 0.0);
        if let Some(share) = share.filter(is_zero) {
            let problem =
                codes::OUT_OF_RANGE.at(share.span, format!("`{key}` must be more than 0%"));
            self.problems
                .add(problem.label(why).help("for example `99.9%`"));
        }
    }
}
