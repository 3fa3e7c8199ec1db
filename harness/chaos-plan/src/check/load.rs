//! The load: stages on the time line, and how many requests they are expected to send.
//!
//! Invariant: times and rates in the facts are scaled already; nobody scales them twice.

mod search;
mod stages;

use std::time::Duration;

use super::journeys::{self, JourneyFacts};
use super::target::Reach;
use super::{Library, Options, names};
use crate::diagnostic::{Diagnostics, Span, codes};
use crate::file::format::Text;
use crate::file::located::{Located, Map, Optional};
use crate::file::scenario::{self, Group};
use crate::plan::{Arrivals, Journey, Level, Load, Model, Scope, Search, Stage, Target};
use crate::units::duration_to_text;

/// Longest load, and most journeys in it.
const MAX_LENGTH: Duration = Duration::from_hours(24);
const MAX_JOURNEYS: f64 = 1e8;

/// Shortest cycle of a user; what is faster is a rate.
const MIN_CYCLE: Duration = Duration::from_millis(10);

/// The load as far as it is known.
#[derive(Debug, Default)]
pub(super) struct LoadFacts {
    pub(super) plan: Option<Load>,
    /// `None` if not even their number is known.
    pub(super) stages: Option<Vec<StageFacts>>,
    pub(super) search: Option<SearchFacts>,
    pub(super) journeys: Option<Vec<JourneyFacts>>,
    pub(super) model: Option<Model>,
    pub(super) arrivals: Option<Arrivals>,
    pub(super) patience: Option<Duration>,
    connections: Option<Connections>,
    traceparent: Option<bool>,
}

/// `connections` and `streams`, each left out or good.
#[derive(Debug, Clone, Copy)]
struct Connections {
    most: Option<u32>,
    streams: Option<u32>,
}

/// What is known of a search there is.
#[derive(Debug)]
pub(super) struct SearchFacts {
    pub(super) name: String,
    pub(super) span: Span,
    /// Where its lowest rate stands.
    pub(super) from: Span,
    pub(super) plan: Option<Search>,
}

impl SearchFacts {
    /// Its first probe, which has the fewest requests.
    fn probe(&self) -> Option<StageFacts> {
        let search = self.plan.as_ref()?;
        Some(StageFacts {
            name: search.name.clone(),
            start: Some(search.start),
            length: Some(search.step),
            level: Some(Level::constant_rate(search.from)),
        })
    }
}

/// One stage as far as it is known.
#[derive(Debug)]
pub(super) struct StageFacts {
    /// Empty if it is bad.
    pub(super) name: String,
    pub(super) start: Option<Duration>,
    pub(super) length: Option<Duration>,
    level: Option<Level>,
}

impl StageFacts {
    pub(super) fn end(&self) -> Option<Duration> {
        Some(self.start? + self.length?)
    }

    /// Journeys expected to begin in it; unknown where users go as fast as they are answered.
    fn journeys(&self, model: Model) -> Option<f64> {
        let a_second = match (self.level?, model) {
            (Level::Rate { from, to }, _) => f64::midpoint(from.per_second(), to.per_second()),
            (Level::Users { from, to }, Model::Closed { cycle: Some(cycle) }) => {
                f64::midpoint(f64::from(from), f64::from(to)) / cycle.as_secs_f64()
            }
            (Level::Users { .. }, _) => return None,
        };
        Some(a_second * self.length?.as_secs_f64())
    }

    pub(super) fn is_constant(&self) -> Option<bool> {
        Some(self.plan()?.is_constant())
    }

