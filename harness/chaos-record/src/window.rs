//! Windows: what happened to the requests that were *intended* in a stretch of time.
//!
//! Samples never leave their worker. It sends [`Delta`]s: additive parts of 100 ms cells with exact
//! counts, 1 s cells with the response histogram, and the other clocks for each stage.
//! Invariant: adding deltas in any order gives the same [`Windows`].

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::fold::{self, Folded};
use crate::forget::Forgotten;
use crate::histogram::{Sparse, new_histogram};
use crate::outcome::Counts;

/// What one worker has to add. Cells and seconds are numbered from the start of the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub worker: usize,
    /// Every request intended in a cell below this one is accounted for by this worker.
    pub closed_cells: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellDelta>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seconds: Vec<SecondDelta>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clocks: Vec<ClockDelta>,
}

/// Counts of one series in one 100 ms cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CellDelta {
    pub cell: u64,
    pub series: usize,
    pub counts: Counts,
    /// Responses that were as expected, by rung of [`ladder`]: `[[rung, count], ...]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rungs: Vec<(u16, u64)>,
}

/// Responses of one series in one second that were as expected; failures have no finite response.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondDelta {
    pub second: u64,
    pub series: usize,
    pub response: Sparse,
}

/// The generator's and the wire's clocks over all requests intended in one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClockDelta {
    pub stage: usize,
    /// Dispatched after intended.
    pub lag: Sparse,
    /// Written after dispatched: waiting for a connection.
    pub wait: Sparse,
    /// First byte after written.
    pub first_byte: Sparse,
    /// Last byte after written.
    pub service: Sparse,
}

/// The ladder of response times that 100 ms cells keep: 16 rungs an octave from 1 us, so a rung is 4.4 % wide.
pub mod ladder {
    /// The rung that holds a response of `us` microseconds: the smallest whose [`top_us`] is at least `us`.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "16 * log2 of at most one hour is below 600"
    )]
    pub fn rung(us: u64) -> u16 {
        ((us.clamp(1, crate::histogram::MAX_US) as f64).log2() * 16.0).ceil() as u16
    }

    /// Upper edge of a rung in microseconds.
    pub fn top_us(rung: u16) -> f64 {
        (f64::from(rung) / 16.0).exp2()
    }
}

/// All deltas of a run added up.
#[derive(Debug, Clone, Default)]
pub struct Windows {
    /// By cell, then series.
    pub cells: BTreeMap<u64, BTreeMap<usize, Cell>>,
    /// By second, then series. Sparse: a dense histogram of this layout takes 180 kB.
    pub seconds: BTreeMap<u64, BTreeMap<usize, Sparse>>,
    /// By stage.
    pub clocks: BTreeMap<usize, Clocks>,
    /// Pairs of value and count that `seconds` holds.
    pub(crate) pairs: usize,
    /// What of `cells` and `seconds` a long record keeps in less detail.
    pub(crate) folded: Folded,
    closed: BTreeMap<usize, u64>,
}

/// One series in one 100 ms cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    pub counts: Counts,
    pub rungs: BTreeMap<u16, u64>,
}

impl Cell {
    pub fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
        for (rung, count) in &other.rungs {
            *self.rungs.entry(*rung).or_default() += count;
        }
    }
}

/// The other clocks of one stage.
#[derive(Debug, Clone)]
pub struct Clocks {
    pub lag: Histogram<u64>,
    pub wait: Histogram<u64>,
    pub first_byte: Histogram<u64>,
    pub service: Histogram<u64>,
}

impl Default for Clocks {
    fn default() -> Self {
        Self {
            lag: new_histogram(),
            wait: new_histogram(),
            first_byte: new_histogram(),
            service: new_histogram(),
        }
    }
}

