//! Sums over series by cell, kept up as deltas come in, so that a look at a running load costs little.
//!
//! Invariant: they are what adding up [`Windows`](crate::window::Windows) over the same series would give.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::fold::{Grain, Packed};
use crate::forget::Forgotten;
use crate::outcome::Counts;
use crate::series::SeriesTable;
use crate::window::{Cell, Delta};

/// By cell: all requests, all journeys as wholes, the first request of each journey.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sums {
    pub(crate) requests: BTreeMap<u64, Cell>,
    pub(crate) journeys: BTreeMap<u64, Counts>,
    pub(crate) first_steps: BTreeMap<u64, Counts>,
    /// All requests of the run.
    pub(crate) total: Counts,
    /// What of the others a long record keeps by seconds: each under its number.
    folded: BTreeMap<u64, Packed>,
}

const REQUESTS: usize = 0;
const JOURNEYS: usize = 1;
const FIRST_STEPS: usize = 2;

impl Sums {
    /// Adds one delta; series that the table does not know are left out.
    pub(crate) fn add(&mut self, delta: &Delta, table: &SeriesTable) {
        for part in &delta.cells {
            let Some(series) = table.get(part.series) else {
                continue;
            };
            let Some(step) = series.step else {
                self.journeys
                    .entry(part.cell)
                    .or_default()
                    .merge(&part.counts);
                continue;
            };
            let cell = self.requests.entry(part.cell).or_default();
            cell.counts.merge(&part.counts);
            for (rung, count) in &part.rungs {
                *cell.rungs.entry(*rung).or_default() += count;
            }
            self.total.merge(&part.counts);
            if step == 0 {
                self.first_steps
                    .entry(part.cell)
                    .or_default()
                    .merge(&part.counts);
            }
        }
    }

    /// Keeps the cells below one by seconds, without their rungs.
    pub(crate) fn fold(&mut self, seconds: &Grain, below: u64) {
        type Second = BTreeMap<usize, Counts>;
        let requests = seconds.take(&mut self.requests, below, |second: &mut Second, one| {
            second.entry(REQUESTS).or_default().merge(&one.counts);
        });
        let merge =
            |what| move |second: &mut Second, one| second.entry(what).or_default().merge(&one);
        let journeys = seconds.take(&mut self.journeys, below, merge(JOURNEYS));
        let first_steps = seconds.take(&mut self.first_steps, below, merge(FIRST_STEPS));
        for (first, second) in requests.into_iter().chain(journeys).chain(first_steps) {
            self.folded.entry(first).or_default().append(&second);
        }
    }

    /// Drops what was forgotten; the total stays.
    pub(crate) fn keep(&mut self, forgotten: &Forgotten) {
        self.requests.retain(|cell, _| forgotten.keeps(*cell));
        self.journeys.retain(|cell, _| forgotten.keeps(*cell));
        self.first_steps.retain(|cell, _| forgotten.keeps(*cell));
    }

    /// All requests intended in these cells.
    pub(crate) fn requests(&self, cells: &Range<u64>) -> Cell {
        let mut sum = Cell {
            counts: self.folded(REQUESTS, cells),
            ..Cell::default()
        };
        for (_, cell) in self.requests.range(ordered(cells)) {
            sum.merge(cell);
        }
        sum
    }

    /// All journeys intended in these cells.
    pub(crate) fn journeys(&self, cells: &Range<u64>) -> Counts {
        self.added(JOURNEYS, &self.journeys, cells)
    }

    /// The first request of each journey intended in these cells: it is intended when its journey is.
    pub(crate) fn first_steps(&self, cells: &Range<u64>) -> Counts {
        self.added(FIRST_STEPS, &self.first_steps, cells)
    }

    fn added(&self, what: usize, counts: &BTreeMap<u64, Counts>, cells: &Range<u64>) -> Counts {
        let mut sum = self.folded(what, cells);
        for (_, counts) in counts.range(ordered(cells)) {
            sum.merge(counts);
        }
        sum
    }

    fn folded(&self, what: usize, cells: &Range<u64>) -> Counts {
        let mut sum = Counts::default();
        for (_, second) in self.folded.range(ordered(cells)) {
            second.add_to(&mut sum, |kept| kept == what);
        }
        sum
    }
}

fn ordered(cells: &Range<u64>) -> Range<u64> {
    cells.start..cells.end.max(cells.start)
}

#[cfg(test)]
mod tests {
    use crate::fixture::{Answer, MS, Run};

    #[test]
    fn they_are_what_the_windows_add_up_to() {
        let record = Run::kill()
            .answer(|request| {
                if request.number.is_multiple_of(9) {
                    Answer::Shed
                } else {
                    Answer::Ok(MS)
                }
            })
            .record();
        let of_windows = |step: Option<usize>| {
            let keep = |number| {
                record
                    .series
                    .get(number)
                    .is_some_and(|series| series.step == step)
            };
            record.windows.sum(40, 90, keep)
        };
        let mut requests = of_windows(Some(0));
        requests.merge(&of_windows(Some(1)));
        assert_eq!(record.sums.requests(&(40..90)), requests);
        assert_eq!(record.sums.journeys(&(40..90)), of_windows(None).counts);
        assert_eq!(
            record.sums.first_steps(&(40..90)),
            of_windows(Some(0)).counts
        );
        assert_eq!(
            record.sums.total,
            record.sums.requests(&(0..u64::MAX)).counts
        );
    }
}
