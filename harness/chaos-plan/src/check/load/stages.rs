//! The stages of a load, and what makes its journeys begin.
//!
//! Invariant: all stages of a load that passes here count the same thing, rates or users, and
//! each of them sends something.

use std::time::Duration;

use super::{MIN_CYCLE, StageFacts, scaled};
use crate::check::{Options, names};
use crate::diagnostic::{Diagnostics, Span, codes};
use crate::file::format::Text;
use crate::file::located::Located;
use crate::file::scenario::{self, Group, Shape};
use crate::plan::{Level, Model};
use crate::units::{Rate, duration_to_text};

/// The stages on the time line, scaled.
pub(super) fn resolve(
    given: &[Located<scenario::Stage>],
    options: &Options,
    problems: &mut Diagnostics,
) -> Vec<StageFacts> {
    names::distinct(
        given
            .iter()
            .filter_map(Located::get)
            .map(|stage| &stage.name),
        "stages",
        problems,
    );
    check_alike(given, problems);
    let mut start = Some(Duration::ZERO);
    let mut before = Before::Nothing;
    let mut all = Vec::new();
    let has_search = |stage: &Located<scenario::Stage>| {
        let stage = stage.get();
        stage.is_some_and(|stage| stage.search.given().is_some())
    };
    for stage in given.iter().filter(|stage| !has_search(stage)) {
        let facts = one(stage, start, before, options, problems);
        start = facts.end();
        before = facts.level.map_or(Before::Unknown, Before::Level);
        all.push(facts);
    }
    if !options.is_time_scaled() {
        let stages = given.iter().filter(|stage| !has_search(stage));
        let inner = stages.zip(&all).take(given.len().saturating_sub(1));
        check_seconds(inner, problems);
    }
    all
}

/// Warns of the first of the stages, each with another after it, that ends within a second.
/// What `--time-scale` makes of lengths is a trial.
fn check_seconds<'a>(
    mut inner: impl Iterator<Item = (&'a Located<scenario::Stage>, &'a StageFacts)>,
    problems: &mut Diagnostics,
) {
    let ends_within = |facts: &StageFacts| facts.end().is_some_and(|end| end.subsec_nanos() > 0);
    let Some((stage, facts)) = inner.find(|(_, facts)| ends_within(facts)) else {
        return;
    };
    let given = stage.get().and_then(|stage| stage.lasts.given());
    let (Some(given), Some(length)) = (given, facts.length) else {
        return;
    };
    let message = format!(
        "`{}` ends within a second, and another stage follows",
        facts.name
    );
    let whole = duration_to_text(Duration::from_secs(length.as_secs() + 1));
    problems.add(
        codes::WITHIN_SECOND
            .at(given.span, message)
            .label("responses of its last second count to this stage alone")
            .help(format!("write whole seconds: `for: {whole}`")),
    );
}

/// The level at which the stage before ends.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Unknown,
    Level(Level),
}

impl Before {
    fn rate(self) -> Option<Rate> {
        match self {
            Self::Nothing => Some(Rate::new(0.0)),
            Self::Level(Level::Rate { to, .. }) => Some(to),
            Self::Unknown | Self::Level(Level::Users { .. }) => None,
        }
    }

    fn users(self) -> Option<u32> {
        match self {
            Self::Nothing => Some(0),
            Self::Level(Level::Users { to, .. }) => Some(to),
            Self::Unknown | Self::Level(Level::Rate { .. }) => None,
        }
    }
}

fn one(
    located: &Located<scenario::Stage>,
    start: Option<Duration>,
    before: Before,
    options: &Options,
    problems: &mut Diagnostics,
) -> StageFacts {
    let Some(stage) = located.get() else {
        return StageFacts {
            name: String::new(),
            start,
            length: None,
            level: None,
        };
    };
    let name = names::name(&stage.name, "a stage", problems)
        .unwrap_or_default()
        .to_owned();
    let length =
        lasts(located.span, stage, problems).and_then(|length| scaled(length, options.time_scale));
    let level = if stage.users.given().is_some() {
        users(stage, before, options, problems)
    } else {
        rate(stage, before, options, problems)
    };
    StageFacts {
        name,
        start,
        length,
        level,
    }
}

/// The same words as for every other key that is missing.
fn lasts(span: Span, stage: &scenario::Stage, problems: &mut Diagnostics) -> Option<Duration> {
    let Some(lasts) = stage.lasts.given() else {
        let problem = codes::MISSING_KEY.at(span, "missing key `for` in an item of `stages`");
        let problem = problem.label("`for` is needed here");
        problems.add(problem.help("add `for: 10s`"));
        return None;
    };
    names::positive(lasts, "a stage", problems)
}

