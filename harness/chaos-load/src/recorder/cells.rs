//! Counts by 100 ms cell and series, responses by second and series.
//!
//! Invariant: an entry is added to exactly one cell, and only expected answers have a response.

use chaos_record::histogram::MAX_US;
use chaos_record::outcome::{Counts, Outcome};
use chaos_record::window::{CellDelta, Delta, SecondDelta, ladder};
use chaos_record::{CELL_NS, SECOND_NS};

use super::shelf::Shelf;
use super::tally::{Buckets, Tally, rounded_us};

/// Emptied tallies and rungs kept for what comes next; a tally takes 94 KB, rungs 2 KB.
const SPARE_MAX: usize = 32;
const CELLS_A_SECOND: u64 = SECOND_NS / CELL_NS;

/// One outcome, placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) cell: u64,
    pub(super) series: usize,
    pub(super) outcome: Outcome,
    /// The request went out.
    pub(super) is_written: bool,
    pub(super) is_late: bool,
    pub(super) is_overdue: bool,
    /// Its answer came after the end of its stage.
    pub(super) is_outlasting: bool,
    /// A fault took effect while it was under way.
    pub(super) is_caught: bool,
}

/// What was added since the last drain.
#[derive(Debug, Default)]
pub(super) struct Cells {
    counts: Shelf<Cell>,
    seconds: Shelf<Tally>,
    spare: Spare,
    end: u64,
}

#[derive(Debug)]
struct Cell {
    counts: Counts,
    rungs: Buckets,
}

#[derive(Debug, Default)]
struct Spare {
    tallies: Vec<Tally>,
    rungs: Vec<Buckets>,
}

impl Cells {
    /// `response_ns` is looked at only if the outcome is as expected.
    pub(super) fn add(&mut self, entry: Entry, response_ns: u64, limits_ns: &[u64]) {
        self.end = self.end.max(entry.cell + 1);
        let spare = &mut self.spare;
        let Cell { counts, rungs } = self.counts.get(entry.cell, entry.series, || Cell {
            counts: Counts::default(),
            rungs: spare.rungs.pop().unwrap_or_else(empty_rungs),
        });
        counts.add(entry.outcome);
        counts.written += u64::from(entry.is_written);
        counts.late += u64::from(entry.is_late);
        counts.overdue += u64::from(entry.is_overdue);
        counts.outlasting += u64::from(entry.is_outlasting);
        let is_ok = entry.outcome == Outcome::Ok;
        if entry.is_caught {
            counts.caught[usize::from(!is_ok)] += 1;
        }
        if !is_ok {
            return;
        }
        counts.over.resize(limits_ns.len(), 0);
        for (over, limit_ns) in counts.over.iter_mut().zip(limits_ns) {
            *over += u64::from(response_ns > *limit_ns);
        }
        rungs.add(ladder::rung(rounded_us(response_ns)));
        let second = entry.cell / CELLS_A_SECOND;
        let tally = self.seconds.get(second, entry.series, || {
            spare.tallies.pop().unwrap_or_default()
        });
        tally.record_ns(response_ns);
    }

    /// The first cell after all that ever held anything.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds everything to `delta` and forgets it.
    pub(super) fn drain_into(&mut self, delta: &mut Delta) {
        let Spare { tallies, rungs } = &mut self.spare;
        for (cell, series, mut content) in self.counts.drain() {
            delta.cells.push(CellDelta {
                cell,
                series,
                counts: content.counts,
                rungs: content.rungs.drain().collect(),
            });
            if rungs.len() < SPARE_MAX {
                rungs.push(content.rungs);
            }
        }
        for (second, series, mut tally) in self.seconds.drain() {
            delta.seconds.push(SecondDelta {
                second,
                series,
                response: tally.drain(),
            });
            if tallies.len() < SPARE_MAX {
                tallies.push(tally);
            }
        }
    }
}

fn empty_rungs() -> Buckets {
    Buckets::new(ladder::rung(MAX_US) + 1)
}
