//! A run second by second, as the charts and their tables show it.
//!
//! Invariant: buckets are made by adding exact counts and histograms of whole seconds; percentiles
//! are never averaged, and no second is left out. Everything is filed under its intended instant.

use chaos_plan::plan::{Model, Quantile};
use chaos_plan::schedule::Schedule;
use chaos_record::outcome::{Counts, FailKind};
use chaos_record::quantile;
use chaos_record::series::SeriesTable;
use chaos_record::window::Windows;
use chaos_record::{CELL_NS, SECOND_NS};
use hdrhistogram::Histogram;

use crate::view::Story;

/// Most buckets of a timeline: more would be narrower than a line is wide.
const BUCKETS_MAX: u64 = 240;
/// Widths a bucket may have, in seconds.
const WIDTHS: [u64; 9] = [1, 2, 5, 10, 15, 30, 60, 300, 900];
const CELLS_PER_SECOND: u64 = SECOND_NS / CELL_NS;

/// What one point of a latency line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Response {
    /// Nothing was asked.
    Nothing,
    /// Nanoseconds.
    Answered(u64),
    /// The quantile falls among requests that got no answer as expected: infinitely slow.
    Unanswered,
}

/// What was intended in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// Nanoseconds since the start of the load.
    pub start: u64,
    pub end: u64,
    /// Journeys the schedule holds.
    pub offered: u64,
    /// Journeys dispatched before their stage was over.
    pub achieved: u64,
    /// Journeys of which every step ended as expected.
    pub good: u64,
    /// Requests that are judged, and how many of them are bad.
    pub requests: u64,
    pub bad: u64,
    /// Requests by how they ended.
    pub counts: Counts,
    /// All outcomes: a failed request is infinitely slow.
    pub p50: Response,
    pub p95: Response,
    pub p99: Response,
    /// The same of requests that ended as expected alone.
    pub ok_p50: Response,
    pub ok_p95: Response,
    pub ok_p99: Response,
}

impl Bucket {
    /// A bucket of which nothing is known.
    pub const EMPTY: Self = Self {
        start: 0,
        end: 0,
        offered: 0,
        achieved: 0,
        good: 0,
        requests: 0,
        bad: 0,
        counts: NO_COUNTS,
        p50: Response::Nothing,
        p95: Response::Nothing,
        p99: Response::Nothing,
        ok_p50: Response::Nothing,
        ok_p95: Response::Nothing,
        ok_p99: Response::Nothing,
    };

    /// Length in seconds.
    pub fn seconds(&self) -> f64 {
        (self.end - self.start) as f64 / SECOND_NS as f64
    }
}

/// All buckets of a run, in order and without gaps.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    pub buckets: Vec<Bucket>,
    /// Length of the buckets in seconds; the last may be shorter.
    pub width: u64,
    /// How long load was offered, nanoseconds.
    pub length: u64,
}

impl Timeline {
    pub fn new(story: &Story<'_>) -> Self {
        let length = story.verdict.load_length;
        let seconds = length.div_ceil(SECOND_NS);
        let width = WIDTHS
            .into_iter()
            .find(|width| seconds.div_ceil(*width) <= BUCKETS_MAX)
            .unwrap_or(3_600)
            // A shorter bucket would hold none of a piece or all of it.
            .max(story.windows.piece_seconds());
        let sums = Sums::of(story);
        let offered = offered(story, width, seconds.div_ceil(width));
        let buckets = (0..).zip(offered).map(|(i, offered)| {
            let (from, until) = (i * width, ((i + 1) * width).min(seconds));
            let (start, end) = (from * SECOND_NS, (until * SECOND_NS).min(length));
            let bucket = sums.bucket(from, until);
            // Without planned arrivals, as in a closed model, what began is what was offered.
            let offered = offered.unwrap_or(bucket.achieved);
            Bucket {
                start,
                end,
                offered,
                ..bucket
            }
        });
        Self {
            buckets: buckets.collect(),
            width,
            length,
        }
    }

    /// The whole seconds that touch `from..until` (nanoseconds of the load), one bucket each; nothing is known of what was offered.
    pub fn of_span(story: &Story<'_>, from: u64, until: u64) -> Self {
        let length = story.verdict.load_length;
        let until = until.min(length);
        let sums = Sums::of(story);
        let seconds = from / SECOND_NS..until.div_ceil(SECOND_NS);
        let buckets = seconds.map(|second| Bucket {
            start: second * SECOND_NS,
            end: ((second + 1) * SECOND_NS).min(length),
            ..sums.bucket(second, second + 1)
        });
        Self {
            buckets: buckets.collect(),
            width: 1,
            length,
        }
    }

    /// The bucket with the highest p95; one whose p95 is not answered at all beats every other.
    pub fn worst(&self) -> Option<&Bucket> {
        let rank = |bucket: &Bucket| match bucket.p95 {
            Response::Nothing => None,
            Response::Answered(ns) => Some(ns),
            Response::Unanswered => Some(u64::MAX),
        };
        // Of several equal ones the first.
        self.buckets
            .iter()
            .rev()
            .filter(|bucket| rank(bucket).is_some())
            .max_by_key(|bucket| rank(bucket))
    }
}

