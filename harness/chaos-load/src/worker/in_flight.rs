//! The journeys under way, by the cell of their intended start.
//!
//! Invariant: a cell is closed only when no journey that began in it, or before it, is under way.

use std::collections::VecDeque;

/// How many journeys of each cell are under way.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// The cell of the first count.
    first: u64,
    /// Cell by cell without gaps; neither the first nor the last is zero.
    counts: VecDeque<u32>,
}

impl InFlight {
    pub(super) fn begin(&mut self, cell: u64) {
        if self.counts.is_empty() {
            self.first = cell;
        }
        while cell < self.first {
            self.counts.push_front(0);
            self.first -= 1;
        }
        let place = self.place(cell);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    pub(super) fn end(&mut self, cell: u64) {
        let place = self.place(cell);
        if let Some(count) = self.counts.get_mut(place) {
            *count -= 1;
        }
        while self.counts.front() == Some(&0) {
            self.counts.pop_front();
            self.first += 1;
        }
        while self.counts.back() == Some(&0) {
            self.counts.pop_back();
        }
    }

    /// The cell of the oldest journey under way.
    pub(super) fn oldest_cell(&self) -> Option<u64> {
        (!self.counts.is_empty()).then_some(self.first)
    }

    fn place(&self, cell: u64) -> usize {
        usize::try_from(cell - self.first).expect("cells of one load fit in memory")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn it_counts_as_a_map_would(acts in prop::collection::vec((0_u64..40, any::<bool>()), 0..200)) {
            let mut in_flight = InFlight::default();
            let mut expected = BTreeMap::<u64, u32>::new();
            for (cell, begins) in acts {
                if begins {
                    in_flight.begin(cell);
                    *expected.entry(cell).or_default() += 1;
                } else if let Some(count) = expected.get_mut(&cell) {
                    in_flight.end(cell);
                    *count -= 1;
                    expected.retain(|_, count| *count > 0);
                }
                prop_assert_eq!(in_flight.oldest_cell(), expected.keys().next().copied());
            }
        }
    }
}
