//! Which requests of which stages a claim is judged on, and whether they hold enough requests to judge it.
//!
//! Invariant: a claim that passes here could fail in the run: it has requests enough that at
//! least ten of them may be bad before it does.

use super::load::LoadFacts;
use super::names;
use crate::diagnostic::{Diagnostics, Span, codes, quote};
use crate::file::located::{Located, Optional};
use crate::plan::{Part, Scope};
use crate::units::Share;

pub(super) type Names = Optional<Vec<Located<String>>>;

/// What a claim says it is judged on.
#[derive(Clone, Copy)]
pub(super) struct Keys<'a> {
    pub(super) during: &'a Names,
    pub(super) except: &'a Names,
    pub(super) journey: &'a Optional<String>,
    pub(super) endpoint: &'a Optional<String>,
    /// The claim, where it says nothing.
    pub(super) claim: Span,
}

/// Stages and part of a claim; `None` if they are unknown.
pub(super) fn resolve(
    keys: Keys<'_>,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<Scope> {
    let stages = stages(keys.during, keys.except, keys.claim, load, problems);
    let part = part(keys.journey, keys.endpoint, load, problems);
    Some(Scope {
        stages: stages?,
        part: part?,
    })
}

/// Indices of the stages a claim is judged on; `None` if they are unknown.
pub(super) fn stages(
    during: &Names,
    except: &Names,
    claim: Span,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<Vec<usize>> {
    if let (Some(first), Some(second)) = (during.given(), except.given()) {
        at_most_one(("during", first.span), ("except", second.span), problems);
    }
    let list = during.given().or(except.given()).map(|list| list.span);
    let during = indices(during, load, problems);
    let except = indices(except, load, problems);
    let count = load.stages.as_ref()?.len();
    let stages: Vec<usize> = match (during, except) {
        (Given::Bad, _) | (_, Given::Bad) => return None,
        (Given::Some(stages), _) => (0..count).filter(|index| stages.contains(index)).collect(),
        (Given::Absent, Given::Some(stages)) => {
            (0..count).filter(|index| !stages.contains(index)).collect()
        }
        (Given::Absent, Given::Absent) => (0..count).collect(),
    };
    if stages.is_empty() {
        problems.add(
            codes::EMPTY_SCOPE
                .at(list.unwrap_or(claim), "no stage is left for this claim")
                .help("leave at least one stage to judge"),
        );
        return None;
    }
    Some(stages)
}

fn at_most_one(
    (first, first_span): (&str, Span),
    (second, second_span): (&str, Span),
    problems: &mut Diagnostics,
) {
    let message = format!("a claim has at most one of `{first}` and `{second}`");
    let problem = codes::ONE_OF.at(second_span, message).label("one too many");
    problems.add(
        problem
            .related(first_span, format!("`{first}` is here"))
            .help(format!("leave `{first}` or `{second}` out")),
    );
}

fn part(
    journey: &Optional<String>,
    endpoint: &Optional<String>,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<Part> {
    match (journey.given(), endpoint.given()) {
        (None, None) => Some(Part::All),
        (Some(_), None) => self::journey(journey, load, problems)?.map(Part::Journey),
        (None, Some(endpoint)) => self::endpoint(endpoint, load, problems),
        (Some(first), Some(second)) => {
            at_most_one(("journey", first.span), ("endpoint", second.span), problems);
            None
        }
    }
}

/// The index of a journey, if a claim names one; the outer `None` if it is bad.
#[expect(clippy::option_option, reason = "left out and bad are not the same")]
pub(super) fn journey(
    name: &Optional<String>,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<Option<usize>> {
    let Some(name) = name.given() else {
        return Some(None);
    };
    let known = load.journeys.as_ref()?.iter();
    let known = known.map(|journey| journey.name.as_str());
    names::position(
        name,
        (codes::UNKNOWN_JOURNEY, "journey of the load"),
        known,
        problems,
    )
    .map(Some)
}

/// The step that `JOURNEY/STEP` or `STEP` means.
fn endpoint(name: &Located<String>, load: &LoadFacts, problems: &mut Diagnostics) -> Option<Part> {
    let text = name.get()?;
    let mut all = Vec::new();
    for (journey, facts) in load.journeys.as_ref()?.iter().enumerate() {
        for (step, its) in facts.steps.as_ref()?.iter().enumerate() {
            all.push((format!("{}/{}", facts.name, its.name), journey, step));
        }
    }
    let means = |full: &str| full == text || full.rsplit('/').next() == Some(text);
    let found: Vec<_> = all.iter().filter(|(full, ..)| means(full)).collect();
    match found.as_slice() {
        [(_, journey, step)] => {
            return Some(Part::Endpoint {
                journey: *journey,
                step: *step,
            });
        }
        [(first, ..), (second, ..), ..] => {
            let problem = codes::UNKNOWN_ENDPOINT.at(
                name.span,
                format!("several journeys have a step {}", quote(text)),
            );
            problems.add(problem.label("which one?").help(format!(
                "write {} or {}",
                quote(first),
                quote(second)
            )));
        }
        [] => {
            let problem = codes::UNKNOWN_ENDPOINT
                .at(
                    name.span,
                    format!("no journey of the load has a step {}", quote(text)),
                )
                .label("not known");
            // Of a step without its journey only the step can be meant.
            let known = all.iter().map(|(full, ..)| {
                let step = full.rsplit('/').next().unwrap_or(full);
                if text.contains('/') {
                    full.as_str()
                } else {
                    step
                }
            });
            problems.add(problem.choices(text, "known steps", known));
        }
    }
    None
}

enum Given {
    Absent,
    Bad,
    Some(Vec<usize>),
}

fn indices(names: &Names, load: &LoadFacts, problems: &mut Diagnostics) -> Given {
    let Some(given) = names.given() else {
        return Given::Absent;
    };
    let (Some(names), Some(known)) = (given.get(), load.names()) else {
        return Given::Bad;
    };
    let indices: Vec<Option<usize>> = names
        .iter()
        .map(|name| {
            names::position(
                name,
                (codes::UNKNOWN_STAGE, "stage"),
                known.clone(),
                problems,
            )
        })
        .collect();
    indices
        .into_iter()
        .collect::<Option<_>>()
        .map_or(Given::Bad, Given::Some)
}

/// Reports a claim that the first probe of a search has too few requests for.
pub(super) fn enough_in_probe(
    allowed: Share,
    what: &str,
    place: Span,
    (scope, load): (&Scope, &LoadFacts),
    problems: &mut Diagnostics,
) {
    let (Some(needed), Some((expected, deviation))) =
        (allowed.needed(), load.requests_in_probe(scope))
    else {
        return;
    };
    if expected - 3.0 * deviation < needed as f64 {
        let message = format!(
            "{what} needs {needed} requests in each probe, and {:.0} are expected at this rate, give or take {:.0}",
            expected.floor(),
            3.0 * deviation
        );
        let problem = codes::TOO_FEW.at(place, message);
        problems.add(
            problem
                .label("too few to judge the first probe")
                .help("raise `from`, lengthen `step`, or claim less"),
        );
    }
}

/// Reports a claim for which too few requests are expected; `allowed` of them may be bad.
pub(super) fn enough(
    allowed: Share,
    what: &str,
    place: Span,
    (scope, load): (&Scope, &LoadFacts),
    problems: &mut Diagnostics,
) {
    let Some(needed) = allowed.needed() else {
        let problem = codes::TOO_FEW.at(
            place,
            format!("{what} allows no bad request at all, which no number of requests can show"),
        );
        problems.add(
            problem.help(
                "write the smallest share that matters, such as `0.1%` (needs 10000 requests)",
            ),
        );
        return;
    };
    let Some((expected, deviation)) = load.requests_in(scope) else {
        return;
    };
    let expected_text = format!("{:.0}", expected.floor());
    if expected + 1e-6 < needed as f64 {
        let problem = codes::TOO_FEW.at(
            place,
            format!("{what} needs {needed} requests, and {expected_text} are expected"),
        );
        problems.add(
            problem
                .label("too few to judge this")
                .help("raise rates, lengthen or add stages to judge, or claim less"),
        );
    } else if expected - 3.0 * deviation < needed as f64 {
        let problem = codes::NEARLY_TOO_FEW.at(
            place,
            format!(
                "{what} needs {needed} requests; {expected_text} are expected, give or take {:.0}",
                3.0 * deviation
            ),
        );
        problems.add(
            problem
                .label("a run may have too few by chance")
                .help("raise rates or lengthen stages a little"),
        );
    }
}
