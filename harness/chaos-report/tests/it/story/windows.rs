//! What the requests of the run met: calm, a spike, an instance that dies, one that stops unnoticed.

use std::collections::BTreeMap;

use chaos_plan::Plan;
use chaos_plan::schedule::Schedule;
use chaos_record::histogram::{Sparse, new_histogram, record_ns};
use chaos_record::outcome::{FailKind, Outcome};
use chaos_record::series::SeriesTable;
use chaos_record::window::{Cell, CellDelta, Delta, SecondDelta, ladder};
use chaos_record::{CELL_NS, SECOND_NS};

use super::{KILLED, MS, RECOVERED_AFTER, S};

/// A stream of numbers that is the same everywhere (Knuth's MMIX constants).
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How bad it is at this instant of the load: 0 is calm, 1 is right after the kill.
fn trouble(at: u64) -> f64 {
    let recovered = KILLED + RECOVERED_AFTER;
    if (KILLED..recovered).contains(&at) {
        1.0 - (at - KILLED) as f64 / (RECOVERED_AFTER as f64 * 1.25)
    } else {
        0.0
    }
}

/// The response of a request in nanoseconds, or how it failed.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few seconds at most, and never negative"
)]
fn respond(at: u64, chance: &mut Chance) -> Result<u64, FailKind> {
    let (trouble, u, v) = (trouble(at), chance.next(), chance.next());
    if v < 0.09 * trouble.powi(6) {
        return Err(if v < 0.05 * trouble.powi(6) {
            FailKind::ConnectRefused
        } else {
            FailKind::Reset
        });
    }
    let busy = if (35 * S..75 * S).contains(&at) {
        2.1
    } else {
        1.0
    };
    // About log-normal: most answers near the middle, a tail to the right.
    let spread = (u * 2.0 - 1.0) * 0.9 + (u.powi(24) * 1.1);
    let ms = 9.0 * busy * spread.exp() + 290.0 * trouble * u.powi(3);
    Ok((ms * MS as f64) as u64)
}

/// Cell or second, then series.
type Key = (u64, usize);

#[derive(Default)]
struct Deltas {
    cells: BTreeMap<Key, Cell>,
    seconds: BTreeMap<Key, hdrhistogram::Histogram<u64>>,
}

impl Deltas {
    fn add(&mut self, series: usize, at: u64, response: Result<u64, Outcome>) {
        let cell = self.cells.entry((at / CELL_NS, series)).or_default();
        let counts = &mut cell.counts;
        counts.written += 1;
        match response {
            Ok(ns) => {
                counts.add(Outcome::Ok);
                counts.over.resize(1, 0);
                counts.over[0] += u64::from(ns > 200 * MS);
                *cell.rungs.entry(ladder::rung(ns / 1_000)).or_default() += 1;
                record_ns(
                    self.seconds
                        .entry((at / SECOND_NS, series))
                        .or_insert_with(new_histogram),
                    ns,
                );
            }
            Err(outcome) => counts.add(outcome),
        }
    }

    fn into_delta(self) -> Delta {
        let cell = |((number, series), cell): (Key, Cell)| CellDelta {
            cell: number,
            series,
            counts: cell.counts,
            rungs: cell.rungs.into_iter().collect(),
        };
        let second = |((second, series), histogram): (Key, _)| SecondDelta {
            second,
            series,
            response: Sparse::from(&histogram),
        };
        Delta {
            worker: 0,
            closed_cells: 1_000,
            cells: self.cells.into_iter().map(cell).collect(),
            seconds: self.seconds.into_iter().map(second).collect(),
            clocks: Vec::new(),
        }
    }
}

/// All that the one worker measured.
pub(super) fn delta(plan: &Plan) -> Delta {
    let (table, mut chance, mut deltas) = (SeriesTable::new(plan), Chance(42), Deltas::default());
    for arrival in Schedule::new(plan) {
        let start = u64::try_from(arrival.at.as_nanos()).expect("the load is short");
        let (mut at, mut failed) = (start, None);
        for step in 0..plan.load.journeys[arrival.journey].steps.len() {
            let series = table.of_step(arrival.journey, step);
            let response = if failed.is_some() {
                Err(Outcome::NotReached)
            } else {
                respond(at, &mut chance).map_err(Outcome::Failed)
            };
            deltas.add(series, at, response);
            match response {
                Ok(ns) => at += ns,
                Err(outcome) => failed = failed.or(Some(outcome)),
            }
        }
        deltas.add(
            table.of_journey(arrival.journey),
            start,
            failed.map_or(Ok(at - start), Err),
        );
    }
    deltas.into_delta()
}
