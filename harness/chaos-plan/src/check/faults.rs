//! Faults: what is broken when, and whether the run could show anything by it.
//!
//! Invariant: each fault of a plan names instances that exist, begins inside the load with a
//! reference before it and time after it, and waits for no circle.

use std::time::Duration;

use super::load::{LoadFacts, scaled};
use super::moments;
use super::names::Unknown;
use super::radius::{self, Hit};
use super::target::Reach;
use super::{Options, claims, inject, names};
use crate::diagnostic::{Diagnostics, SourceFile, Span, codes, quote};
use crate::file::format::After;
use crate::file::located::Located;
use crate::file::scenario::{self, Scenario};
use crate::plan::{Claim, Expect, Fault, Inject, Moment, PlatformName, Safety, When};
use crate::units::duration_to_text;

/// Least stretch after a fault when no recovery is claimed.
const LEAST_AFTER: Duration = Duration::from_secs(5);

/// What faults are checked against.
pub(super) struct Setting<'a> {
    pub(super) reach: &'a Reach,
    pub(super) load: &'a LoadFacts,
    pub(super) safety: Option<&'a Safety>,
    pub(super) claims: Option<&'a [Claim]>,
    pub(super) options: &'a Options,
    pub(super) platform: PlatformName,
}

impl Setting<'_> {
    /// What must follow the end of a fault: the longest recovery claimed, and steady load after it.
    fn time_after(&self) -> Option<Duration> {
        let needs = self.claims?.iter().filter_map(|claim| match &claim.expect {
            Expect::Recovery { within, steady_for } => Some(*within + *steady_for),
            _ => None,
        });
        Some(needs.max().unwrap_or(LEAST_AFTER))
    }

    pub(super) fn is_scaled(&self) -> bool {
        self.options.is_time_scaled()
    }
}

/// One fault as far as it is known.
struct Draft<'a> {
    given: &'a scenario::Fault,
    span: Span,
    /// `None` for a one-shot fault.
    lasts: Result<Option<Duration>, Unknown>,
    inject: Option<Inject>,
    at: Option<Duration>,
    or_by: Option<Duration>,
    /// The fault it waits for.
    waits_for: Option<usize>,
}

pub(super) fn resolve(
    scenario: &Scenario,
    setting: &Setting<'_>,
    problems: &mut Diagnostics,
) -> Option<Vec<Fault>> {
    let Some(faults) = scenario.faults.given() else {
        return Some(Vec::new());
    };
    let faults = faults.get()?;
    let first = faults.first().and_then(Located::get);
    if let (Some(first), true) = (first, setting.reach.is_url) {
        let problem = codes::FAULT_ON_URL
            .at(first.inject.span, "faults need a target that chaos deploys")
            .label("nothing here can be broken");
        problems.add(problem.help("use `app:` with a target description, or leave the faults out"));
    }
    names::distinct(
        faults
            .iter()
            .filter_map(Located::get)
            .map(|fault| &fault.name),
        "faults",
        problems,
    );
    let all_names: Vec<&str> = faults
        .iter()
        .map(|fault| {
            fault
                .get()
                .and_then(|fault| fault.name.get())
                .map_or("", String::as_str)
        })
        .collect();
    let drafts: Vec<Option<Draft<'_>>> = faults
        .iter()
        .map(|fault| draft(fault, &all_names, setting, problems))
        .collect();
    check_waits(&drafts, setting, problems);
    check_radius(&drafts, setting, problems);
    drafts
        .iter()
        .map(|draft| finish(draft.as_ref()?, setting, &problems.files))
        .collect()
}

