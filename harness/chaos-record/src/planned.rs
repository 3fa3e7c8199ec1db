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

/// Planned journeys by cell; only cells with an arrival are kept.
#[derive(Debug, Clone)]
pub struct Planned {
    cells: BTreeMap<u64, Vec<u64>>,
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
            cells: BTreeMap::new(),
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
        let journeys = self.steps.len();
        let cell = self.cells.entry(nanos(arrival) / CELL_NS);
        cell.or_insert_with(|| vec![0; journeys])[arrival.journey] += 1;
    }

    /// Goes on with what a search decided on: its last segment ends where this one begins, and this
    /// one lasts as long as it may until the next is known. Segments begin where cells do.
    pub(crate) fn follow(&mut self, segment: &Segment) {
        let Some(mut certain) = self.certain.take() else {
            return;
        };
        drop(self.cells.split_off(&certain.until.div_ceil(CELL_NS)));
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
        self.cells.retain(|cell, _| forgotten.keeps(*cell));
    }

    /// Takes up what was begun: in a closed model without a cycle nothing is due beforehand, and
    /// journeys are counted against those begun.
    pub(crate) fn begun(&mut self, delta: &Delta, table: &SeriesTable) {
        for part in &delta.cells {
            let whole = table
                .get(part.series)
                .filter(|series| series.step.is_none());
            if let Some(series) = whole {
                let journeys = self.steps.len();
                let cell = self
                    .cells
                    .entry(part.cell)
                    .or_insert_with(|| vec![0; journeys]);
                cell[series.journey] += part.counts.total();
            }
        }
    }

    /// Arrivals of one journey in cells `from..until`.
    pub fn of_journey(&self, journey: usize, from: u64, until: u64) -> u64 {
        self.cells
            .range(from..until.max(from))
            .filter_map(|(_, counts)| counts.get(journey))
            .sum()
    }

    /// Arrivals of all journeys in cells `from..until`.
    pub fn journeys(&self, from: u64, until: u64) -> u64 {
        self.cells
            .range(from..until.max(from))
            .flat_map(|(_, counts)| counts)
            .sum()
    }

    /// Requests of the journeys that arrive in cells `from..until`: each has all the steps of its journey.
    pub fn requests(&self, from: u64, until: u64) -> u64 {
        let of_cell = |counts: &Vec<u64>| {
            counts
                .iter()
                .zip(&self.steps)
                .map(|(count, steps)| count * steps)
                .sum::<u64>()
        };
        self.cells
            .range(from..until.max(from))
            .map(|(_, counts)| of_cell(counts))
            .sum()
    }
}

fn nanos(arrival: &Arrival) -> u64 {
    u64::try_from(arrival.at.as_nanos()).unwrap_or(u64::MAX)
}
