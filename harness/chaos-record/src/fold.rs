//! What a long record keeps in less detail than it was told, so that a day of load can be judged in
//! bounded memory: cells that are over become seconds at once, and when an hour is over response times
//! become pieces of half a minute, of minutes and at last of an hour, a few hundred at any length.
//!
//! Invariant: whatever the judge and the outputs ask gets the same answer as from the unfolded record.
//! Neither a second nor a piece crosses the begin of a stage; a record with faults or a search, of
//! which single cells are asked, is never folded. The interval log has the pieces for its intervals.

use std::collections::BTreeMap;
use std::ops::Range;

use chaos_plan::plan::Expect;

use crate::facts::{Facts, ns};
use crate::histogram::Sparse;
use crate::outcome::Counts;
use crate::record::Record;
use crate::window::Windows;
use crate::{CELL_NS, SECOND_NS};

mod packed;

use self::packed::Packed;

const CELLS_A_SECOND: u64 = SECOND_NS / CELL_NS;
/// Seconds not folded yet: a watcher of the running load looks at the last few.
const KEEP_SECONDS: u64 = 2 * 60;
/// Seconds folded at a time.
const AT_A_TIME: u64 = 60;
/// Response times of seconds are kept so long, in seconds.
const SECONDS_MAX: u64 = 3_600;
/// Lengths of pieces in seconds, each a multiple of those before it.
const WIDTHS: [u64; 5] = [30, 60, 300, 900, 3_600];
/// So many pieces, and a longer length is chosen; beyond ten days there are more.
const PIECES_MAX: u64 = 240;

/// What was folded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    /// Seconds below this one are folded, and so are the response times of those below the other.
    below: u64,
    pieces_below: u64,
    /// By the first cell of a second, then series.
    pub(crate) counts: BTreeMap<u64, Vec<(usize, Packed)>>,
    /// By the first second of a piece, then series.
    pub(crate) pieces: BTreeMap<u64, BTreeMap<usize, Sparse>>,
    /// Length of the pieces in seconds; 0 while there are none.
    width: u64,
    /// Of each second in a piece the p95 of all requests, if it has one and a claim asks.
    p95: BTreeMap<u64, u64>,
}

impl Folded {
    /// Length of the pieces in seconds, 1 if there are none.
    pub(crate) fn width(&self) -> u64 {
        self.width.max(1)
    }

    /// The pieces with their first seconds and their lengths in seconds.
    fn pieces(&self, until: u64) -> impl Iterator<Item = (u64, u64, &BTreeMap<usize, Sparse>)> {
        let width = self.width();
        let next = self.pieces.keys().skip(1).copied().chain([until]);
        let pieces = self.pieces.iter().zip(next);
        pieces.map(move |((first, piece), next)| {
            let end = next.min(first - first % width + width);
            (*first, end - first, piece)
        })
    }

    /// Whether a second is part of a piece.
    pub(crate) fn has(&self, second: u64) -> bool {
        second < self.pieces_below
    }

    /// The p95 that was kept of a second that is part of a piece.
    pub(crate) fn p95(&self, second: u64) -> Option<u64> {
        self.p95.get(&second).copied()
    }
}

/// Into what cells or seconds are folded: stretches of equal length that no stage begins within.
pub(crate) struct Grain {
    width: u64,
    /// The first cell or second of each stage.
    starts: Vec<u64>,
}

impl Grain {
    fn new(facts: &Facts<'_>, width: u64, unit_ns: u64) -> Self {
        let stages = facts.plan.load.stages.iter();
        Self {
            width,
            starts: stages
                .map(|stage| ns(stage.start).div_ceil(unit_ns))
                .collect(),
        }
    }

    /// The first cell or second of the stretch that holds this one.
    fn of(&self, number: u64) -> u64 {
        let stages = self.starts.partition_point(|start| *start <= number);
        let stage = stages.checked_sub(1).map_or(0, |last| self.starts[last]);
        stage.max(number - number % self.width)
    }

    /// Moves each within some bounds to the first of its stretch.
    pub(crate) fn gather<T: Default>(
        &self,
        all: &mut BTreeMap<u64, T>,
        within: &Range<u64>,
        merge: impl Fn(&mut T, T),
    ) {
        let numbers = all.range(within.clone()).map(|(number, _)| *number);
        let moved: Vec<u64> = numbers
            .filter(|number| self.of(*number) != *number)
            .collect();
        for number in moved {
            if let Some(one) = all.remove(&number) {
                merge(all.entry(self.of(number)).or_default(), one);
            }
        }
    }
}

