//! Journeys: which ones with which weight, and what each of them holds.
//!
//! Invariant: every slot of every request has a value when the request is sent: from a data list,
//! or from the answer to an earlier step.

mod data;

use std::collections::{BTreeMap, BTreeSet};

use super::{Library, SourceFile, names, steps};
use crate::diagnostic::{Diagnostics, codes, quote};
use crate::file::journey as form;
use crate::file::located::{Located, Map};
use crate::file::scenario::Weight;
use crate::file::{self};
use crate::plan::{Journey, Part};
use steps::Slots;

/// The journeys of a group, and what is known about them even if one is bad.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    pub(super) plans: Option<Vec<Journey>>,
    pub(super) facts: Option<Vec<JourneyFacts>>,
}

/// One journey of a group as far as it is known.
#[derive(Debug, Default)]
pub(super) struct JourneyFacts {
    /// Empty if it is bad.
    pub(super) name: String,
    weight: Option<f64>,
    pub(super) steps: Option<Vec<StepFacts>>,
}

/// One step of a journey as far as it is known.
#[derive(Debug, Default)]
pub(super) struct StepFacts {
    /// Empty if it is bad.
    pub(super) name: String,
    pub(super) acknowledges: bool,
}

/// Requests of one part in one journey, on average and on average squared, by weight.
pub(super) fn requests_in(journeys: &[JourneyFacts], part: Part) -> Option<(f64, f64)> {
    let (mut total, mut mean, mut square) = (0.0, 0.0, 0.0);
    for (index, journey) in journeys.iter().enumerate() {
        let weight = journey.weight?;
        let steps = (0..journey.steps.as_ref()?.len()).filter(|step| part.holds(index, *step));
        let steps = steps.count() as f64;
        total += weight;
        mean += weight * steps;
        square += weight * steps * steps;
    }
    (total > 0.0).then(|| (mean / total, square / total))
}

pub(super) fn resolve(
    weights: &Located<Map<Weight>>,
    library: &dyn Library,
    problems: &mut Diagnostics,
) -> Journeys {
    let Some(map) = weights.get() else {
        return Journeys::default();
    };
    let mut plans = Some(Vec::new());
    let mut facts = Vec::new();
    for (name, weight) in map.iter() {
        let weight = weight.get().map(|weight| weight.0);
        let found = journey(name, library, problems);
        let (plan, steps) = found.map_or((None, None), |found| (found.plan, found.steps));
        facts.push(JourneyFacts {
            name: name.get().cloned().unwrap_or_default(),
            weight,
            steps,
        });
        let plan = plan
            .zip(weight)
            .map(|(plan, weight)| Journey { weight, ..plan });
        plans = plans.zip(plan).map(|(mut plans, plan)| {
            plans.push(plan);
            plans
        });
    }
    let all_zero = map.len() > 0
        && map
            .iter()
            .all(|(_, weight)| weight.get().is_some_and(|weight| weight.0 <= 0.0));
    if all_zero {
        let problem = codes::ZERO_WEIGHTS.at(weights.span, "the weights of all journeys are zero");
        problems.add(problem.help("give at least one journey a weight above 0"));
    }
    Journeys {
        plans,
        facts: Some(facts),
    }
}

/// One journey as far as it is known.
#[derive(Debug)]
pub(super) struct Found {
    plan: Option<Journey>,
    steps: Option<Vec<StepFacts>>,
}

fn journey(
    name: &Located<String>,
    library: &dyn Library,
    problems: &mut Diagnostics,
) -> Option<Found> {
    let text = name.get()?;
    let Some(file) = library.journey(text) else {
        let known = library.journeys();
        let problem = codes::UNKNOWN_JOURNEY
            .at(name.span, format!("no journey is named {}", quote(text)))
            .label("not known");
        problems.add(problem.choices(text, "known journeys", known.iter().map(String::as_str)));
        return None;
    };
    let mut found = read(&file, library, problems)?;
    // Reports and record call a journey what the scenario calls it.
    if let Some(plan) = &mut found.plan {
        plan.name.clone_from(text);
    }
    Some(found)
}

pub(super) fn read(
    file: &SourceFile,
    library: &dyn Library,
    problems: &mut Diagnostics,
) -> Option<Found> {
    let (_, journey) = file::read::<form::Journey>(file, problems);
    let journey = journey?;
    names::version(&journey.version, problems);
    let name = names::name(&journey.name, "a journey", problems);
    let mut slots = Slots {
        lists: BTreeMap::new(),
        extracted: BTreeSet::new(),
    };
    let data = data::resolve(&journey.data, (file, library), &mut slots, problems);
    let steps = journey.steps.get();
    if let Some(steps) = steps {
        names::distinct(
            steps.iter().filter_map(Located::get).map(|step| &step.name),
            "steps",
            problems,
        );
    }
    let plans = steps.and_then(|steps| {
        let plans: Vec<_> = steps
            .iter()
            .map(|step| {
                step.get()
                    .and_then(|step| steps::resolve(step, &mut slots, problems))
            })
            .collect();
        plans.into_iter().collect()
    });
    let plan = || {
        let data = data?;
        Some(Journey {
            name: name?.to_owned(),
            weight: 0.0,
            data: data.rows,
            popularity: data.popularity,
            steps: plans?,
        })
    };
    Some(Found {
        plan: plan(),
        steps: steps.map(|steps| steps.iter().map(step_facts).collect()),
    })
}

fn step_facts(step: &Located<form::Step>) -> StepFacts {
    step.get()
        .map_or_else(StepFacts::default, |step| StepFacts {
            name: step.name.get().cloned().unwrap_or_default(),
            acknowledges: step.acknowledges.given().is_some(),
        })
}
