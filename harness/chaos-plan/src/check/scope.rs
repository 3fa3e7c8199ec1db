//! Which stages a claim is judged on, and whether they hold enough requests to judge it.
//!
//! Invariant: a claim that passes here could fail in the run: it has requests enough that at
//! least ten of them may be bad before it does.

use super::load::LoadFacts;
use super::names;
use crate::diagnostic::{Diagnostics, Span, codes};
use crate::file::located::{Located, Optional};
use crate::units::Share;

/// Bad requests that must be allowed, so that one more or less does not decide by chance.
const LEAST_ALLOWED: f64 = 10.0;

type Names = Optional<Vec<Located<String>>>;

/// Indices of the stages a claim is judged on; `None` if they are unknown.
pub(super) fn resolve(
    during: &Names,
    except: &Names,
    claim: Span,
    load: &LoadFacts,
    problems: &mut Diagnostics,
) -> Option<Vec<usize>> {
    if let (Some(first), Some(second)) = (during.given(), except.given()) {
        let problem = codes::ONE_OF
            .at(
                second.span,
                "a claim has at most one of `during` and `except`",
            )
            .label("one too many");
        problems.add(problem.related(first.span, "`during` is here"));
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

/// Reports a claim for which too few requests are expected; `allowed` of them may be bad.
pub(super) fn enough(
    allowed: Share,
    what: &str,
    place: Span,
    (stages, load): (&[usize], &LoadFacts),
    problems: &mut Diagnostics,
) {
    if allowed.ratio() <= 0.0 {
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
    }
    let Some((expected, deviation)) = load.requests_in(stages) else {
        return;
    };
    let needed = (LEAST_ALLOWED / allowed.ratio() - 1e-6).ceil();
    let (expected_text, needed_text) = (format!("{:.0}", expected.floor()), format!("{needed:.0}"));
    if expected + 1e-6 < needed {
        let problem = codes::TOO_FEW.at(
            place,
            format!("{what} needs {needed_text} requests, and {expected_text} are expected"),
        );
        problems.add(
            problem
                .label("too few to judge this")
                .help("raise rates, lengthen or add stages to judge, or claim less"),
        );
    } else if expected - 3.0 * deviation < needed {
        let problem = codes::NEARLY_TOO_FEW.at(place, format!("{what} needs {needed_text} requests; {expected_text} are expected, give or take {:.0}", 3.0 * deviation));
        problems.add(
            problem
                .label("a run may have too few by chance")
                .help("raise rates or lengthen stages a little"),
        );
    }
}
