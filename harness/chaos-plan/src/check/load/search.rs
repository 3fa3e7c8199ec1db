//! The search that may follow the stages of a load.
//!
//! Invariant: a search that passes here is the last thing of a load with rates, has stages before
//! it, and ends whatever the target does.

use std::time::Duration;

use super::{SearchFacts, StageFacts, scaled};
use crate::check::{Options, names};
use crate::diagnostic::{Diagnostics, Span, codes};
use crate::file::format::Text;
use crate::file::located::Located;
use crate::file::scenario::{self, Group};
use crate::plan::Search;
use crate::units::{Rate, Share, duration_to_text};

/// Shortest probe: what is shorter says little about what lasts.
const STEP_MIN: Duration = Duration::from_secs(2);

/// The search of a group, if it has one; what does not fit is reported.
pub(super) fn resolve(
    group: &Group,
    stages: Option<&[StageFacts]>,
    options: &Options,
    problems: &mut Diagnostics,
) -> Option<SearchFacts> {
    let given = group.stages.get()?;
    let is_search = |stage: &scenario::Stage| stage.search.given().is_some();
    let at = given
        .iter()
        .position(|stage| stage.get().is_some_and(is_search))?;
    check_place(given, at, problems);
    let stage = given[at].get()?;
    let search = stage.search.given()?;
    let name = names::name(&stage.name, "a stage", problems).unwrap_or_default();
    let start = stages.and_then(|stages| stages.last()?.end());
    let content = search.get();
    let plan = content.and_then(|content| Rates::of(content, options, problems));
    Some(SearchFacts {
        name: name.to_owned(),
        span: search.span,
        from: content.map_or(search.span, |content| content.from.span),
        plan: plan.zip(start).and_then(|(rates, start)| {
            Some(Search {
                name: name.to_owned(),
                start,
                from: rates.from,
                to: rates.to,
                settle: Search::SETTLE,
                step: step(content?, options, problems)?,
                factor: content?.factor.or(scenario::FACTOR)?,
                precision: precision(content?, problems)?,
                rest: rest(content?, problems)?,
            })
        }),
    })
}

/// Reports a search that is not the last stage, the only one, or among stages of users.
fn check_place(given: &[Located<scenario::Stage>], at: usize, problems: &mut Diagnostics) {
    let span = |stage: &Located<scenario::Stage>| stage.get().map_or(stage.span, |it| it.name.span);
    let place = span(&given[at]);
    if let Some(next) = given.get(at + 1) {
        refuse(
            span(next),
            "a stage after a search: nobody knows beforehand when the search ends",
            "make the search the last stage, and the only one",
            problems,
        );
    }
    if at == 0 {
        refuse(
            place,
            "a search needs a stage before it, to warm up and to judge the claims at a known rate",
            "add a stage such as `{ name: baseline, for: 10s, rate: 20/s }` before it",
            problems,
        );
    }
    let has_users = |stage: &scenario::Stage| stage.users.given().is_some();
    if given.iter().any(|stage| stage.get().is_some_and(has_users)) {
        refuse(
            place,
            "a search raises a rate, and the stages give users: more users than the target can serve only wait longer",
            "give `rate` in place of `users` in the other stages",
            problems,
        );
    }
    if let Some(lasts) = given[at].get().and_then(|stage| stage.lasts.given()) {
        refuse(
            lasts.span,
            "a search ends when it has found the limit",
            "leave `for` out; `step` of the search says how long each rate is judged",
            problems,
        );
    }
    if let Some(shape) = given[at].get().and_then(|stage| stage.shape.given()) {
        refuse(
            shape.span,
            "a search has no shape: each of its probes has a constant rate",
            "leave `shape` out",
            problems,
        );
    }
}

fn refuse(span: Span, message: &str, help: &str, problems: &mut Diagnostics) {
    problems.add(codes::SEARCH.at(span, message).help(help));
}

struct Rates {
    from: Rate,
    to: Rate,
}

impl Rates {
    fn of(
        content: &scenario::Search,
        options: &Options,
        problems: &mut Diagnostics,
    ) -> Option<Self> {
        let scaled = |rate: &Located<Text<Rate>>| {
            let rate = rate.get()?.0.per_second();
            Some(Rate::new(rate * options.rate_scale))
        };
        let (from, to) = (scaled(&content.from), scaled(&content.to));
        if from.is_some_and(|from| from.per_second() <= 0.0) {
            let problem = codes::ZERO_RATE.at(content.from.span, "a search must begin above 0/s");
            problems.add(problem.help("give a rate that surely holds, such as `20/s`"));
            return None;
        }
        let (from, to) = (from?, to?);
        if to < from {
            let message = format!("a search from {from} up cannot end at {to}");
            let problem = codes::OUT_OF_RANGE.at(content.to.span, message);
            problems.add(
                problem
                    .related(content.from.span, "`from` is here")
                    .help("give a rate above `from` that surely breaks a claim"),
            );
            return None;
        }
        Some(Self { from, to })
    }
}

fn step(
    content: &scenario::Search,
    options: &Options,
    problems: &mut Diagnostics,
) -> Option<Duration> {
    let step = names::positive_or(&content.step, scenario::STEP, "`step`", problems)?;
    let step = scaled(step, options.time_scale)?;
    if step < STEP_MIN {
        let place = content.step.given().map_or(content.from.span, |it| it.span);
        let message = format!(
            "a probe of {} is too short, at least {} are needed",
            duration_to_text(step),
            duration_to_text(STEP_MIN)
        );
        let problem = codes::OUT_OF_RANGE.at(place, message);
        problems.add(problem.help("lengthen `step`, or use a larger `--time-scale`"));
        return None;
    }
    Some(step)
}

fn precision(content: &scenario::Search, problems: &mut Diagnostics) -> Option<Share> {
    let precision = content.precision.or_text(scenario::PRECISION)?;
    if let Some(given) = content.precision.given()
        && !(0.01..=0.5).contains(&precision.ratio())
    {
        let problem = codes::OUT_OF_RANGE.at(given.span, "`precision` must be 1% to 50%");
        problems.add(problem.help("for example `5%`"));
        return None;
    }
    Some(precision)
}

fn rest(content: &scenario::Search, problems: &mut Diagnostics) -> Option<Duration> {
    let rest = names::positive_or(&content.rest, scenario::REST, "`rest`", problems)?;
    if let Some(given) = content.rest.given()
        && rest > Search::REST_MAX
    {
        let message = format!(
            "`rest` must be at most {}",
            duration_to_text(Search::REST_MAX)
        );
        let problem = codes::OUT_OF_RANGE.at(given.span, message);
        problems.add(problem.help("a target that is not itself again by then ends the search"));
        return None;
    }
    Some(rest)
}
