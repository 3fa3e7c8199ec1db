//! The series that are counted: each journey as a whole, and each of its steps.
//!
//! Invariant: the numbering depends on the plan alone, so engine, verdict and report agree on it.

use chaos_plan::Plan;

/// What one series counts. Indices go into `plan.load.journeys` and its `steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Series {
    pub journey: usize,
    /// `None` for the journey as a whole.
    pub step: Option<usize>,
}

/// All series of a plan: for each journey itself, then its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesTable {
    series: Vec<Series>,
    /// Series number of each journey; its steps follow it.
    journeys: Vec<usize>,
}

impl SeriesTable {
    pub fn new(plan: &Plan) -> Self {
        let mut table = Self {
            series: Vec::new(),
            journeys: Vec::new(),
        };
        for (journey, content) in plan.load.journeys.iter().enumerate() {
            table.journeys.push(table.series.len());
            table.series.push(Series {
                journey,
                step: None,
            });
            table
                .series
                .extend((0..content.steps.len()).map(|step| Series {
                    journey,
                    step: Some(step),
                }));
        }
        table
    }

    pub fn len(&self) -> usize {
        self.series.len()
    }

    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// The series with number `number`.
    pub fn get(&self, number: usize) -> Option<Series> {
        self.series.get(number).copied()
    }

    pub fn of_journey(&self, journey: usize) -> usize {
        self.journeys[journey]
    }

    pub fn of_step(&self, journey: usize, step: usize) -> usize {
        self.journeys[journey] + 1 + step
    }

    pub fn iter(&self) -> impl Iterator<Item = (usize, Series)> + '_ {
        self.series.iter().copied().enumerate()
    }
}
