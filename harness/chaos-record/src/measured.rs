//! What was measured over some stages, all requests together, whether or not anything is claimed.
//!
//! Invariant: nothing is judged here. A failure is infinitely slow and so never improves a
//! percentile; what was not observed is absent, never 0. Durations are nanoseconds.

use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::SECOND_NS;
use crate::event::Event;
use crate::facts::{Facts, cells_of_seconds, ns};
use crate::histogram::new_histogram;
use crate::judge::generator::achieved;
use crate::outcome::{Counts, FailKind, Failures, all_zero, sparse};
use crate::quantile;
use crate::record::Record;

/// All requests intended in some stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// How long load was offered in these stages.
    pub length: u64,
    /// Journeys the schedule holds; in a closed model without a cycle those begun.
    pub offered: u64,
    /// Of these, sent before their stage was over.
    pub achieved: u64,
    pub counts: Counts,
    /// Answers as expected a second, over `length`; in a closed model without a cycle those that came
    /// within it.
    pub good_per_second: f64,
    /// Percentiles over all requests, failures as infinitely slow: from the intended instant, or in
    /// a closed model without a cycle of the service time.
    pub all: Spread,
    /// The same over answers as expected alone.
    pub successful: Spread,
    /// The clocks of whatever was sent, failed or not: dispatched after intended,
    pub lag: Spread,
    /// written after dispatched,
    pub wait: Spread,
    /// first byte after written,
    pub first_byte: Spread,
    /// last byte after written.
    pub service: Spread,
    /// Answers as expected by how long they took, ascending, without gaps.
    pub buckets: Vec<Bucket>,
    /// Connections opened over the whole load; absent if not every worker gave an account.
    pub connections_opened: Option<u64>,
    /// Most connections open at once, added up over the workers; absent likewise.
    pub connections_max: Option<u64>,
    /// Attempts to open a connection that is to be kept, over the whole load, that failed, by kind.
    #[serde(default, skip_serializing_if = "all_zero", with = "sparse")]
    #[schemars(with = "std::collections::BTreeMap<FailKind, u64>")]
    pub connections_failed: Failures,
}

/// Percentiles; absent where they are infinite or nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spread {
    pub p50: Option<u64>,
    pub p75: Option<u64>,
    pub p90: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
    #[serde(rename = "p99.9")]
    pub p999: Option<u64>,
    pub max: Option<u64>,
}

/// Answers that took longer than the bucket before and at most `up_to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bucket {
    pub up_to: u64,
    pub count: u64,
}

impl Spread {
    /// With `bad` requests that never got what was expected.
    fn of(answers: &Histogram<u64>, bad: u64) -> Self {
        let at = |over_per_mille| quantile::response(answers, bad, over_per_mille);
        Self {
            p50: at(500),
            p75: at(250),
            p90: at(100),
            p95: at(50),
            p99: at(10),
            p999: at(1),
            max: at(0),
        }
    }