/// Length of the pieces of a load that has lasted so many seconds.
fn width(seconds: u64) -> u64 {
    let [.., longest] = WIDTHS;
    let fits = |width: &u64| seconds.div_ceil(*width) <= PIECES_MAX;
    WIDTHS.into_iter().find(fits).unwrap_or(longest)
}

impl Windows {
    /// Expected responses by stretches of time: first second, length in seconds, and by series.
    pub(crate) fn intervals(&self) -> impl Iterator<Item = (u64, u64, &BTreeMap<usize, Sparse>)> {
        let first = self.seconds.first_key_value();
        let until = first.map_or(u64::MAX, |(second, _)| *second);
        let seconds = self.seconds.iter().map(|(second, part)| (*second, 1, part));
        self.folded.pieces(until).chain(seconds)
    }
}

impl Record {
    /// Folds what is over. To be called as lines come in; it does something once a minute of the load.
    pub fn fold(&mut self) {
        let last = self.sums.requests.last_key_value();
        let reached = last.map_or(0, |(cell, _)| cell / CELLS_A_SECOND);
        let due = self.windows.folded.below + AT_A_TIME + KEEP_SECONDS;
        if reached < due || !self.may_fold() {
            return;
        }
        let closed = Facts::of(self).closed / CELLS_A_SECOND;
        let reached = reached.min(closed);
        if reached < due {
            return;
        }
        let below = reached - KEEP_SECONDS;
        self.fold_cells(below);
        if reached > SECONDS_MAX {
            let width = width(reached).max(self.windows.folded.width);
            self.fold_seconds(below - below % width, width);
        }
    }

    fn may_fold(&self) -> bool {
        let plan = &self.header.plan;
        plan.faults.is_empty() && plan.load.search.is_none() && !self.forgotten.anything()
    }

    fn fold_cells(&mut self, below: u64) {
        let grain = Grain::new(&Facts::of(self), CELLS_A_SECOND, CELL_NS);
        let below_cell = below * CELLS_A_SECOND;
        let cells = &mut self.windows.cells;
        let rest = cells.split_off(&below_cell);
        let mut seconds: BTreeMap<u64, BTreeMap<usize, Counts>> = BTreeMap::new();
        for (cell, all) in std::mem::replace(cells, rest) {
            let second = seconds.entry(grain.of(cell)).or_default();
            for (series, one) in all {
                second.entry(series).or_default().merge(&one.counts);
            }
        }
        let folded = &mut self.windows.folded;
        for (first, counts) in seconds {
            let counts = counts.into_iter();
            let packed = counts.map(|(series, counts)| (series, Packed::from(&counts)));
            // What came late stands beside what was there.
            folded.counts.entry(first).or_default().extend(packed);
        }
        let from = std::mem::replace(&mut folded.below, below) * CELLS_A_SECOND;
        self.sums.fold(&grain, &(from..below_cell));
    }

    fn fold_seconds(&mut self, below: u64, width: u64) {
        let facts = Facts::of(self);
        let grain = Grain::new(&facts, width, SECOND_NS);
        let p95 = p95_of_seconds(&facts, below);
        let seconds = &mut self.windows.seconds;
        let rest = seconds.split_off(&below);
        let over = std::mem::replace(seconds, rest);
        let folded = &mut self.windows.folded;
        let merge = |sum: &mut BTreeMap<usize, Sparse>, part: BTreeMap<usize, Sparse>| {
            for (series, responses) in part {
                sum.entry(series).or_default().merge(&responses);
            }
        };
        if width > folded.width {
            grain.gather(&mut folded.pieces, &(0..below), merge);
        }
        for (second, part) in over {
            merge(folded.pieces.entry(grain.of(second)).or_default(), part);
        }
        folded.p95.extend(p95);
        (folded.width, folded.pieces_below) = (width, below);
        self.windows.count_pairs();
    }
}

/// Of each second below a limit that is not folded yet, if a claim is about them.
fn p95_of_seconds(facts: &Facts<'_>, below: u64) -> BTreeMap<u64, u64> {
    let asks = |expect: &Expect| matches!(expect, Expect::Drift { p95: Some(_), .. });
    if !facts.plan.claims.iter().any(|claim| asks(&claim.expect)) {
        return BTreeMap::new();
    }
    let seconds = facts.record.windows.seconds.range(..below);
    let p95 = seconds.filter_map(|(second, _)| Some((*second, facts.p95_of_second(*second)?)));
    p95.collect()
}

#[cfg(test)]
mod tests;