    fn plan(&self) -> Option<Stage> {
        Some(Stage {
            name: self.name.clone(),
            start: self.start?,
            length: self.length?,
            level: self.level?,
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

    /// How long these stages are together.
    pub(super) fn length_of(&self, stages: &[usize]) -> Option<Duration> {
        let all = self.stages.as_ref()?;
        stages.iter().map(|index| all.get(*index)?.length).sum()
    }

    fn journeys_in(&self, stages: &[usize]) -> Option<f64> {
        let (all, model) = (self.stages.as_ref()?, self.model?);
        stages
            .iter()
            .map(|index| all.get(*index)?.journeys(model))
            .sum()
    }

    /// Requests expected in a scope, and their standard deviation.
    pub(super) fn requests_in(&self, scope: &Scope) -> Option<(f64, f64)> {
        self.requests_of(self.journeys_in(&scope.stages)?, scope)
    }

    /// The same in the first probe of the search.
    pub(super) fn requests_in_probe(&self, scope: &Scope) -> Option<(f64, f64)> {
        let probe = self.search.as_ref()?.probe()?;
        self.requests_of(probe.journeys(self.model?)?, scope)
    }

    fn requests_of(&self, journeys: f64, scope: &Scope) -> Option<(f64, f64)> {
        let (mean, square) = journeys::requests_in(self.journeys.as_ref()?, scope.part)?;
        // A compound Poisson sum has variance n E[x^2]; even arrivals vary only by the mix.
        let variance = if self.arrivals? == Arrivals::Poisson && self.model? == Model::Open {
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
    let stages = group.stages.get();
    let stages = stages.map(|given| stages::resolve(given, options, problems));
    let mut facts = LoadFacts {
        plan: None,
        search: search::resolve(group, stages.as_deref(), options, problems),
        stages,
        journeys: journeys.facts,
        model: stages::model(group, problems),
        arrivals: group.arrivals.or(Arrivals::Poisson),
        patience,
        connections: connections(group),
        traceparent: group.traceparent.or(true),
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
        model: facts.model?,
        arrivals: facts.arrivals?,
        timeout: timeout?,
        patience: facts.patience?,
        connections: facts.connections?.most,
        streams: facts.connections?.streams,
        traceparent: facts.traceparent?,
        journeys: journeys?,
        stages: facts
            .stages
            .as_ref()?
            .iter()
            .map(StageFacts::plan)
            .collect::<Option<_>>()?,
        journeys_max: None,
        search: match &facts.search {
            Some(search) => Some(search.plan.clone()?),
            None => None,
        },
    })
}

fn connections(group: &Group) -> Option<Connections> {
    let left_out_or_good = |number: &Optional<u32>| match number.given() {
        None => Some(None),
        Some(given) => given.get().copied().map(Some),
    };
    Some(Connections {
        most: left_out_or_good(&group.connections)?,
        streams: left_out_or_good(&group.streams)?,
    })
}

/// Refuses `streams` where every connection carries one request at a time.
pub(super) fn check_streams(load: &Located<Map<Group>>, reach: &Reach, problems: &mut Diagnostics) {
    let mut groups = load.get().into_iter().flat_map(Map::iter);
    let given = groups.find_map(|(_, group)| group.get()?.streams.given());
    let (Some(given), Some(target)) = (given, &reach.plan) else {
        return;
    };
    let help = match target {
        Target::Url(running) if running.may_be_http2() => return,
        Target::Url(_) => "leave `streams` out, or give `http: 2` beside the target's `url`",
        Target::Deploy(_) => "leave `streams` out: what chaos deploys is spoken to in HTTP/1.1",
    };
    let message = "a connection of HTTP/1.1 carries one request at a time";
    problems.add(
        codes::STREAMS_WITHOUT_HTTP2
            .at(given.span, message)
            .help(help),
    );
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

/// A time of the scenario under `--time-scale`; `None` for a scale that was refused.
pub(super) fn scaled(time: Duration, scale: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(time.as_secs_f64() * scale).ok()
}

fn check_size(facts: &LoadFacts, span: Span, problems: &mut Diagnostics) {
    let search = facts.search.as_ref().and_then(|it| it.plan.as_ref());
    let longest = search.map_or(Duration::ZERO, Search::longest);
    let length = facts.length();
    if length.is_some_and(|length| length.saturating_add(longest) > MAX_LENGTH) {
        problems.add(
            codes::LOAD_TOO_LARGE
                .at(span, "the load is longer than 24 h")
                .help("shorten the stages"),
        );
    }
    let all: Vec<usize> = (0..facts.stages.as_ref().map_or(0, Vec::len)).collect();
    let searched = search.map_or(0.0, Search::journeys_max);
    let journeys = facts.journeys_in(&all).map(|planned| planned + searched);
    if let Some(journeys) = journeys.filter(|journeys| *journeys > MAX_JOURNEYS) {
        let problem = codes::LOAD_TOO_LARGE.at(
            span,
            format!("the load has {journeys:.0} journeys; at most 100 million are possible"),
        );
        problems.add(problem.help("lower the rates or shorten the stages"));
    }
}
