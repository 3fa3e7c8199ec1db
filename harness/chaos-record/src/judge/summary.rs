//! Stages and series in figures.
//!
//! Invariant: nothing is judged here; counts and quantiles cover the same seconds.

use std::ops::Range;

use super::generator::{achieved, judged_stages};
use crate::facts::{Facts, cells_of_seconds, ns};
use crate::outcome::Counts;
use crate::quantile;
use crate::verdict::{SeriesSummary, StageSummary};

/// Every stage, all requests together.
pub(super) fn stages(facts: &Facts<'_>) -> Vec<StageSummary> {
    facts
        .plan
        .load
        .stages
        .iter()
        .enumerate()
        .map(|(number, stage)| {
            let counts = facts.requests(&facts.stage_cells(number)).counts;
            let seconds = facts.stage_seconds(number);
            let answers = facts.responses(None, &seconds);
            let bad = facts.requests(&cells_of_seconds(&seconds)).counts.bad();
            let (offered, achieved) = achieved(facts, number);
            let sent = counts.ok + counts.failed_total() + counts.shed;
            StageSummary {
                name: stage.name.clone(),
                start: ns(stage.start),
                end: ns(stage.end()),
                offered,
                achieved,
                p50: quantile::response(&answers, bad, 500),
                p95: quantile::response(&answers, bad, 50),
                p99: quantile::response(&answers, bad, 10),
                late: if sent == 0 {
                    0.0
                } else {
                    counts.late as f64 / sent as f64
                },
                counts,
            }
        })
        .collect()
}

/// Every journey and its steps, over the judged stages.
pub(super) fn series(facts: &Facts<'_>) -> Vec<SeriesSummary> {
    let stages: Vec<usize> = judged_stages(facts).into_iter().collect();
    let cells: Vec<Range<u64>> = stages
        .iter()
        .map(|stage| facts.stage_cells(*stage))
        .collect();
    let seconds: Vec<Range<u64>> = stages
        .iter()
        .map(|stage| facts.stage_seconds(*stage))
        .collect();
    facts
        .record
        .series
        .iter()
        .map(|(number, series)| {
            let journey = &facts.plan.load.journeys[series.journey];
            let mut counts = Counts::default();
            for cells in &cells {
                counts.merge(&facts.series(number, cells).counts);
            }
            let mut answers = crate::histogram::new_histogram();
            let mut bad = 0;
            for seconds in &seconds {
                answers
                    .add(facts.responses(Some(number), seconds))
                    .expect("all histograms share one layout");
                bad += facts
                    .series(number, &cells_of_seconds(seconds))
                    .counts
                    .bad();
            }
            SeriesSummary {
                journey: journey.name.clone(),
                step: series.step.map(|step| journey.steps[step].name.clone()),
                counts,
                p50: quantile::response(&answers, bad, 500),
                p95: quantile::response(&answers, bad, 50),
                p99: quantile::response(&answers, bad, 10),
                max: (!answers.is_empty()).then(|| answers.max() * 1_000),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run};

    #[test]
    fn stages_hold_all_requests_and_their_quantiles() {
        let record = Run::kill()
            .answer(|request| {
                Answer::Ok(if request.number % 10 == 0 {
                    90 * MS
                } else {
                    10 * MS
                })
            })
            .record();
        let facts = Facts::of(&record);
        let stages = stages(&facts);
        let total: u64 = stages.iter().map(|stage| stage.counts.total()).sum();
        assert_eq!(total, facts.planned.requests(0, u64::MAX));
        assert!(
            stages
                .iter()
                .all(|stage| stage.offered == stage.achieved && stage.offered > 0)
        );
        let near = |value: Option<u64>, ms: u64| {
            value.is_some_and(|value| value.abs_diff(ms * MS) < ms * MS / 500)
        };
        assert!(
            near(stages[1].p50, 10) && near(stages[1].p95, 90),
            "{:?}",
            stages[1]
        );
    }

    #[test]
    fn series_stand_in_the_order_of_the_table() {
        let record = Run::kill().record();
        let names: Vec<_> = series(&Facts::of(&record))
            .into_iter()
            .map(|row| (row.journey, row.step))
            .collect();
        let expected = [
            ("browse", None),
            ("browse", Some("list")),
            ("browse", Some("look")),
            ("buy", None),
            ("buy", Some("pay")),
        ];
        assert_eq!(
            names,
            expected.map(|(journey, step)| (journey.to_owned(), step.map(str::to_owned)))
        );
    }
}
