//! The load: stages on the time line, and how many requests they are expected to send.
//!
//! Invariant: times and rates in the facts are scaled already; nobody scales them twice.

use std::time::Duration;

use super::{Library, Options, journeys, names};
use crate::diagnostic::{Diagnostics, Span, codes};
use crate::file::format::Text;
use crate::file::located::{Located, Map, Optional};
use crate::file::scenario::{self, Group, Shape};
use crate::plan::{Arrivals, Journey, Load, Stage};
use crate::units::{Rate, duration_to_text};

/// Longest load, and most journeys in it.
const MAX_LENGTH: Duration = Duration::from_hours(24);
const MAX_JOURNEYS: f64 = 1e8;

/// The load as far as it is known.
#[derive(Debug, Default)]
pub(super) struct LoadFacts {
    pub(super) plan: Option<Load>,
    /// `None` if not even their number is known.
    pub(super) stages: Option<Vec<StageFacts>>,
    /// Requests of one journey, on average and on average squared.
    pub(super) requests: Option<(f64, f64)>,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) patience: Option<Duration>,
}

/// One stage as far as it is known.
#[derive(Debug)]
pub(super) struct StageFacts {
    /// Empty if it is bad.
    pub(super) name: String,
    pub(super) start: Option<Duration>,
    pub(super) length: Option<Duration>,
    rates: Option<(Rate, Rate)>,
}

impl StageFacts {
    pub(super) fn end(&self) -> Option<Duration> {
        Some(self.start? + self.length?)
    }

    /// Journeys expected to begin in it.
    pub(super) fn journeys(&self) -> Option<f64> {
        self.plan().map(|stage| {
            f64::midpoint(stage.from.per_second(), stage.to.per_second())
                * stage.length.as_secs_f64()
        })
    }

    pub(super) fn is_constant(&self) -> Option<bool> {
        self.rates
            .map(|(from, to)| (from.per_second() - to.per_second()).abs() < f64::EPSILON)
    }

    fn plan(&self) -> Option<Stage> {
        let (from, to) = self.rates?;
        Some(Stage {
            name: self.name.clone(),
            start: self.start?,
            length: self.length?,
            from,
            to,
        })
    }
}

impl LoadFacts {
    pub(super) fn names(&self) -> Option<impl Iterator<Item = &str> + Clone> {
        self.stages
            .as_ref()
            .map(|stages| stages.iter().map(|stage| stage.name.as_str()))
    }

    pub(super) fn length(&self) -> Option<Duration> {
        self.stages.as_ref()?.last()?.end()
    }

    /// Requests expected in these stages, and their standard deviation.
    pub(super) fn requests_in(&self, stages: &[usize]) -> Option<(f64, f64)> {
        let all = self.stages.as_ref()?;
        let journeys: f64 = stages
            .iter()
            .map(|index| all.get(*index)?.journeys())
            .sum::<Option<f64>>()?;
        let (mean, square) = self.requests?;
        // A compound Poisson sum has variance n E[x^2]; even arrivals vary only by the mix.
        let variance = if self.arrivals? == Arrivals::Poisson {
            square
        } else {
            (square - mean * mean).max(0.0)
        };
        Some((journeys * mean, (journeys * variance).sqrt()))
    }
}

pub(super) fn resolve(
    load: &Located<Map<Group>>,
    library: &dyn Library,
    options: &Options,
    problems: &mut Diagnostics,
) -> LoadFacts {
    let Some(groups) = load.get() else {
        return LoadFacts::default();
    };
    for (name, _) in groups.iter().skip(1) {
        let problem = codes::GROUPS.at(name.span, "more than one group of shoppers");
        problems.add(problem.label("the second group").help(
            "mix journeys by their weights in one group; several groups are not built in yet",
        ));
    }
    let Some((name, group)) = groups.iter().next() else {
        return LoadFacts::default();
    };
    let name = names::name(name, "a group", problems);
    let Some(group) = group.get() else {
        return LoadFacts::default();
    };
    let timeout = names::positive_or(&group.timeout, scenario::TIMEOUT, "`timeout`", problems);
    let patience = names::positive_or(&group.patience, scenario::PATIENCE, "`patience`", problems);
    check_patience(group, timeout, patience, problems);
    let journeys = journeys::resolve(&group.journeys, library, problems);
    let mut facts = LoadFacts {
        plan: None,
        stages: group
            .stages
            .get()
            .map(|given| stages(given, options, problems)),
        requests: journeys.requests,
        arrivals: group.arrivals.or(Arrivals::Poisson),
        patience,
    };
    check_size(&facts, group.stages.span, problems);
    facts.plan = plan(name, timeout, journeys.plans, &facts);
    facts
}

