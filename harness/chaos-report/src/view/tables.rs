//! The tables of stages, journeys and steps.
//!
//! Invariant: rows stand in the order of the plan; a journey's steps follow it.

use chaos_record::verdict::{SeriesSummary, StageSummary, Verdict};
use serde::Serialize;

use super::Story;
use crate::clean::clean;
use crate::words;

/// Text for a quantile that lies among requests without an answer.
const NO_ANSWER: &str = "no answer";

/// One stage, all requests together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageRow {
    pub name: String,
    /// Whether any claim is judged on it.
    pub judged: bool,
    pub from: String,
    pub length: String,
    pub offered: String,
    pub achieved: String,
    pub requests: String,
    pub bad: String,
    pub p50: String,
    pub p95: String,
    pub p99: String,
    pub late: String,
}

/// One journey as a whole, or one of its steps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeriesRow {
    pub name: String,
    pub is_step: bool,
    pub requests: String,
    pub bad: String,
    /// Whether anything is bad.
    pub any_bad: bool,
    pub p50: String,
    pub p95: String,
    pub p99: String,
    pub max: String,
}

pub(super) fn stages(story: &Story<'_>) -> Vec<StageRow> {
    let judged = story.plan().judged_stages();
    story
        .verdict
        .stages
        .iter()
        .enumerate()
        .map(|(i, summary)| stage(summary, judged.contains(&i)))
        .collect()
}

fn stage(stage: &StageSummary, judged: bool) -> StageRow {
    let length = stage.end.saturating_sub(stage.start);
    let quantile = |ns| quantile(ns, stage.counts.judged());
    StageRow {
        name: clean(&stage.name),
        judged,
        from: words::clock_seconds(stage.start),
        length: words::duration(length),
        offered: per_second(stage.offered, length),
        achieved: words::percent_of(stage.achieved, stage.offered),
        requests: words::count(stage.counts.judged()),
        bad: words::percent_of(stage.counts.bad(), stage.counts.judged()),
        p50: quantile(stage.p50),
        p95: quantile(stage.p95),
        p99: quantile(stage.p99),
        late: words::percent(stage.late),
    }
}

fn per_second(count: u64, length_ns: u64) -> String {
    if length_ns == 0 {
        "-".to_owned()
    } else {
        words::rate(count as f64 * 1e9 / length_ns as f64)
    }
}

fn quantile(ns: Option<u64>, judged: u64) -> String {
    words::duration_or(ns, if judged == 0 { "-" } else { NO_ANSWER })
}

pub(super) fn series(verdict: &Verdict) -> Vec<SeriesRow> {
    verdict.series.iter().map(one_series).collect()
}

fn one_series(series: &SeriesSummary) -> SeriesRow {
    let judged = series.counts.judged();
    SeriesRow {
        name: clean(series.step.as_ref().unwrap_or(&series.journey)),
        is_step: series.step.is_some(),
        requests: words::count(judged),
        bad: words::percent_of(series.counts.bad(), judged),
        any_bad: series.counts.bad() > 0,
        p50: quantile(series.p50, judged),
        p95: quantile(series.p95, judged),
        p99: quantile(series.p99, judged),
        max: words::duration_or(series.max, "-"),
    }
}
