//! Counts by 100 ms cell and series, responses by second and series.
//!
//! Invariant: an entry is added to exactly one cell, and only expected answers have a response.

use std::collections::BTreeMap;

use chaos_record::outcome::{Counts, Outcome};
use chaos_record::window::{CellDelta, Delta, SecondDelta, ladder};
use chaos_record::{CELL_NS, SECOND_NS};

use super::tally::{Tally, rounded_us};

/// Emptied tallies kept for the next seconds; a tally takes 94 KB.
const SPARE_MAX: usize = 32;
const CELLS_A_SECOND: u64 = SECOND_NS / CELL_NS;

/// One outcome, placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) cell: u64,
    pub(super) series: usize,
    pub(super) outcome: Outcome,
    pub(super) is_late: bool,
    pub(super) is_overdue: bool,
    /// A fault took effect while it was under way.
    pub(super) is_caught: bool,
}

/// What was added since the last drain.
#[derive(Debug, Default)]
pub(super) struct Cells {
    counts: BTreeMap<(u64, usize), Cell>,
    seconds: BTreeMap<(u64, usize), Tally>,
    spare: Vec<Tally>,
    end: u64,
}

#[derive(Debug, Default)]
struct Cell {
    counts: Counts,
    rungs: BTreeMap<u16, u64>,
}

impl Cells {
    /// `response_ns` is looked at only if the outcome is as expected.
    pub(super) fn add(&mut self, entry: Entry, response_ns: u64, limits_ns: &[u64]) {
        self.end = self.end.max(entry.cell + 1);
        let Cell { counts, rungs } = self.counts.entry((entry.cell, entry.series)).or_default();
        counts.add(entry.outcome);
        counts.late += u64::from(entry.is_late);
        counts.overdue += u64::from(entry.is_overdue);
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
        *rungs
            .entry(ladder::rung(rounded_us(response_ns)))
            .or_default() += 1;
        let second = (entry.cell / CELLS_A_SECOND, entry.series);
        let spare = &mut self.spare;
        self.seconds
            .entry(second)
            .or_insert_with(|| spare.pop().unwrap_or_default())
            .record_ns(response_ns);
    }

    /// The request of an entry that was added went out.
    pub(super) fn written(&mut self, entry: Entry) {
        self.counts
            .entry((entry.cell, entry.series))
            .or_default()
            .counts
            .written += 1;
    }

    /// The first cell after all that ever held anything.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Adds everything to `delta` and forgets it.
    pub(super) fn drain_into(&mut self, delta: &mut Delta) {
        let cells = std::mem::take(&mut self.counts).into_iter();
        delta.cells.extend(
            cells.map(|((cell, series), Cell { counts, rungs })| CellDelta {
                cell,
                series,
                counts,
                rungs: rungs.into_iter().collect(),
            }),
        );
        for ((second, series), mut tally) in std::mem::take(&mut self.seconds) {
            delta.seconds.push(SecondDelta {
                second,
                series,
                response: tally.drain(),
            });
            if self.spare.len() < SPARE_MAX {
                self.spare.push(tally);
            }
        }
    }
}
