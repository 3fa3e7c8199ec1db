//! The band around a fault: what is normal, by the stretch before it.
//!
//! Requests are compared over all journeys together. Goodput is compared by journeys, because only
//! their planned instants are known in closed form for each cell.
//! Invariant: a band exists only over a reference that is long, constant and large enough.

use std::collections::BTreeMap;
use std::ops::Range;

use chaos_plan::plan::Part;

use crate::facts::Facts;
use crate::poisson;
use crate::quantile;
use crate::steady::{REFERENCE_MIN_NS, stretch_before};
use crate::verdict::Reference;
use crate::window::{Cell, ladder};
use crate::{CELL_NS, SECOND_NS};

/// Requests a reference, and each group of cells compared with it, must hold.
pub(crate) const GROUP_MIN: u64 = 50;
/// Share of healthy runs in which chance may leave the band at all.
const FALSE_ALARM: f64 = 1e-3;
/// Comparisons that may begin in one cell: bad in a group, bad in a long stretch, slow, missing.
const COMPARISONS: u64 = 4;
/// A p95 this much above the reference is still normal, however fast the reference is.
const SLACK_US: u64 = 20_000;

/// What is normal around one fault.
#[derive(Debug, Clone)]
pub(crate) struct Band {
    pub(crate) reference: Reference,
    pub(crate) cells: Range<u64>,
    pub(crate) stage: usize,
    bad_share: f64,
    /// Journeys as expected among those planned.
    good_share: f64,
    p95_us: u64,
    /// Answers as expected in the reference, by rung.
    rungs: BTreeMap<u16, u64>,
    /// Probability allowed to chance in each comparison.
    alpha: f64,
}

/// Why a group of cells is out of band.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Out {
    Bad,
    Slow,
    Missing,
}

impl Band {
    /// The band before a fault that took effect at `effective`, or why there is none.
    pub(crate) fn before(facts: &Facts<'_>, effective: u64) -> Result<Self, String> {
        let stage = facts.stage_of_cell(effective / CELL_NS);
        if !facts
            .plan
            .load
            .stages
            .get(stage)
            .is_some_and(chaos_plan::plan::Stage::is_constant)
        {
            return Err("the rate was not constant before it".to_owned());
        }
        let cells = stretch_before(facts, stage, effective);
        // A cell may be lost to rounding on either side.
        if (cells.end - cells.start + 2) * CELL_NS < REFERENCE_MIN_NS {
            return Err("less than 5 s of its stage lie before it".to_owned());
        }
        if cells.end > facts.seen() {
            return Err("the record does not reach it".to_owned());
        }
        Self::over(facts, stage, cells)
    }

    fn over(facts: &Facts<'_>, stage: usize, cells: Range<u64>) -> Result<Self, String> {
        let sum = facts.requests(&cells);
        // What the fault broke in flight was intended before it, and is not normal.
        let bad = sum.counts.bad() - facts.broken_in_flight(Part::All, &cells);
        let n = sum.counts.ok + bad;
        if n < GROUP_MIN {
            return Err(format!(
                "only {n} requests lie in the stretch before it, {GROUP_MIN} are needed"
            ));
        }
        let Some(rung) = quantile::p95_rung(&sum) else {
            return Err("more than 5 % of the requests failed before it".to_owned());
        };
        let (ok, planned) = goodput(facts, &cells);
        let seconds = ((cells.end - cells.start) * CELL_NS) as f64 / SECOND_NS as f64;
        let p95_us = top_us(rung);
        let reference = Reference {
            from: cells.start * CELL_NS,
            until: cells.end * CELL_NS,
            requests: n,
            bad,
            p95: Some(p95_us * 1_000),
            goodput: sum.counts.ok as f64 / seconds,
        };
        let bad_share = bad as f64 / n as f64;
        let good_share = if planned == 0 {
            0.0
        } else {
            ok as f64 / planned as f64
        };
        Ok(Self {
            reference,
            cells,
            stage,
            bad_share,
            good_share,
            p95_us,
            rungs: sum.rungs,
            alpha: FALSE_ALARM / (COMPARISONS * (facts.length() / CELL_NS).max(1)) as f64,
        })
    }