    /// Each percentile by its name, ascending, `max` last.
    pub fn rows(&self) -> [(&'static str, Option<u64>); 7] {
        [
            ("p50", self.p50),
            ("p75", self.p75),
            ("p90", self.p90),
            ("p95", self.p95),
            ("p99", self.p99),
            ("p99.9", self.p999),
            ("max", self.max),
        ]
    }
}

/// What a record holds of these stages, by their index in the plan.
pub fn over(record: &Record, stages: &[usize]) -> Measured {
    let facts = &Facts::of(record);
    let mut counts = Counts::default();
    let (mut answers, mut bad) = (new_histogram(), 0);
    let (mut offered, mut on_time, mut length, mut completed) = (0, 0, 0, 0);
    for stage in stages {
        let own = facts.requests(&facts.stage_cells(*stage)).counts;
        completed += facts.completed(*stage, &own, |cells| facts.requests(cells).counts);
        counts.merge(&own);
        let seconds = facts.stage_seconds(*stage);
        merge(&mut answers, &facts.responses(None, &seconds));
        bad += facts.requests(&cells_of_seconds(&seconds)).counts.bad();
        let (planned, sent) = achieved(facts, *stage);
        (offered, on_time) = (offered + planned, on_time + sent);
        length += offered_in(facts, *stage);
    }
    let connections = connections(facts);
    Measured {
        length,
        offered,
        achieved: on_time,
        good_per_second: if length == 0 {
            0.0
        } else {
            completed as f64 * SECOND_NS as f64 / length as f64
        },
        counts,
        all: Spread::of(&answers, bad),
        successful: Spread::of(&answers, 0),
        lag: clock(facts, stages, |clocks| &clocks.lag),
        wait: clock(facts, stages, |clocks| &clocks.wait),
        first_byte: clock(facts, stages, |clocks| &clocks.first_byte),
        service: clock(facts, stages, |clocks| &clocks.service),
        buckets: buckets(&answers),
        connections_opened: connections.map(|(opened, _)| opened),
        connections_max: connections.map(|(_, most)| most),
        connections_failed: connections_failed(facts),
    }
}

/// How much of a stage the load lasted.
fn offered_in(facts: &Facts<'_>, stage: usize) -> u64 {
    facts.plan.load.stages.get(stage).map_or(0, |stage| {
        let end = ns(stage.end()).min(facts.offered());
        end.saturating_sub(ns(stage.start))
    })
}

fn merge(sum: &mut Histogram<u64>, part: &Histogram<u64>) {
    sum.add(part).expect("all histograms share one layout");
}

fn clock(
    facts: &Facts<'_>,
    stages: &[usize],
    of: impl Fn(&crate::window::Clocks) -> &Histogram<u64>,
) -> Spread {
    let mut sum = new_histogram();
    for clocks in stages
        .iter()
        .filter_map(|stage| facts.record.windows.clocks.get(stage))
    {
        merge(&mut sum, of(clocks));
    }
    Spread::of(&sum, 0)
}

/// Opened, and most open at once; `None` unless every worker told.
fn connections(facts: &Facts<'_>) -> Option<(u64, u64)> {
    let reports = facts
        .record
        .events
        .iter()
        .filter_map(|event| match &event.what {
            Event::Worker(report) => {
                Some((report.connections_opened, report.connections_max, 1_usize))
            }
            _ => None,
        });
    let (opened, most, told) = reports.fold((0, 0, 0), |sum, one| {
        (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2)
    });
    (told > 0 && told >= facts.workers).then_some((opened, most))
}

fn connections_failed(facts: &Facts<'_>) -> Failures {
    let mut sum = Counts::default();
    for event in &facts.record.events {
        if let Event::Worker(report) = &event.what {
            sum.merge(&Counts::of_failures(report.connect_failures));
        }
    }
    sum.failed
}

/// Most buckets, so that they fit on a screen.
const BUCKETS_MAX: usize = 12;
/// Edges within a decade, in tenths, from the finest to the coarsest.
const EDGES: [&[u64]; 4] = [
    &[10, 12, 15, 20, 25, 30, 40, 50, 60, 80],
    &[10, 15, 20, 30, 50, 70],
    &[10, 20, 50],
    &[10],
];

/// Round edges, as fine as [`BUCKETS_MAX`] allows, from the one that holds the fastest answer.
fn buckets(answers: &Histogram<u64>) -> Vec<Bucket> {
    if answers.is_empty() {
        return Vec::new();
    }
    let (min, max) = (answers.min(), answers.lowest_equivalent(answers.max()));
    let mut edges = Vec::new();
    for in_decade in EDGES {
        edges = edges_us(in_decade, min, max);
        if edges.len() <= BUCKETS_MAX {
            break;
        }
    }
    let mut buckets: Vec<Bucket> = edges
        .iter()
        .map(|us| Bucket {
            up_to: us * 1_000,
            count: 0,
        })
        .collect();
    for step in answers.iter_recorded() {
        // A value stands for a few more just above it, 0.1 % wide: an edge takes its whole class.
        let us = answers.lowest_equivalent(step.value_iterated_to());
        let bucket = edges.partition_point(|edge| *edge < us);
        buckets[bucket.min(edges.len() - 1)].count += step.count_at_value();
    }
    buckets
}

/// Edges in microseconds, from the first that is at least `min` to the first that is at least `max`.
fn edges_us(in_decade: &[u64], min: u64, max: u64) -> Vec<u64> {
    let decades = (0..=10).map(|power| 10_u64.pow(power));
    let all = decades.flat_map(|decade| in_decade.iter().map(move |tenths| tenths * decade));
    let mut edges = Vec::new();
    for edge in all
        .filter(|tenths| tenths.is_multiple_of(10))
        .map(|tenths| tenths / 10)
    {
        if edge >= min {
            edges.push(edge);
        }
        if edge >= max {
            break;
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC};
    use crate::histogram::record_ns;

    #[test]
    fn only_the_stages_asked_for_are_measured_and_failures_are_infinitely_slow() {
        let record = Run::kill()
            .answer(|request| match request.number % 20 {
                _ if request.at < 2 * SEC => Answer::Ok(900 * MS),
                0 => Answer::reset(),
                1 => Answer::Ok(80 * MS),
                _ => Answer::Ok(10 * MS),
            })
            .record();
        let measured = over(&record, &[1]);
        assert_eq!(measured.length, 28 * SEC);
        assert_eq!(measured.offered, measured.achieved);
        assert_eq!(
            measured.counts,
            record.sums.requests(&(20..u64::MAX)).counts
        );
        let near = |value: Option<u64>, ms: u64| {
            value.is_some_and(|value| value.abs_diff(ms * MS) < ms * MS / 500)
        };
        assert!(near(measured.all.p50, 10), "{measured:?}");
        assert!(near(measured.successful.p99, 80), "{measured:?}");
        assert_eq!(
            (measured.all.p99, measured.all.max),
            (None, None),
            "more than 1 % got no answer"
        );
        let answered: u64 = measured.buckets.iter().map(|bucket| bucket.count).sum();
        assert_eq!(answered, measured.counts.ok);
        assert!(
            (measured.good_per_second - measured.counts.ok as f64 / 28.0).abs() < 1e-6,
            "{measured:?}"
        );
    }

    #[test]
    fn without_every_workers_account_connections_are_absent() {
        let mut record = Run::kill().record();
        assert!(over(&record, &[1]).connections_opened.is_some());
        record
            .events
            .retain(|event| !matches!(event.what, Event::Worker(_)));
        assert_eq!(over(&record, &[1]).connections_opened, None);
    }

    #[test]
    fn edges_are_round_and_as_fine_as_fits() {
        let edges = |us: &[u64]| {
            let mut answers = new_histogram();
            for us in us {
                record_ns(&mut answers, us * 1_000);
            }
            let edges = buckets(&answers).into_iter();
            edges.map(|bucket| bucket.up_to / 1_000).collect::<Vec<_>>()
        };
        assert_eq!(edges(&[]), Vec::<u64>::new());
        assert_eq!(edges(&[250]), [250]);
        assert_eq!(edges(&[310, 900]), [400, 500, 600, 800, 1_000]);
        assert_eq!(
            edges(&[90, 4_000]),
            [
                100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000
            ]
        );
        assert_eq!(edges(&[1, 3_600_000_000]).len(), 11);
    }

    proptest! {
        #[test]
        fn every_answer_is_in_one_bucket(values in prop::collection::vec(1_u64..4_000_000_000, 1..100)) {
            let mut answers = new_histogram();
            for us in &values {
                record_ns(&mut answers, us * 1_000);
            }
            let buckets = buckets(&answers);
            prop_assert!(buckets.len() <= BUCKETS_MAX);
            prop_assert!(buckets.is_sorted_by_key(|bucket| bucket.up_to));
            prop_assert_eq!(buckets.iter().map(|bucket| bucket.count).sum::<u64>(), values.len() as u64);
            prop_assert!(buckets[0].count > 0 && buckets[buckets.len() - 1].count > 0);
        }
    }
}