fn draft<'a>(
    located: &'a Located<scenario::Fault>,
    all_names: &[&str],
    setting: &Setting<'_>,
    problems: &mut Diagnostics,
) -> Option<Draft<'a>> {
    let given = located.get()?;
    names::name(&given.name, "a fault", problems);
    let inject = given
        .inject
        .get()
        .map(|given| inject::planned(given, setting.reach, problems));
    if let Some(Some(planned)) = &inject {
        let on = (setting.platform, setting.reach);
        inject::check_platform(planned, on, given.inject.span, problems);
    }
    let lasts = lasts(given, problems);
    let scale = setting.options.time_scale;
    let at = given
        .at
        .given()
        .and_then(|at| moments::resolve(at, setting.load, scale, problems));
    let or_by = given
        .or_by
        .given()
        .and_then(|or_by| moments::resolve(or_by, setting.load, scale, problems));
    let waits_for = given.after.given().and_then(|after| {
        moments::position(&after.get()?.0.fault, after.span, all_names, problems)
    });
    check_or_by(given, problems);
    let latest = at
        .zip(given.at.given().map(|at| at.span))
        .or_else(|| or_by.zip(given.or_by.given().map(|or_by| or_by.span)));
    if let Some((latest, span)) = latest {
        moments::check_reference(latest, span, setting, problems);
        if let (Ok(lasts), Some(after)) = (lasts, setting.time_after()) {
            moments::check_time_after(
                latest + lasts.unwrap_or_default(),
                after,
                span,
                setting,
                problems,
            );
        }
    }
    Some(Draft {
        given,
        span: located.span,
        lasts,
        inject: inject.flatten(),
        at,
        or_by,
        waits_for,
    })
}

fn lasts(fault: &scenario::Fault, problems: &mut Diagnostics) -> Result<Option<Duration>, Unknown> {
    let inject = fault.inject.get().ok_or(Unknown)?;
    let (kind, one_shot) = (inject.kind(), inject::one_shot(inject));
    match (one_shot, fault.lasts.given()) {
        (Some(_), None) => Ok(None),
        (Some(why), Some(lasts)) => {
            let problem = codes::HAS_NO_LENGTH
                .at(lasts.span, format!("`{kind}` has no length"))
                .label("nothing to wait for");
            problems.add(problem.help(format!("leave `for` out: {why}")));
            Err(Unknown)
        }
        (None, Some(lasts)) => moments::length(lasts, problems).map(Some).ok_or(Unknown),
        (None, None) => {
            let problem = codes::NEEDS_LENGTH
                .at(fault.inject.span, format!("`{kind}` needs a length"))
                .label("ends when?");
            problems.add(problem.help("add `for: 10s` beside `inject`"));
            Err(Unknown)
        }
    }
}

fn check_or_by(fault: &scenario::Fault, problems: &mut Diagnostics) {
    let after = fault.after.given().map(|after| (after.span, "after"));
    let waits = after.or_else(|| Some((fault.when.given()?.span, "when")));
    match (waits, fault.or_by.given()) {
        (Some((span, key)), None) => {
            let problem = codes::OR_BY
                .at(span, format!("`{key}` needs `or_by`"))
                .label("and if that never happens?");
            problems.add(
                problem
                    .help("add `or_by: STAGE + 30s`: not begun by then, the run is inconclusive"),
            );
        }
        (None, Some(or_by)) if fault.at.given().is_some() => {
            let problem = codes::OR_BY.at(
                or_by.span,
                "`or_by` goes with `after` and `when`, not with `at`",
            );
            problems.add(problem.help("leave `or_by` out"));
        }
        _ => {}
    }
}

