//! Whether the numbers can be believed: the generator, conservation, clean-up; and failures by kind.
//!
//! Invariant: every line of evidence says what was measured, what it was measured against and
//! whether that is good enough.

mod watched;

use chaos_record::outcome::{Counts, FailKind};
use chaos_record::verdict::{
    ACHIEVED_MIN_PERCENT, Cleanup, Conservation, GeneratorHealth, LATE_MAX_PERCENT, StageSummary,
    Verdict,
};
use serde::Serialize;

use super::{Mark, Tone};
use crate::clean::{clean, clean_composed};
use crate::words;

/// One check on the run itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Evidence {
    pub mark: Mark,
    pub what: String,
    pub measured: String,
    /// What it must be.
    pub limit: String,
}

/// How many requests ended in one way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailureRow {
    pub kind: String,
    pub count: String,
    pub share: String,
}

fn line(good: Option<bool>, what: &str, measured: String, limit: &str) -> Evidence {
    let mark = match good {
        Some(true) => Mark::new(Tone::Good, "good"),
        Some(false) => Mark::new(Tone::Bad, "bad"),
        None => Mark::new(Tone::Plain, "for information"),
    };
    Evidence {
        mark,
        what: what.to_owned(),
        measured,
        limit: limit.to_owned(),
    }
}

pub(super) fn evidence(verdict: &Verdict) -> Vec<Evidence> {
    let mut lines = generator(&verdict.generator, &verdict.stages);
    lines.extend(watched::lines(&verdict.generator));
    lines.extend(conservation(&verdict.conservation));
    lines.push(cleanup(&verdict.cleanup));
    lines
}

fn generator(generator: &GeneratorHealth, stages: &[StageSummary]) -> Vec<Evidence> {
    let late = stages.iter().map(|stage| stage.late).fold(0.0, f64::max);
    let achieved = stages
        .iter()
        .filter(|stage| stage.offered > 0)
        .map(|stage| stage.achieved as f64 / stage.offered as f64)
        .fold(1.0, f64::min);
    let budget = words::duration(generator.lag_budget);
    let known = !stages.is_empty();
    vec![
        line(
            Some(generator.healthy),
            "Generator",
            if generator.healthy {
                "kept pace"
            } else {
                "fell behind"
            }
            .to_owned(),
            "keeps pace in every judged stage",
        ),
        line(
            known.then_some(late * 100.0 <= f64::from(LATE_MAX_PERCENT)),
            "Sent late, worst stage",
            words::percent(late),
            &format!("at most {LATE_MAX_PERCENT} % later than {budget}"),
        ),
        line(
            known.then_some(achieved * 100.0 >= f64::from(ACHIEVED_MIN_PERCENT)),
            "Achieved of offered, worst stage",
            words::percent(achieved),
            &format!("at least {ACHIEVED_MIN_PERCENT} %"),
        ),
        line(
            None,
            "Lag p50, p99, max",
            lag(generator),
            &format!("late from {budget}"),
        ),
        line(
            None,
            "CPU of the workers",
            words::percent(generator.cpu),
            &format!("of {} cores", generator.workers),
        ),
        line(
            None,
            "Connections at once, most",
            words::count(generator.connections_max),
            "",
        ),
    ]
}

fn lag(generator: &GeneratorHealth) -> String {
    [generator.lag_p50, generator.lag_p99, generator.lag_max]
        .map(|ns| words::duration_or(ns, "not known"))
        .join(", ")
}

fn conservation(conservation: &Conservation) -> [Evidence; 2] {
    let accounted = |counts: &Counts, planned| {
        format!(
            "{} of {} planned",
            words::count(counts.total()),
            words::count(planned)
        )
    };
    let exact = Some(conservation.exact);
    [
        line(
            exact,
            "Journeys accounted for",
            accounted(&conservation.journeys, conservation.planned_journeys),
            "exact",
        ),
        line(
            exact,
            "Requests accounted for",
            accounted(&conservation.requests, conservation.planned_requests),
            "exact",
        ),
    ]
}

fn cleanup(cleanup: &Cleanup) -> Evidence {
    let left = if cleanup.left.is_empty() {
        String::new()
    } else {
        format!(": {}", clean(&cleanup.left.join(", ")))
    };
    let measured = if cleanup.verified {
        "verified".to_owned()
    } else {
        format!("not verified{left}")
    };
    line(
        Some(cleanup.verified),
        "Clean-up",
        measured,
        "nothing is left behind",
    )
}

/// All complaints about the evidence, and what is not wrong yet, in words.
pub(super) fn complaints(verdict: &Verdict) -> Vec<String> {
    let complaints = verdict
        .generator
        .complaints
        .iter()
        .chain(&verdict.conservation.differences)
        .chain(&verdict.generator.warnings);
    complaints
        .map(|complaint| clean_composed(complaint))
        .collect()
}

/// Everything that did not end as expected, most frequent first.
pub(super) fn failures(verdict: &Verdict) -> Vec<FailureRow> {
    let requests = &verdict.conservation.requests;
    let mut kinds: Vec<(&str, u64)> = FailKind::ALL
        .into_iter()
        .zip(requests.failed)
        .map(|(kind, n)| (kind.words(), n))
        .collect();
    kinds.extend([
        ("never sent: an earlier step failed", requests.not_reached),
        ("given up: patience was over", requests.shed),
        (
            "cut off by the end of the run (not judged)",
            requests.cancelled,
        ),
    ]);
    kinds.retain(|(_, n)| *n > 0);
    // The sort is stable: equal counts stay in the order of the kinds.
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let row = |(kind, n): (&str, u64)| FailureRow {
        kind: kind.to_owned(),
        count: words::count(n),
        share: words::percent_of(n, requests.total()),
    };
    kinds.into_iter().map(row).collect()
}
