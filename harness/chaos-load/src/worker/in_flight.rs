//! The journeys under way, by the cell of their intended start.
//!
//! Invariant: a cell is closed only when no journey that began in it, or before it, is under way.

use std::collections::BTreeMap;

/// How many journeys of each cell are under way.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    cells: BTreeMap<u64, usize>,
}

impl InFlight {
    pub(super) fn begin(&mut self, cell: u64) {
        *self.cells.entry(cell).or_default() += 1;
    }

    pub(super) fn end(&mut self, cell: u64) {
        if let Some(count) = self.cells.get_mut(&cell) {
            *count -= 1;
            if *count == 0 {
                self.cells.remove(&cell);
            }
        }
    }

    /// The cell of the oldest journey under way.
    pub(super) fn oldest_cell(&self) -> Option<u64> {
        self.cells.first_key_value().map(|(cell, _)| *cell)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_cell_stays_until_its_last_journey_ends() {
        let mut in_flight = InFlight::default();
        for cell in [3, 3, 5] {
            in_flight.begin(cell);
        }
        for (ended, oldest) in [(3, Some(3)), (5, Some(3)), (3, None)] {
            in_flight.end(ended);
            assert_eq!(in_flight.oldest_cell(), oldest);
        }
    }
}