fn rate(
    stage: &scenario::Stage,
    before: Before,
    options: &Options,
    problems: &mut Diagnostics,
) -> Option<Level> {
    let given = stage.rate.given()?;
    let to = Rate::new(given.get()?.0.per_second() * options.rate_scale);
    let from = match stage.shape.or(Shape::Constant)? {
        Shape::Linear => before.rate()?,
        Shape::Constant => to,
    };
    if from.per_second() + to.per_second() <= 0.0 {
        sends_nothing(
            given.span,
            "give a rate above 0, or leave the stage out",
            problems,
        );
    }
    Some(Level::Rate { from, to })
}

fn users(
    stage: &scenario::Stage,
    before: Before,
    options: &Options,
    problems: &mut Diagnostics,
) -> Option<Level> {
    let given = stage.users.given()?;
    let to = scaled_users(*given.get()?, options.rate_scale);
    let from = match stage.shape.or(Shape::Constant)? {
        Shape::Linear => before.users()?,
        Shape::Constant => to,
    };
    if from + to == 0 {
        sends_nothing(
            given.span,
            "give one user or more, or leave the stage out",
            problems,
        );
    }
    if to > Level::MOST_USERS {
        let message = format!(
            "{to} users at this rate scale; at most {} are possible",
            Level::MOST_USERS
        );
        problems.add(
            codes::LOAD_TOO_LARGE
                .at(given.span, message)
                .help("use a smaller `--rate-scale`"),
        );
    }
    Some(Level::Users { from, to })
}

/// Users under `--rate-scale`: rounded, and at least one where there are any.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most 10,000 users times 1,000"
)]
fn scaled_users(users: u32, scale: f64) -> u32 {
    ((f64::from(users) * scale).round() as u32).max(users.min(1))
}

fn sends_nothing(span: Span, help: &str, problems: &mut Diagnostics) {
    let problem = codes::ZERO_RATE.at(span, "a stage that sends nothing cannot be judged");
    problems.add(problem.help(help));
}

/// Reports the first stage that counts something else than the first one.
fn check_alike(given: &[Located<scenario::Stage>], problems: &mut Diagnostics) {
    let counts = given.iter().filter_map(|stage| {
        let stage = stage.get()?;
        let rate = stage.rate.given().map(|rate| (rate.span, "rate"));
        rate.or_else(|| Some((stage.users.given()?.span, "users")))
    });
    let counts: Vec<(Span, &str)> = counts.collect();
    let Some((first, what)) = counts.first() else {
        return;
    };
    if let Some((other, wrong)) = counts.iter().find(|(_, other)| other != what) {
        let problem =
            codes::MIXED_STAGES.at(*other, "some stages give a rate, others a number of users");
        problems.add(
            problem
                .label(format!("`{wrong}` here"))
                .related(*first, format!("`{what}` is here"))
                .help(format!("give `{what}` in every stage")),
        );
    }
}

/// What makes journeys begin, by the first stage; `None` if it is unknown.
pub(super) fn model(group: &Group, problems: &mut Diagnostics) -> Option<Model> {
    let stages = group.stages.get()?;
    let first = stages.iter().find_map(|stage| {
        let stage = stage.get()?;
        let is_either = stage.rate.given().is_some() || stage.users.given().is_some();
        is_either.then(|| stage.users.given().is_some())
    });
    let is_closed = first?;
    let cycle = match group.cycle.given() {
        None => None,
        Some(cycle) if !is_closed => {
            not_paced(
                cycle.span,
                "`cycle` goes with `users`, not with `rate`",
                "leave `cycle` out, or give `users` in place of `rate` in every stage",
                problems,
            );
            return Some(Model::Open);
        }
        Some(cycle) => Some(long_enough(cycle, problems)?),
    };
    if is_closed
        && cycle.is_none()
        && let Some(arrivals) = group.arrivals.given()
    {
        not_paced(
            arrivals.span,
            "users without a `cycle` do not arrive: each begins again when its last journey has ended",
            "leave `arrivals` out, or add `cycle: 1s`",
            problems,
        );
    }
    Some(if is_closed {
        Model::Closed { cycle }
    } else {
        Model::Open
    })
}

fn not_paced(span: Span, message: &str, help: &str, problems: &mut Diagnostics) {
    problems.add(codes::PACE.at(span, message).help(help));
}

fn long_enough(cycle: &Located<Text<Duration>>, problems: &mut Diagnostics) -> Option<Duration> {
    let length = names::positive(cycle, "`cycle`", problems)?;
    if length < MIN_CYCLE {
        let message = format!("`cycle` must be at least {}", duration_to_text(MIN_CYCLE));
        problems.add(
            codes::OUT_OF_RANGE
                .at(cycle.span, message)
                .help("for that many requests give a `rate`"),
        );
        return None;
    }
    Some(length)
}
