//! What a long record keeps in less detail than it was told, so that a day of load can be judged in
//! bounded memory: cells that are over become seconds at once, and response times become pieces when an
//! hour is over, or before that when there are too many of them: of seconds at first, longer ones as
//! time goes on, at last of an hour, a few hundred at any length. How late the generator woke is gathered.
//!
//! Invariant: whatever the judge and the outputs ask gets the same answer as from the unfolded record.
//! Neither a second nor a piece crosses the begin of a stage; a record with faults or a search, of
//! which single cells are asked, is never folded. The interval log has the pieces for its intervals.

use std::collections::BTreeMap;

use chaos_plan::plan::Expect;

use crate::facts::{Facts, ns};
use crate::histogram::Sparse;
use crate::outcome::Counts;
use crate::record::Record;
use crate::window::Windows;
use crate::{CELL_NS, SECOND_NS};

mod looks;
mod packed;

pub(crate) use self::packed::Packed;

const CELLS_A_SECOND: u64 = SECOND_NS / CELL_NS;
/// Seconds not folded yet: a watcher of the running load looks at the last five. Each of them takes as
/// much room as hundreds that are folded.
const KEEP_SECONDS: u64 = 15;
/// Seconds folded at a time.
const AT_A_TIME: u64 = 60;
/// Response times of seconds are kept so long, in seconds.
const SECONDS_MAX: u64 = 3_600;
/// Pairs of value and count, of 16 bytes: more of them by seconds, and pieces begin; more of them in
/// pieces, and a longer length is chosen.
const PAIRS_MAX: usize = 1_500_000;
/// Lengths of pieces in seconds, each a multiple of those before it.
const WIDTHS: [u64; 7] = [5, 10, 30, 60, 300, 900, 3_600];
/// So many pieces, and a longer length is chosen; beyond ten days there are more.
const PIECES_MAX: u64 = 240;

/// What was folded.
#[derive(Debug, Clone, Default)]
pub(crate) struct Folded {
    /// Seconds below this one are folded, and so are the response times of those below the other.
    below: u64,
    pieces_below: u64,
    /// By the first cell of a second; of each series.
    pub(crate) counts: BTreeMap<u64, Packed>,
    /// By the first second of a piece, then series.
    pub(crate) pieces: BTreeMap<u64, Responses>,
    /// Length of the pieces in seconds; 0 while there are none.
    width: u64,
    /// Of each second in a piece the p95 of all requests, if it has one and a claim asks.
    p95: BTreeMap<u64, u64>,
    /// So many looks of the generator are folded.
    looks: usize,
}

impl Folded {
    /// Length of the pieces in seconds, 1 if there are none.
    pub(crate) fn width(&self) -> u64 {
        self.width.max(1)
    }

    /// The pieces with their first seconds and their lengths in seconds.
    fn pieces(&self, until: u64) -> impl Iterator<Item = (u64, u64, &Responses)> {
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

    /// What stands below a bound, taken out and gathered by the first of each stretch.
    pub(crate) fn take<T, S: Default>(
        &self,
        all: &mut BTreeMap<u64, T>,
        below: u64,
        merge: impl Fn(&mut S, T),
    ) -> BTreeMap<u64, S> {
        let rest = all.split_off(&below);
        let mut gathered = BTreeMap::new();
        for (number, one) in std::mem::replace(all, rest) {
            merge(gathered.entry(self.of(number)).or_default(), one);
        }
        gathered
    }
}

/// Length of the pieces of a load that has lasted so many seconds.
fn width(seconds: u64) -> u64 {
    let [.., longest] = WIDTHS;
    let fits = |width: &u64| seconds.div_ceil(*width) <= PIECES_MAX;
    WIDTHS.into_iter().find(fits).unwrap_or(longest)
}

/// The next length of pieces, if there is a longer one.
fn longer(width: u64) -> Option<u64> {
    WIDTHS.into_iter().find(|longer| *longer > width)
}

/// Response times by series.
type Responses = BTreeMap<usize, Sparse>;

fn merge(sum: &mut Responses, part: Responses) {
    for (series, responses) in part {
        sum.entry(series).or_default().merge(&responses);
    }
}

/// Pairs of value and count that these hold.
pub(crate) fn pairs(all: &BTreeMap<u64, Responses>) -> usize {
    let kept = all.values().flat_map(BTreeMap::values);
    kept.map(|responses| responses.0.len()).sum()
}

impl Windows {
    /// Expected responses by stretches of time: first second, length in seconds, and by series.
    pub(crate) fn intervals(&self) -> impl Iterator<Item = (u64, u64, &Responses)> {
        let first = self.seconds.first_key_value();
        let until = first.map_or(u64::MAX, |(second, _)| *second);
        let seconds = self.seconds.iter().map(|(second, part)| (*second, 1, part));
        self.folded.pieces(until).chain(seconds)
    }

    /// Makes pieces of the seconds below one, and longer ones of those there are. The last piece may be shorter yet.
    fn gather(&mut self, grain: &Grain, below: u64, width: u64) {
        let over = grain.take(&mut self.seconds, below, merge);
        let folded = &mut self.folded;
        if width > folded.width {
            folded.pieces = grain.take(&mut folded.pieces, below, merge);
        }
        for (first, part) in over {
            merge(folded.pieces.entry(first).or_default(), part);
        }
        (folded.width, folded.pieces_below) = (width, below);
        self.count_pairs();
    }
}

impl Record {
    /// Folds what is over. To be called as lines come in; it does something once a minute of the load.
    pub fn fold(&mut self) {
        self.fold_beyond(PAIRS_MAX);
    }

    fn fold_beyond(&mut self, pairs_max: usize) {
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
        self.fold_looks(below);
        let has_begun = self.windows.folded.width > 0;
        if has_begun || reached > SECONDS_MAX || self.windows.pairs > pairs_max {
            self.fold_seconds(below, width(reached), pairs_max);
        }
    }

    fn may_fold(&self) -> bool {
        let plan = &self.header.plan;
        plan.faults.is_empty() && plan.load.search.is_none() && !self.forgotten.anything()
    }

    fn fold_cells(&mut self, below: u64) {
        let grain = Grain::new(&Facts::of(self), CELLS_A_SECOND, CELL_NS);
        let below_cell = below * CELLS_A_SECOND;
        let windows = &mut self.windows;
        let seconds = grain.take(&mut windows.cells, below_cell, |second, cells| {
            let second: &mut BTreeMap<usize, Counts> = second;
            for (series, cell) in cells {
                second.entry(series).or_default().merge(&cell.counts);
            }
        });
        let folded = &mut windows.folded;
        for (first, second) in seconds {
            // What came late stands beside what was there.
            folded.counts.entry(first).or_default().append(&second);
        }
        folded.below = below;
        self.sums.fold(&grain, below_cell);
    }

    /// Response times below a second become pieces of at least this length.
    fn fold_seconds(&mut self, below: u64, width: u64, pairs_max: usize) {
        let facts = Facts::of(self);
        let p95 = p95_of_seconds(&facts, below);
        let windows = &self.windows;
        let mut width = width.max(windows.folded.width);
        let mut grain = Grain::new(&facts, width, SECOND_NS);
        self.windows.gather(&grain, below, width);
        while pairs(&self.windows.folded.pieces) > pairs_max
            && let Some(longer) = longer(width)
        {
            (width, grain.width) = (longer, longer);
            self.windows.gather(&grain, below, width);
        }
        self.windows.folded.p95.extend(p95);
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