fn plan(
    name: Option<&str>,
    timeout: Option<Duration>,
    journeys: Option<Vec<Journey>>,
    facts: &LoadFacts,
) -> Option<Load> {
    Some(Load {
        name: name?.to_owned(),
        arrivals: facts.arrivals?,
        timeout: timeout?,
        patience: facts.patience?,
        journeys: journeys?,
        stages: facts
            .stages
            .as_ref()?
            .iter()
            .map(StageFacts::plan)
            .collect::<Option<_>>()?,
    })
}

fn check_patience(
    group: &Group,
    timeout: Option<Duration>,
    patience: Option<Duration>,
    problems: &mut Diagnostics,
) {
    let given = |time: &Optional<Text<Duration>>| time.given().map(|time| time.span);
    let place = given(&group.patience).or_else(|| given(&group.timeout));
    let (Some(timeout), Some(patience), Some(place)) = (timeout, patience, place) else {
        return;
    };
    if patience < timeout {
        let (patience, timeout) = (duration_to_text(patience), duration_to_text(timeout));
        let message = format!("patience ({patience}) ends before the timeout ({timeout}) can");
        let problem = codes::PATIENCE_BELOW_TIMEOUT.at(place, message);
        problems.add(problem.help("make `patience` at least as long as `timeout`"));
    }
}

fn stages(
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
    let mut start = Some(Duration::ZERO);
    let mut before = Some(Rate::new(0.0));
    let mut all = Vec::new();
    for stage in given {
        let facts = one_stage(stage, start, before, options, problems);
        start = facts.end();
        before = facts.rates.map(|(_, to)| to);
        all.push(facts);
    }
    all
}

fn one_stage(
    stage: &Located<scenario::Stage>,
    start: Option<Duration>,
    before: Option<Rate>,
    options: &Options,
    problems: &mut Diagnostics,
) -> StageFacts {
    let Some(stage) = stage.get() else {
        return StageFacts {
            name: String::new(),
            start,
            length: None,
            rates: None,
        };
    };
    let name = names::name(&stage.name, "a stage", problems)
        .unwrap_or_default()
        .to_owned();
    let length = names::positive(&stage.lasts, "a stage", problems)
        .and_then(|length| scaled(length, options.time_scale));
    let to = stage
        .rate
        .get()
        .map(|rate| Rate::new(rate.0.per_second() * options.rate_scale));
    let shape = stage.shape.or(Shape::Constant);
    let from = if shape == Some(Shape::Linear) {
        before
    } else {
        to
    };
    let rates = shape.and(from.zip(to));
    if rates.is_some_and(|(from, to)| from.per_second() + to.per_second() <= 0.0) {
        let problem = codes::ZERO_RATE.at(
            stage.rate.span,
            "a stage that sends nothing cannot be judged",
        );
        problems.add(problem.help("give a rate above 0, or leave the stage out"));
    }
    StageFacts {
        name,
        start,
        length,
        rates,
    }
}

/// A time of the scenario under `--time-scale`; `None` for a scale that was refused.
pub(super) fn scaled(time: Duration, scale: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(time.as_secs_f64() * scale).ok()
}

fn check_size(facts: &LoadFacts, span: Span, problems: &mut Diagnostics) {
    if facts.length().is_some_and(|length| length > MAX_LENGTH) {
        problems.add(
            codes::LOAD_TOO_LARGE
                .at(span, "the load is longer than 24 h")
                .help("shorten the stages"),
        );
    }
    let journeys: Option<f64> = facts
        .stages
        .iter()
        .flatten()
        .map(StageFacts::journeys)
        .sum();
    if let Some(journeys) = journeys.filter(|journeys| *journeys > MAX_JOURNEYS) {
        let problem = codes::LOAD_TOO_LARGE.at(
            span,
            format!("the load has {journeys:.0} journeys; at most 100 million are possible"),
        );
        problems.add(problem.help("lower the rates or shorten the stages"));
    }
}