    /// Bad requests of `n` that the reference leads one to expect.
    pub(crate) fn expected_bad(&self, n: u64) -> f64 {
        self.bad_share * n as f64
    }

    /// Whether so many bad requests among `n` are more than chance explains.
    pub(crate) fn is_bad(&self, bad: u64, n: u64) -> bool {
        self.is_more(self.reference.bad, bad, n)
    }

    /// Whether `now` of `n` is more than chance explains after `before` in the reference.
    fn is_more(&self, before: u64, now: u64, n: u64) -> bool {
        now > 0 && now > poisson::upper_after(before, self.reference.requests, n, self.alpha)
    }

    /// Whether the requests intended in `cells`, added up in `sum`, are out of band.
    pub(crate) fn out(&self, facts: &Facts<'_>, cells: &Range<u64>, sum: &Cell) -> Option<Out> {
        let counts = &sum.counts;
        if self.is_bad(counts.bad(), counts.judged()) {
            return Some(Out::Bad);
        }
        if self.is_slow(
            self.slowest_rung(facts, facts.stage_of_cell(cells.start)),
            sum,
        ) {
            return Some(Out::Slow);
        }
        let (ok, planned) = goodput(facts, cells);
        let least = poisson::lower(self.good_share * planned as f64, 1.0 - self.alpha);
        (ok < least).then_some(Out::Missing)
    }

    /// Whether the p95 lies above the rung `limit`, and by more requests than chance explains.
    fn is_slow(&self, limit: u16, sum: &Cell) -> bool {
        let n = sum.counts.judged();
        if n == 0 || quantile::p95_rung(sum).is_some_and(|rung| rung <= limit) {
            return false;
        }
        let before = self.reference.bad + above(&self.rungs, limit);
        self.is_more(before, sum.counts.bad() + above(&sum.rungs, limit), n)
    }

    /// Cells of `cells` in which a request was slower than normal.
    pub(crate) fn slow_cells(&self, facts: &Facts<'_>, cells: &Range<u64>) -> u64 {
        let limit = self.slowest_rung(facts, facts.stage_of_cell(cells.start));
        let slow = cells.clone().filter(|cell| {
            let one = facts.requests(&(*cell..cell + 1));
            above(&one.rungs, limit) > 0
        });
        slow.count() as u64
    }

    /// The rung of min(limit, max(2 x reference, reference + 20 ms)); its top is the next one the cells can tell.
    fn slowest_rung(&self, facts: &Facts<'_>, stage: usize) -> u16 {
        let relative = (2 * self.p95_us).max(self.p95_us + SLACK_US);
        let limit = facts
            .tightest_limit(stage)
            .and_then(|limit| u64::try_from(limit.as_micros()).ok());
        ladder::rung(limit.map_or(relative, |limit| limit.min(relative)))
    }
}

/// Journeys as expected, and planned ones that the end of the run did not cut off.
fn goodput(facts: &Facts<'_>, cells: &Range<u64>) -> (u64, u64) {
    let counts = facts.journeys(cells);
    let planned = facts.planned.journeys(cells.start, cells.end);
    (counts.ok, planned.saturating_sub(counts.cancelled))
}

/// Answers above a rung.
fn above(rungs: &BTreeMap<u16, u64>, limit: u16) -> u64 {
    rungs.range(limit + 1..).map(|(_, count)| count).sum()
}

