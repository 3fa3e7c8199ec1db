//! Values by time and series, of which the one used last in each series is found without a search.
//!
//! Requests end nearly in the order they were intended in, so nearly all go where the one before went.
//! Invariant: a value is made once for each time and series, and stays until the shelf is drained.

use std::collections::BTreeMap;

/// See above.
#[derive(Debug)]
pub(super) struct Shelf<T> {
    /// With its time and series.
    values: Vec<(u64, usize, T)>,
    places: BTreeMap<(u64, usize), usize>,
    /// For each series the time that was used last, and the place of its value.
    last: Vec<(u64, usize)>,
}

/// No time is this one.
const NEVER: u64 = u64::MAX;

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            places: BTreeMap::new(),
            last: Vec::new(),
        }
    }
}

impl<T> Shelf<T> {
    /// The value of this time and series, made if it is not there.
    pub(super) fn get(&mut self, time: u64, series: usize, make: impl FnOnce() -> T) -> &mut T {
        let place = match self.last.get(series) {
            Some((last, place)) if *last == time => *place,
            Some(_) | None => self.search(time, series, make),
        };
        &mut self.values[place].2
    }

    fn search(&mut self, time: u64, series: usize, make: impl FnOnce() -> T) -> usize {
        let values = &mut self.values;
        let place = *self.places.entry((time, series)).or_insert_with(|| {
            values.push((time, series, make()));
            values.len() - 1
        });
        if self.last.len() <= series {
            self.last.resize(series + 1, (NEVER, 0));
        }
        self.last[series] = (time, place);
        place
    }

    /// Takes everything out, in order of time and series.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = (u64, usize, T)> {
        self.places.clear();
        self.last.clear();
        self.values
            .sort_unstable_by_key(|(time, series, _)| (*time, *series));
        self.values.drain(..)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(rounds in prop::collection::vec(prop::collection::vec((0_u64..6, 0_usize..4), 0..60), 1..4)) {
            let mut shelf = Shelf::default();
            for uses in rounds {
                let mut expected = BTreeMap::new();
                for (time, series) in uses {
                    *shelf.get(time, series, || 0) += 1;
                    *expected.entry((time, series)).or_insert(0) += 1;
                }
                let found: Vec<_> = shelf.drain().collect();
                let expected: Vec<_> = expected.into_iter().map(|((time, series), n)| (time, series, n)).collect();
                prop_assert_eq!(found, expected);
            }
        }
    }
}
