//! How many journeys the schedule holds in each cell: what everything counted is compared with.
//!
//! Invariant: it comes from the plan alone, by the same arithmetic the engine uses:
//! an arrival lies in the cell `nanoseconds / CELL_NS`.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::Plan;
use chaos_plan::plan::Segment;
use chaos_plan::schedule::{Arrival, Schedule};

use crate::CELL_NS;
use crate::forget::Forgotten;
use crate::series::SeriesTable;
use crate::window::Delta;

const CELLS_A_SECOND: usize = 10;

/// Planned journeys by cell; only seconds with an arrival are kept.
#[derive(Debug, Clone)]
pub struct Planned {
    /// By second: one count a journey for each of its cells, one cell behind the other. A day has
    /// 864,000 cells, too many for each to be kept by itself.
    seconds: BTreeMap<u64, Box<[u32]>>,
    /// Steps of each journey.
    steps: Vec<u64>,
    /// While a search goes on: the schedule behind everything that is certain.
    certain: Option<Box<Certain>>,
}

/// Where the last segment of a search begins, and the schedule from there on.
#[derive(Debug, Clone)]
struct Certain {
    until: u64,
    schedule: Schedule,
}

impl Planned {
    /// Every arrival of the plan intended at or before `until`, nanoseconds from the start of the load.
    pub fn new(plan: &Plan, until: u64) -> Self {
        let steps: Vec<u64> = plan
            .load
            .journeys
            .iter()
            .map(|journey| journey.steps.len() as u64)
            .collect();
        let mut planned = Self {
            seconds: BTreeMap::new(),
            steps,
            certain: None,
        };
        let mut schedule = Schedule::new(plan);
        for arrival in &mut schedule {
            if nanos(&arrival) > until {
                break;
            }
            planned.count(&arrival);
        }
        planned.certain = plan.load.search.as_ref().map(|search| {
            let until = u64::try_from(search.start.as_nanos()).unwrap_or(u64::MAX);
            Box::new(Certain { until, schedule })
        });
        planned
    }

    fn count(&mut self, arrival: &Arrival) {
        self.add(nanos(arrival) / CELL_NS, arrival.journey, 1);
    }

    fn add(&mut self, cell: u64, journey: usize, n: u64) {
        let journeys = self.steps.len();
        let (second, place) = place(cell);
        let second = self.seconds.entry(second);
        let counts = second.or_insert_with(|| vec![0; CELLS_A_SECOND * journeys].into());
        let count = &mut counts[place * journeys + journey];
        *count = count.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// Takes back what was counted in cells that `keep` does not pick.
    fn retain(&mut self, keep: impl Fn(u64) -> bool) {
        let journeys = self.steps.len().max(1);
        self.seconds.retain(|second, counts| {
            let mut is_kept = false;
            for (cell, counts) in cells_of(*second).zip(counts.chunks_exact_mut(journeys)) {
                if keep(cell) {
                    is_kept = true;
                } else {
                    counts.fill(0);
                }
            }
            is_kept
        });
    }

    /// Counts by journey of cells `from..until`.
    fn cells(&self, from: u64, until: u64) -> impl Iterator<Item = &[u32]> {
        let until = until.max(from);
        let seconds = place(from).0..=place(until).0;
        let journeys = self.steps.len().max(1);
        self.seconds
            .range(seconds)
            .flat_map(move |(second, counts)| {
                let cells = cells_of(*second).zip(counts.chunks_exact(journeys));
                cells
                    .filter(move |(cell, _)| (from..until).contains(cell))
                    .map(|(_, counts)| counts)
            })
    }

    /// Goes on with what a search decided on: its last segment ends where this one begins, and this
    /// one lasts as long as it may until the next is known. Segments begin where cells do.
    pub(crate) fn follow(&mut self, segment: &Segment) {
        let Some(mut certain) = self.certain.take() else {
            return;
        };
        let first = certain.until.div_ceil(CELL_NS);
        self.retain(|cell| cell < first);
        let begin = Duration::from_nanos(segment.from);
        while let Some(arrival) = certain.schedule.next_before(begin) {
            self.count(&arrival);
        }
        certain.schedule.follow(segment);
        certain.until = segment.from;
        for arrival in certain.schedule.clone() {
            self.count(&arrival);
        }
        self.certain = Some(certain);
    }

    /// Drops what was forgotten.
    pub(crate) fn keep(&mut self, forgotten: &Forgotten) {
        self.retain(|cell| forgotten.keeps(cell));
    }

    /// Takes up what was begun: in a closed model without a cycle nothing is due beforehand, and
    /// journeys are counted against those begun.
    pub(crate) fn begun(&mut self, delta: &Delta, table: &SeriesTable) {
        for part in &delta.cells {
            let whole = table
                .get(part.series)
                .filter(|series| series.step.is_none());
            if let Some(series) = whole {
                self.add(part.cell, series.journey, part.counts.total());
            }
        }
    }

    /// Arrivals of one journey in cells `from..until`.
    pub fn of_journey(&self, journey: usize, from: u64, until: u64) -> u64 {
        let cells = self.cells(from, until);
        cells
            .filter_map(|counts| counts.get(journey))
            .map(|count| u64::from(*count))
            .sum()
    }

    /// Arrivals of all journeys in cells `from..until`.
    pub fn journeys(&self, from: u64, until: u64) -> u64 {
        let counts = self.cells(from, until).flatten();
        counts.map(|count| u64::from(*count)).sum()
    }

    /// Requests of the journeys that arrive in cells `from..until`: each has all the steps of its journey.
    pub fn requests(&self, from: u64, until: u64) -> u64 {
        let counts = self
            .cells(from, until)
            .flat_map(|counts| counts.iter().zip(&self.steps));
        counts.map(|(count, steps)| u64::from(*count) * steps).sum()
    }
}

/// The cells of a second; a number that no load reaches may come from a damaged record.
fn cells_of(second: u64) -> impl Iterator<Item = u64> {
    let first = second * CELLS_A_SECOND as u64;
    (0..CELLS_A_SECOND as u64).map(move |place| first.saturating_add(place))
}

/// In which second a cell lies, and at what place of it.
fn place(cell: u64) -> (u64, usize) {
    let cells = CELLS_A_SECOND as u64;
    let place = usize::try_from(cell % cells).expect("below ten");
    (cell / cells, place)
}

fn nanos(arrival: &Arrival) -> u64 {
    u64::try_from(arrival.at.as_nanos()).unwrap_or(u64::MAX)
}