/// Circles, moments that never come, and `or_by` before the fault could begin.
fn check_waits(drafts: &[Option<Draft<'_>>], setting: &Setting<'_>, problems: &mut Diagnostics) {
    for (index, draft) in drafts.iter().enumerate() {
        let Some(draft) = draft else { continue };
        let (Some(after), Some(other)) = (draft.given.after.given(), draft.waits_for) else {
            continue;
        };
        let Some(Some(before)) = drafts.get(other) else {
            continue;
        };
        let Some(moment) = after.get().map(|after| &after.0) else {
            continue;
        };
        if is_circle(index, drafts) {
            let problem = codes::CYCLE
                .at(after.span, "faults wait for each other in a circle")
                .label("comes back to this fault");
            problems.add(problem.help("let one of them begin `at:` an instant of the load"));
            continue;
        }
        if moment.moment == Moment::Undone && before.lasts == Ok(None) {
            let problem = codes::NEVER_UNDONE.at(
                after.span,
                format!(
                    "{} is one-shot, so it is never undone",
                    quote(&moment.fault)
                ),
            );
            problems.add(problem.help(format!(
                "wait for `{0}.effective` or `{0}.recovered`",
                moment.fault
            )));
            continue;
        }
        if let (Some(earliest), Some(or_by), Some(given)) = (
            earliest(index, drafts, setting, drafts.len()),
            draft.or_by,
            draft.given.or_by.given(),
        ) && earliest > or_by
        {
            let problem = codes::OR_BY.at(
                given.span,
                format!(
                    "the fault cannot begin before {}",
                    duration_to_text(earliest)
                ),
            );
            problems.add(
                problem
                    .label(format!("this is {}", duration_to_text(or_by)))
                    .help("move `or_by` later, or the other fault earlier"),
            );
        }
    }
}

/// Whether following the waits from a fault leads back to it.
fn is_circle(start: usize, drafts: &[Option<Draft<'_>>]) -> bool {
    let next = |index: usize| drafts.get(index)?.as_ref()?.waits_for;
    std::iter::successors(next(start), |index| next(*index))
        .take(drafts.len())
        .any(|index| index == start)
}

/// The earliest instant at which a fault may begin; `depth` bounds the chain.
fn earliest(
    index: usize,
    drafts: &[Option<Draft<'_>>],
    setting: &Setting<'_>,
    depth: usize,
) -> Option<Duration> {
    let draft = drafts.get(index)?.as_ref()?;
    let Some(other) = draft.waits_for else {
        return draft.at;
    };
    let before = earliest(other, drafts, setting, depth.checked_sub(1)?)?;
    let After { moment, offset, .. } = &draft.given.after.get()?.0;
    let offset = scaled(*offset, setting.options.time_scale)?;
    let length = drafts.get(other)?.as_ref()?.lasts.ok()?.unwrap_or_default();
    let reached = if *moment == Moment::Effective {
        before
    } else {
        before + length
    };
    Some(reached + offset)
}

fn check_radius(drafts: &[Option<Draft<'_>>], setting: &Setting<'_>, problems: &mut Diagnostics) {
    let hits = drafts.iter().flatten().filter_map(|draft| {
        let inject = draft.inject.as_ref()?;
        let span = service_span(draft.given)?;
        let role = setting.reach.role(&inject.targets().service)?;
        let when = draft
            .at
            .zip(draft.lasts.ok())
            .map(|(at, lasts)| (at, lasts.map(|lasts| at + lasts)));
        Some(Hit {
            role,
            inject,
            span,
            when,
        })
    });
    let alone: Vec<Hit<'_>> = hits
        .filter(|hit| radius::check_one(hit, setting.safety, problems))
        .collect();
    radius::check_together(&alone, setting.safety, problems);
}

fn service_span(fault: &scenario::Fault) -> Option<Span> {
    Some(fault.inject.get()?.service().span)
}

fn finish(draft: &Draft<'_>, setting: &Setting<'_>, files: &[SourceFile]) -> Option<Fault> {
    let when = match draft.given.after.given() {
        None if draft.given.when.given().is_some() => When::Key {
            or_by: draft.or_by?,
        },
        None => When::At(draft.at?),
        Some(after) => {
            let After {
                fault,
                moment,
                offset,
            } = after.get()?.0.clone();
            When::After {
                fault,
                moment,
                offset: scaled(offset, setting.options.time_scale)?,
                or_by: draft.or_by?,
            }
        }
    };
    Some(Fault {
        name: draft.given.name.get()?.clone(),
        when,
        lasts: draft.lasts.ok()?,
        inject: draft.inject.clone()?,
        line: claims::line(draft.span, files),
    })
}
