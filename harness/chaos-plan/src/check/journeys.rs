//! Journeys: which ones with which weight, and what each of them holds.
//!
//! Invariant: every slot of every request has a value when the request is sent: from a data list,
//! or from the answer to an earlier step.

use std::collections::{BTreeMap, BTreeSet};

use super::{Library, SourceFile, names, steps};
use crate::diagnostic::{Diagnostics, codes, quote};
use crate::file::journey as form;
use crate::file::located::{Located, Map, Optional};
use crate::file::scenario::Weight;
use crate::file::value::Row as FileRow;
use crate::file::{self};
use crate::plan::{Journey, Row};
use steps::Slots;

/// The journeys of a group, and what is known about them even if one is bad.
#[derive(Debug, Default)]
pub(super) struct Journeys {
    pub(super) plans: Option<Vec<Journey>>,
    /// Requests of one journey, on average and on average squared, by weight.
    pub(super) requests: Option<(f64, f64)>,
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
    let mut sums = Some((0.0, 0.0, 0.0));
    for (name, weight) in map.iter() {
        let weight = weight.get().map(|weight| weight.0);
        let found = journey(name, library, problems);
        let steps = found.as_ref().and_then(|found| found.steps);
        sums = sums
            .zip(weight.zip(steps))
            .map(|((total, mean, square), (weight, steps))| {
                (
                    total + weight,
                    mean + weight * steps,
                    square + weight * steps * steps,
                )
            });
        let plan = found
            .and_then(|found| found.plan)
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
    let requests = sums
        .filter(|(total, ..)| *total > 0.0)
        .map(|(total, mean, square)| (mean / total, square / total));
    Journeys { plans, requests }
}

/// One journey as far as it is known.
#[derive(Debug)]
pub(super) struct Found {
    plan: Option<Journey>,
    steps: Option<f64>,
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
    let mut found = read(&file, problems)?;
    // Reports and record call a journey what the scenario calls it.
    if let Some(plan) = &mut found.plan {
        plan.name.clone_from(text);
    }
    Some(found)
}

pub(super) fn read(file: &SourceFile, problems: &mut Diagnostics) -> Option<Found> {
    let (_, journey) = file::read::<form::Journey>(file, problems);
    let journey = journey?;
    names::version(&journey.version, problems);
    let name = names::name(&journey.name, "a journey", problems);
    let mut slots = Slots {
        lists: BTreeMap::new(),
        extracted: BTreeSet::new(),
    };
    let data = data(&journey.data, &mut slots, problems);
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
        Some(Journey {
            name: name?.to_owned(),
            weight: 0.0,
            data: data?,
            steps: plans?,
        })
    };
    Some(Found {
        plan: plan(),
        steps: steps.map(|steps| steps.len() as f64),
    })
}

type Lists = BTreeMap<String, Vec<Row>>;

fn data(
    data: &Optional<Map<form::DataList>>,
    slots: &mut Slots,
    problems: &mut Diagnostics,
) -> Option<Lists> {
    let Some(data) = data.given() else {
        return Some(Lists::new());
    };
    let mut lists = Some(Lists::new());
    for (name, list) in data.get()?.iter() {
        let Some(text) = names::name(name, "a data list", problems) else {
            continue;
        };
        let rows = list.get().map(|list| &list.0);
        slots.lists.insert(
            text.to_owned(),
            rows.and_then(|rows| fields(rows, text, problems)),
        );
        let rows: Option<Vec<Row>> = rows.and_then(|rows| {
            rows.iter()
                .map(|row| row.get().and_then(plan_row))
                .collect()
        });
        lists = lists.zip(rows).map(|(mut lists, rows)| {
            lists.insert(text.to_owned(), rows);
            lists
        });
    }
    lists
}

/// Names of the fields of every row, empty for plain rows; rows that differ from the first are reported.
fn fields(
    rows: &[Located<FileRow>],
    list: &str,
    problems: &mut Diagnostics,
) -> Option<BTreeSet<String>> {
    let first = names_of(rows.first()?.get()?)?;
    for row in rows {
        if let Some(names) = row.get().and_then(names_of).filter(|names| *names != first) {
            let what = |names: &BTreeSet<String>| {
                if names.is_empty() {
                    "a plain value".to_owned()
                } else {
                    format!(
                        "fields {}",
                        crate::diagnostic::list(names.iter().map(String::as_str))
                    )
                }
            };
            let problem = codes::MIXED_ROWS.at(
                row.span,
                format!(
                    "rows of {} differ: the first one has {}",
                    quote(list),
                    what(&first)
                ),
            );
            problems.add(
                problem
                    .label(format!("this one has {}", what(&names)))
                    .help("give every row the same fields"),
            );
        }
    }
    Some(first)
}

fn names_of(row: &FileRow) -> Option<BTreeSet<String>> {
    match row {
        FileRow::Value(_) => Some(BTreeSet::new()),
        FileRow::Fields(fields) => fields.iter().map(|(name, _)| name.get().cloned()).collect(),
    }
}

fn plan_row(row: &FileRow) -> Option<Row> {
    match row {
        FileRow::Value(text) => Some(Row::Value(text.clone())),
        FileRow::Fields(fields) => {
            let fields: Option<BTreeMap<String, String>> = fields
                .iter()
                .map(|(name, value)| Some((name.get()?.clone(), value.get()?.0.clone())))
                .collect();
            fields.map(Row::Fields)
        }
    }
}