/// `Counts::default()`, which is not const.
const NO_COUNTS: Counts = Counts {
    ok: 0,
    failed: [0; FailKind::ALL.len()],
    not_reached: 0,
    shed: 0,
    cancelled: 0,
    over: Vec::new(),
    written: 0,
    late: 0,
    overdue: 0,
    outlasting: 0,
    caught: [0, 0],
};

/// Journeys the schedule holds for each bucket of `width` seconds; unknown in a closed model.
fn offered(story: &Story<'_>, width: u64, buckets: u64) -> Vec<Option<u64>> {
    let buckets_known = usize::try_from(buckets).unwrap_or(0);
    if matches!(story.plan().load.model, Model::Closed { .. }) {
        return vec![None; buckets_known];
    }
    let mut offered = vec![0_u64; buckets_known];
    let length = u128::from(story.verdict.load_length);
    for arrival in
        Schedule::new(&story.header.plan).take_while(|arrival| arrival.at.as_nanos() < length)
    {
        let bucket = usize::try_from(arrival.at.as_secs() / width).unwrap_or(usize::MAX);
        if let Some(count) = offered.get_mut(bucket) {
            *count += 1;
        }
    }
    offered.into_iter().map(Some).collect()
}

struct Sums<'a> {
    windows: &'a Windows,
    table: SeriesTable,
}

impl<'a> Sums<'a> {
    fn of(story: &Story<'a>) -> Self {
        Self {
            windows: story.windows,
            table: SeriesTable::new(&story.header.plan),
        }
    }
}

impl Sums<'_> {
    fn is_step(&self, series: usize) -> bool {
        self.table
            .get(series)
            .is_some_and(|series| series.step.is_some())
    }

    /// What was intended in seconds `from..until`, without the bucket's own place and what was offered.
    fn bucket(&self, from: u64, until: u64) -> Bucket {
        let (first, last) = (from * CELLS_PER_SECOND, until * CELLS_PER_SECOND);
        let requests = self
            .windows
            .sum(first, last, |series| self.is_step(series))
            .counts;
        let journeys = self
            .windows
            .sum(first, last, |series| !self.is_step(series))
            .counts;
        let answered = self
            .windows
            .responses(from, until, |series| self.is_step(series));
        let quantiles = |bad| {
            [Quantile::P50, Quantile::P95, Quantile::P99]
                .map(|quantile| response_at(&answered, bad, quantile.over_per_mille()))
        };
        let [p50, p95, p99] = quantiles(requests.bad());
        let [ok_p50, ok_p95, ok_p99] = quantiles(0);
        Bucket {
            achieved: in_time(&journeys),
            good: journeys.ok,
            requests: requests.judged(),
            bad: requests.bad(),
            counts: requests,
            p50,
            p95,
            p99,
            ok_p50,
            ok_p95,
            ok_p99,
            ..Bucket::EMPTY
        }
    }
}

/// Journeys that were dispatched before their stage was over.
fn in_time(journeys: &Counts) -> u64 {
    journeys.total().saturating_sub(journeys.overdue)
}

/// The response with `over` thousandths of the requests above it, with `bad` of them infinitely slow.
fn response_at(answered: &Histogram<u64>, bad: u64, over: u64) -> Response {
    if answered.is_empty() && bad == 0 {
        return Response::Nothing;
    }
    quantile::response(answered, bad, over).map_or(Response::Unanswered, Response::Answered)
}

#[cfg(test)]
mod tests {
    use chaos_record::histogram::{new_histogram, record_ns};

    use super::*;

    fn check(answered_ms: &[u64], bad: u64, over: u64, expected: Response) {
        let mut histogram = new_histogram();
        for ms in answered_ms {
            record_ns(&mut histogram, ms * 1_000_000);
        }
        let found = match response_at(&histogram, bad, over) {
            Response::Answered(ns) => Response::Answered(ns / 1_000_000),
            other => other,
        };
        assert_eq!(found, expected, "{answered_ms:?} + {bad} at {over}");
    }

    #[test]
    fn failures_are_infinitely_slow_and_nothing_asked_is_not_unanswered() {
        let twenty: Vec<u64> = (1..=20).collect();
        check(&twenty, 0, 50, Response::Answered(19));
        check(&twenty, 1, 50, Response::Answered(20));
        check(&twenty, 2, 50, Response::Unanswered);
        check(&[], 3, 500, Response::Unanswered);
        check(&[], 0, 500, Response::Nothing);
    }

    #[test]
    fn of_equally_bad_seconds_the_first_is_the_worst() {
        let bucket = |start, p95| Bucket {
            start,
            end: start + 1,
            p95,
            ..Bucket::EMPTY
        };
        let worst = |buckets| {
            Timeline {
                buckets,
                width: 1,
                length: 9,
            }
            .worst()
            .map(|bucket| bucket.start)
        };
        let answered = Response::Answered;
        assert_eq!(
            worst(vec![
                bucket(0, answered(1)),
                bucket(1, answered(5)),
                bucket(2, answered(5))
            ]),
            Some(1)
        );
        assert_eq!(
            worst(vec![
                bucket(0, answered(1)),
                bucket(1, Response::Unanswered),
                bucket(2, answered(9))
            ]),
            Some(1)
        );
        assert_eq!(worst(vec![bucket(0, Response::Nothing)]), None);
    }
}