impl Windows {
    /// Adds one delta.
    pub fn add(&mut self, delta: &Delta) {
        for part in &delta.cells {
            let cell = self
                .cells
                .entry(part.cell)
                .or_default()
                .entry(part.series)
                .or_default();
            cell.counts.merge(&part.counts);
            for (rung, count) in &part.rungs {
                *cell.rungs.entry(*rung).or_default() += count;
            }
        }
        for part in &delta.seconds {
            let responses = self
                .seconds
                .entry(part.second)
                .or_default()
                .entry(part.series)
                .or_default();
            let before = responses.0.len();
            responses.merge(&part.response);
            self.pairs += responses.0.len() - before;
        }
        for part in &delta.clocks {
            let clocks = self.clocks.entry(part.stage).or_default();
            part.lag.add_to(&mut clocks.lag);
            part.wait.add_to(&mut clocks.wait);
            part.first_byte.add_to(&mut clocks.first_byte);
            part.service.add_to(&mut clocks.service);
        }
        let closed = self.closed.entry(delta.worker).or_default();
        *closed = delta.closed_cells.max(*closed);
    }

    /// Drops what was forgotten; the clocks, which are few, stay.
    pub(crate) fn keep(&mut self, forgotten: &Forgotten) {
        self.cells.retain(|cell, _| forgotten.keeps(*cell));
        self.seconds
            .retain(|second, _| forgotten.keeps_second(*second));
        self.count_pairs();
    }

    pub(crate) fn count_pairs(&mut self) {
        self.pairs = fold::pairs(&self.seconds);
    }

    /// Length in seconds of what response times are kept by: 1, or more of a long load.
    pub fn piece_seconds(&self) -> u64 {
        self.folded.width()
    }

    /// Cells below this number are complete, given `workers` workers.
    pub fn closed_cells(&self, workers: usize) -> u64 {
        if self.closed.len() < workers {
            0
        } else {
            self.closed.values().copied().min().unwrap_or(0)
        }
    }

    /// One series, or all that `keep` picks, over cells `from..until`, added up.
    pub fn sum(&self, from: u64, until: u64, keep: impl Fn(usize) -> bool) -> Cell {
        let mut sum = Cell::default();
        let range = from..until.max(from);
        for (_, second) in self.folded.counts.range(range.clone()) {
            second.add_to(&mut sum.counts, &keep);
        }
        for cells in self.cells.range(range).map(|(_, cells)| cells) {
            for (_, cell) in cells.iter().filter(|(series, _)| keep(**series)) {
                sum.merge(cell);
            }
        }
        sum
    }

    /// Expected responses of the series that `keep` picks over seconds `from..until`, added up.
    pub fn responses(&self, from: u64, until: u64, keep: impl Fn(usize) -> bool) -> Histogram<u64> {
        let mut sum = new_histogram();
        let range = from..until.max(from);
        let pieces = self.folded.pieces.range(range.clone());
        for (_, seconds) in pieces.chain(self.seconds.range(range)) {
            for (_, responses) in seconds.iter().filter(|(series, _)| keep(**series)) {
                responses.add_to(&mut sum);
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_holds_what_is_at_most_its_top() {
        for us in [
            1,
            2,
            3,
            999,
            1_000,
            199_999,
            200_000,
            200_001,
            3_600_000_000,
        ] {
            let rung = ladder::rung(us);
            assert!(ladder::top_us(rung) >= us as f64 * (1.0 - 1e-12), "{us}");
            assert!(rung == 0 || ladder::top_us(rung - 1) < us as f64, "{us}");
            assert!(ladder::top_us(rung) <= us as f64 * 1.0443, "{us}");
        }
    }

    #[test]
    fn deltas_add_up_in_any_order() {
        let delta = |worker, cell, ok| Delta {
            worker,
            closed_cells: cell,
            cells: vec![CellDelta {
                cell,
                series: 0,
                counts: Counts {
                    ok,
                    ..Counts::default()
                },
                rungs: vec![(3, ok)],
            }],
            ..Delta::default()
        };
        let parts = [delta(0, 1, 2), delta(1, 1, 3), delta(0, 2, 5)];
        let sum_of = |order: &[usize]| {
            let mut windows = Windows::default();
            for i in order {
                windows.add(&parts[*i]);
            }
            (
                windows.sum(0, 10, |_| true),
                windows.closed_cells(2),
                windows.closed_cells(3),
            )
        };
        assert_eq!(sum_of(&[0, 1, 2]), sum_of(&[2, 1, 0]));
        let (sum, closed, unknown) = sum_of(&[0, 1, 2]);
        assert_eq!((sum.counts.ok, closed, unknown), (10, 1, 0));
    }
}