/// Upper edge of a rung in whole microseconds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rungs end at an hour"
)]
fn top_us(rung: u16) -> u64 {
    ladder::top_us(rung).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{Answer, MS, Run, SEC, forget};
    use crate::record::Record;

    fn band(record: &Record) -> Result<Band, String> {
        Band::before(&Facts::of(record), 12 * SEC)
    }

    fn out(record: &Record, cells: Range<u64>) -> Option<Out> {
        let facts = Facts::of(record);
        band(record)
            .expect("a quiet reference")
            .out(&facts, &cells, &facts.requests(&cells))
    }

    #[test]
    fn the_reference_is_ten_seconds_of_the_same_stage() {
        let record = Run::kill().record();
        let band = band(&record).expect("a quiet reference");
        assert_eq!(
            (band.reference.from, band.reference.until),
            (2 * SEC, 12 * SEC)
        );
        // 100 journeys a second, four in five with two steps.
        assert!(
            (1_700..1_900).contains(&band.reference.requests),
            "{}",
            band.reference.requests
        );
        assert!(Band::before(&Facts::of(&record), 3 * SEC).is_err_and(|why| why.contains("5 s")));
    }

    #[test]
    fn one_failure_after_a_clean_reference_is_chance_and_some_are_not() {
        let failing = |from: u64, until: u64| {
            Run::kill().answer(move |request| {
                if (from..until).contains(&request.at) {
                    Answer::reset()
                } else {
                    Answer::Ok(MS)
                }
            })
        };
        let one = failing(13 * SEC, 13 * SEC + 10 * MS).record();
        assert_eq!(out(&one, 130..135), None);
        // About 90 requests after 1,800: five bad ones are beyond chance.
        let some = failing(13 * SEC, 13 * SEC + 50 * MS).record();
        assert_eq!(out(&some, 130..135), Some(Out::Bad));
        assert_eq!(out(&some, 135..140), None);
    }

    #[test]
    fn failures_as_before_are_in_band_and_more_are_not() {
        let every = |n: u64| {
            move |request: &crate::fixture::Request| {
                let fails =
                    request
                        .number
                        .is_multiple_of(if request.at < 14 * SEC { 50 } else { n });
                if fails {
                    Answer::reset()
                } else {
                    Answer::Ok(MS)
                }
            }
        };
        assert_eq!(out(&Run::kill().answer(every(50)).record(), 140..150), None);
        assert_eq!(
            out(&Run::kill().answer(every(8)).record(), 140..150),
            Some(Out::Bad)
        );
    }

    #[test]
    fn chance_alone_is_in_band() {
        let record = Run::kill()
            .answer(|request| {
                if request.number.is_multiple_of(50) {
                    Answer::reset()
                } else {
                    Answer::Ok(MS)
                }
            })
            .record();
        let facts = Facts::of(&record);
        let band = band(&record).expect("a quiet reference");
        let expected = band.expected_bad(400);
        assert!((10.0..13.0).contains(&expected), "{expected}");
        let out = |bad: u64| {
            let mut sum = Cell::default();
            (sum.counts.ok, sum.counts.failed[0]) = (400 - bad, bad);
            sum.rungs.insert(0, 400 - bad);
            band.out(&facts, &(140..150), &sum)
        };
        // 51 of 1,800 or so before it, and 1e-3 over the 4 comparisons of each of 300 cells: the limit is 35.
        assert_eq!((out(20), out(30)), (None, None));
        assert_eq!(out(40), Some(Out::Bad));
    }

    #[test]
    fn slow_is_twice_the_reference_or_20_ms_more_but_never_above_the_limit() {
        let then = |before: u64, after: u64| {
            let run = Run::kill().answer(move |request| {
                Answer::Ok(if request.at < 12 * SEC { before } else { after })
            });
            out(&run.record(), 140..150)
        };
        assert_eq!(then(5 * MS, 23 * MS), None);
        assert_eq!(then(5 * MS, 30 * MS), Some(Out::Slow));
        assert_eq!(then(50 * MS, 95 * MS), None);
        assert_eq!(then(50 * MS, 115 * MS), Some(Out::Slow));
        // The limit is 200 ms: twice 150 ms is not normal.
        assert_eq!(then(150 * MS, 230 * MS), Some(Out::Slow));
    }

    #[test]
    fn planned_journeys_without_any_account_are_missing() {
        let mut record = Run::kill().record();
        forget(&mut record, 140..150);
        assert_eq!(out(&record, 140..150), Some(Out::Missing));
    }
}
