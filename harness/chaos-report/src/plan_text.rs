//! A plan in words, for `chaos plan`, and as YAML, for `plan.yaml`.
//!
//! Invariant: what stands here is read off the plan and off what the platform says it would do; a
//! dry run promises nothing else.

mod claims;

use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::{Fault, Level, Model, Moment, RestartPolicy, Search, Stage, Target, When};
use chaos_plan::schedule::Schedule;
use chaos_plan::units::duration_to_text;
use thiserror::Error;

use crate::clean::{clean, clean_all, redact};
use crate::columns::{columns, row};
use crate::view;
use crate::words;

/// Why a plan could not be written. The text completes "failed to ...".
#[derive(Debug, Error)]
pub enum PlanTextError {
    #[error("write the plan `{name}` as YAML")]
    Yaml {
        name: String,
        source: serde_saphyr::SerializeError,
    },
}

/// What a fault would do on the chosen platform, in words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FaultDetail {
    /// Name of the fault.
    pub fault: String,
    pub acts: Vec<String>,
    pub undo: Vec<String>,
    pub proof: Vec<String>,
    /// What the platform must be able to do.
    pub needs: Vec<String>,
}

/// The resolved plan as YAML; it reads back to the same plan.
pub fn plan_yaml(plan: &Plan) -> Result<String, PlanTextError> {
    serde_saphyr::to_string(plan).map_err(|source| PlanTextError::Yaml {
        name: plan.name.clone(),
        source,
    })
}

/// The whole plan for people: timeline, targets, claims, faults, safety.
pub fn plan_text(plan: &Plan, details: &[FaultDetail]) -> String {
    let mut lines = header(plan);
    section(
        &mut lines,
        "Timeline, from the start of the load",
        columns(2, &timeline(plan)),
    );
    let mut reached = target(plan);
    reached.extend(connections(plan));
    section(&mut lines, "Target", reached);
    section(&mut lines, "Claims", columns(2, &claims::rows(plan)));
    if !plan.faults.is_empty() {
        let faults = plan
            .faults
            .iter()
            .enumerate()
            .flat_map(|(i, fault)| fault_lines(plan, i, fault, details));
        section(&mut lines, "Faults", faults.collect());
    }
    section(&mut lines, "Safety", columns(2, &safety(plan)));
    lines.join("\n") + "\n"
}

fn section(lines: &mut Vec<String>, title: &str, content: Vec<String>) {
    lines.push(String::new());
    lines.push(title.to_owned());
    lines.extend(content);
}

fn header(plan: &Plan) -> Vec<String> {
    let scale = if plan.scale.is_scaled() {
        format!(
            "SCALED: times x {}, rates x {}",
            plan.scale.time, plan.scale.rate
        )
    } else {
        "as written".to_owned()
    };
    let mut lines = vec![
        clean(&plan.name),
        format!("  {}", clean(&plan.question)),
        format!(
            "  scenario {}, platform {}, seed {}, {scale}",
            redact(&clean(&plan.source.path)),
            view::platform(plan.platform),
            plan.seed
        ),
    ];
    lines.extend(
        plan.source
            .overrides
            .iter()
            .map(|set| format!("  set {}", redact(&clean(set)))),
    );
    lines
}

/// Stages and faults on one clock.
fn timeline(plan: &Plan) -> Vec<Vec<String>> {
    let mut entries: Vec<(Duration, Vec<String>)> = plan
        .load
        .stages
        .iter()
        .map(|stage| (stage.start, stage_row(stage)))
        .collect();
    entries.extend(
        plan.faults
            .iter()
            .enumerate()
            .map(|(i, fault)| (fault.when.latest(), fault_row(plan, i, fault))),
    );
    entries.extend(
        plan.load
            .search
            .iter()
            .map(|search| (search.start, search_row(search))),
    );
    // Stable: a stage that begins at the same instant stands before the fault.
    entries.sort_by_key(|(at, _)| *at);
    let (head, in_all) = match plan.load.model {
        Model::Open => {
            let expected = Schedule::new(plan).expected_until(plan.load.length());
            let before = match plan.load.search {
                Some(_) => "before the search",
                None => "in all",
            };
            let in_all = format!("about {} journeys {before}", claims::whole_count(expected));
            ("journeys/s", in_all)
        }
        Model::Closed { cycle: None } => (
            "users",
            "a journey begins when the one before has ended".to_owned(),
        ),
        Model::Closed { cycle: Some(cycle) } => (
            "users",
            format!(
                "each user begins a journey every {}",
                duration_to_text(cycle)
            ),
        ),
    };
    let mut rows = vec![row(["at", "what", "lasts", head])];
    rows.extend(entries.into_iter().map(|(_, row)| row));
    let end = match &plan.load.search {
        // The longest a search can take says little: every rest would have to be the longest.
        Some(search) => format!("< {}", clock(search.start + search.longest())),
        None => clock(plan.load.length()),
    };
    rows.push(row([&end, "end", "", &in_all]));
    rows
}

