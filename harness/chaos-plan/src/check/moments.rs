//! When faults begin: instants of the load, and moments that only the run will know.
//!
//! Invariant: a fault that passes here has at least [`REFERENCE`] of constant load before it in
//! its stage and time enough after it, at the latest instant at which it may begin.

use std::time::Duration;

use super::faults::Setting;
use super::load::{LoadFacts, StageFacts, scaled};
use super::names;
use crate::diagnostic::{Diagnostics, Span, codes, quote};
use crate::file::format::{Instant, Text};
use crate::file::located::Located;
use crate::units::duration_to_text;

/// Least stretch before a fault that later stretches are compared with.
pub(super) const REFERENCE: Duration = Duration::from_secs(5);

/// The instant of the load that a text means; reported if there is none.
pub(super) fn resolve(
    text: &Located<Text<Instant>>,
    load: &LoadFacts,
    time_scale: f64,
    problems: &mut Diagnostics,
) -> Option<Duration> {
    let instant = &text.get()?.0;
    let offset = scaled(instant.offset, time_scale)?;
    let Some(name) = &instant.stage else {
        let length = load.length()?;
        if offset >= length {
            let message = format!(
                "{} is not before the end of the load at {}",
                quote(&duration_to_text(offset)),
                duration_to_text(length)
            );
            problems.add(
                codes::OUTSIDE_LOAD
                    .at(text.span, message)
                    .help("move it earlier, or lengthen a stage"),
            );
            return None;
        }
        return Some(offset);
    };
    if let Some(search) = load.search.as_ref().filter(|search| search.name == *name) {
        let problem = codes::SEARCH.at(text.span, "a fault cannot begin during a search");
        problems.add(
            problem
                .label("the search could not tell the rate from the fault")
                .related(search.span, "the search is here")
                .help("let the fault begin in a stage before the search"),
        );
        return None;
    }
    let stage = stage(name, text.span, load, problems)?;
    let length = stage.length?;
    if offset >= length {
        let message = format!(
            "stage {} is only {} long",
            quote(name),
            duration_to_text(length)
        );
        problems.add(
            codes::OUTSIDE_LOAD
                .at(text.span, message)
                .label("after its end")
                .help("move the fault earlier, or name a later stage"),
        );
        return None;
    }
    Some(stage.start? + offset)
}

fn stage<'a>(
    name: &str,
    span: Span,
    load: &'a LoadFacts,
    problems: &mut Diagnostics,
) -> Option<&'a StageFacts> {
    let stages = load.stages.as_ref()?;
    let found = stages.iter().find(|stage| stage.name == name);
    if found.is_none() {
        let problem = codes::UNKNOWN_STAGE
            .at(span, format!("no stage is named {}", quote(name)))
            .label("not known");
        problems.add(problem.choices(
            name,
            "known stages",
            stages.iter().map(|stage| stage.name.as_str()),
        ));
    }
    found
}

/// Reports a fault that has nothing before it to compare with.
pub(super) fn check_reference(
    at: Duration,
    span: Span,
    setting: &Setting<'_>,
    problems: &mut Diagnostics,
) {
    let is_scaled = setting.is_scaled();
    let Some(stages) = &setting.load.stages else {
        return;
    };
    let within = |stage: &&StageFacts| {
        stage.start.is_some_and(|start| start <= at) && stage.end().is_some_and(|end| at < end)
    };
    let Some(stage) = stages.iter().find(within) else {
        return;
    };
    let (Some(start), Some(is_constant)) = (stage.start, stage.is_constant()) else {
        return;
    };
    let least = duration_to_text(REFERENCE);
    if !is_constant {
        let problem = codes::NO_REFERENCE.at(
            span,
            format!(
                "the rate changes in stage {}, so there is nothing to compare with",
                quote(&stage.name)
            ),
        );
        problems.add(problem.label("begins here").help(format!(
            "let the fault begin at least {least} into a stage of constant rate"
        )));
    } else if at.saturating_sub(start) < REFERENCE {
        let scale = if is_scaled { " at this time scale" } else { "" };
        let problem = codes::NO_REFERENCE.at(
            span,
            format!(
                "only {} of stage {} lie before the fault{scale}",
                duration_to_text(at.saturating_sub(start)),
                quote(&stage.name)
            ),
        );
        let earlier = if is_scaled {
            ", or use a larger `--time-scale`"
        } else {
            ""
        };
        problems.add(problem.label(format!("{least} are needed")).help(format!(
            "let it begin at least {least} into the stage{earlier}"
        )));
    }
}

/// Reports a fault whose recovery could not be seen; `after` is what must follow its end.
pub(super) fn check_time_after(
    end: Duration,
    after: Duration,
    span: Span,
    setting: &Setting<'_>,
    problems: &mut Diagnostics,
) {
    let Some(length) = setting.load.length() else {
        return;
    };
    if end + after > length {
        let left = duration_to_text(length.saturating_sub(end));
        let problem = codes::NO_TIME_AFTER.at(
            span,
            format!(
                "the load ends {left} after the fault; {} are needed to see the recovery",
                duration_to_text(after)
            ),
        );
        let longer = if setting.is_scaled() {
            "use a larger `--time-scale`"
        } else {
            "lengthen the last stage"
        };
        problems.add(problem.help(format!("let the fault begin or end earlier, or {longer}")));
    }
}

/// The position of the fault a name means.
pub(super) fn position(
    name: &str,
    span: Span,
    faults: &[&str],
    problems: &mut Diagnostics,
) -> Option<usize> {
    let found = faults.iter().position(|fault| *fault == name);
    if found.is_none() {
        let problem = codes::UNKNOWN_FAULT
            .at(span, format!("no fault is named {}", quote(name)))
            .label("not known");
        problems.add(problem.choices(name, "known faults", faults.iter().copied()));
    }
    found
}

/// A length that must be there and longer than zero.
pub(super) fn length(
    lasts: &Located<Text<Duration>>,
    problems: &mut Diagnostics,
) -> Option<Duration> {
    names::positive(lasts, "a fault", problems)
}