fn clock(at: Duration) -> String {
    words::clock(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
}

fn stage_row(stage: &Stage) -> Vec<String> {
    let level = match stage.level {
        Level::Rate { to, .. } if stage.is_constant() => to.to_string(),
        Level::Rate { from, to } => format!("{from} to {to}"),
        Level::Users { from, to } if from == to => words::counted(to.into(), "user"),
        Level::Users { from, to } => {
            format!("{from} to {}", words::counted(to.into(), "user"))
        }
    };
    row([
        &clock(stage.start),
        &format!("stage {}", clean(&stage.name)),
        &duration_to_text(stage.length),
        &level,
    ])
}

/// What the run itself decides on; its end is known only to be not later than the longest.
fn search_row(search: &Search) -> Vec<String> {
    row([
        &clock(search.start),
        &format!("search {}", clean(&search.name)),
        &format!("about {}", duration_to_text(search.usual())),
        &format!(
            "{} to {} x {}, to within {}; {} each; judged by the claims on latency and errors",
            search.from,
            search.to,
            search.factor,
            search.precision,
            duration_to_text(search.step)
        ),
    ])
}

fn fault_row(plan: &Plan, number: usize, fault: &Fault) -> Vec<String> {
    let what = format!(
        "fault {} {}: {}",
        words::letter(number),
        clean(&fault.name),
        view::inject(plan, &fault.inject)
    );
    let lasts = fault
        .lasts
        .map_or_else(|| "one shot".to_owned(), duration_to_text);
    let latest = match fault.when {
        When::At(_) => "",
        When::After { .. } | When::Key { .. } => "at the latest, see below",
    };
    row([&clock(fault.when.latest()), &what, &lasts, latest])
}

/// What the load says of its connections, if it says anything.
fn connections(plan: &Plan) -> Option<String> {
    let opened = plan.load.connections.map(|connections| {
        let many = words::counted(connections.into(), "connection");
        format!("{many} opened beforehand")
    });
    let streams = plan
        .load
        .streams
        .map(|streams| format!("up to {streams} HTTP/2 requests at once on each connection"));
    let said: Vec<String> = opened.into_iter().chain(streams).collect();
    (!said.is_empty()).then(|| format!("  {}", said.join(", ")))
}

fn target(plan: &Plan) -> Vec<String> {
    let description = match &plan.target {
        Target::Url(running) => {
            let words = view::running_target(running);
            return vec![format!("  {words} (runs already: load only)")];
        }
        Target::Deploy(description) => description,
    };
    let mut rows = vec![row([
        "service",
        "replicas",
        "calls",
        "ready when",
        "restart",
    ])];
    rows.extend(description.services.iter().map(|service| {
        let policy = match service.restart.policy {
            RestartPolicy::Always => "always",
            RestartPolicy::OnFailure => "on failure",
            RestartPolicy::Never => "never",
        };
        let calls = if service.calls.is_empty() {
            "-".to_owned()
        } else {
            clean_all(&service.calls).join(", ")
        };
        row([
            &clean(&service.name),
            &service.replicas.to_string(),
            &calls,
            &service.ready.path.as_ref().map_or_else(
                || "it takes a connection".to_owned(),
                |path| format!("GET {} answers 2xx", clean(path)),
            ),
            policy,
        ])
    }));
    let parts = description.parts.as_ref();
    let parts = parts.map_or_else(String::new, |parts| format!(" with parts {}", clean(parts)));
    let mut lines = vec![format!(
        "  {}{parts}, shoppers reach `{}`",
        clean(&description.name),
        clean(&description.entry)
    )];
    lines.extend(columns(2, &rows));
    lines
}

fn fault_lines(plan: &Plan, number: usize, fault: &Fault, details: &[FaultDetail]) -> Vec<String> {
    let mut rows = vec![
        row(["act", &view::inject(plan, &fault.inject)]),
        row(["when", &when(fault)]),
    ];
    if let Some(detail) = details.iter().find(|detail| detail.fault == fault.name) {
        for (label, texts) in [
            ("acts", &detail.acts),
            ("undo", &detail.undo),
            ("proof", &detail.proof),
            ("needs", &detail.needs),
        ] {
            rows.extend(
                texts
                    .iter()
                    .enumerate()
                    .map(|(i, text)| row([if i == 0 { label } else { "" }, &clean(text)])),
            );
        }
    }
    let mut lines = vec![format!(
        "  {} {} (line {})",
        words::letter(number),
        clean(&fault.name),
        fault.line
    )];
    lines.extend(columns(4, &rows));
    lines
}

fn when(fault: &Fault) -> String {
    let lasts = fault.lasts.map_or_else(String::new, |lasts| {
        format!(", for {}", duration_to_text(lasts))
    });
    match &fault.when {
        When::At(at) => format!("at {}{lasts}", clock(*at)),
        When::After {
            fault,
            moment,
            offset,
            or_by,
        } => {
            let moment = match moment {
                Moment::Effective => "is effective",
                Moment::Undone => "is undone",
                Moment::Recovered => "has recovered",
            };
            format!(
                "{} after {} {moment}, at {} at the latest{lasts}",
                duration_to_text(*offset),
                clean(fault),
                clock(*or_by)
            )
        }
        When::Key { or_by } => format!(
            "when the facilitator says so, at {} at the latest{lasts}",
            clock(*or_by)
        ),
    }
}

fn safety(plan: &Plan) -> Vec<Vec<String>> {
    let abort = plan.safety.abort_if.map_or_else(
        || "no limit set".to_owned(),
        |abort| {
            format!(
                "over {} of the requests are bad for {}",
                abort.errors,
                duration_to_text(abort.lasts)
            )
        },
    );
    let outage = if plan.safety.allow_outage.is_empty() {
        "of no service".to_owned()
    } else {
        clean_all(&plan.safety.allow_outage).join(", ")
    };
    vec![
        row(["abort if", &abort]),
        row([
            "most instances hit",
            &format!(
                "{} of a service, counting those already unhealthy",
                plan.safety.max_share
            ),
        ]),
        row(["outage allowed", &outage]),
    ]
}
