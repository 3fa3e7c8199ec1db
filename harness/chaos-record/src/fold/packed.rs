//! Counts in few bytes: a soak holds some of them for every series and second.
//!
//! Invariant: what is unpacked equals what was packed, added up.

use std::collections::BTreeMap;

use crate::outcome::{Counts, FailKind};

/// Numbers of the counters that always exist: eight, then each kind of failure, then those caught.
const FAILED: usize = 8;
const CAUGHT: usize = FAILED + FailKind::ALL.len();
const OVER: usize = CAUGHT + 2;

/// Counts by number of a series: for each the number, how many counters follow, and those that are not 0 by
/// their numbers; each figure in as many bytes of seven bits as it takes (LEB128).
#[derive(Debug, Clone, Default)]
pub(crate) struct Packed(Box<[u8]>);

impl Packed {
    /// Adds these.
    pub(crate) fn append(&mut self, all: &BTreeMap<usize, Counts>) {
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        for (series, counts) in all {
            let kept = kept(counts);
            put(&mut bytes, *series as u64);
            put(&mut bytes, kept.len() as u64);
            for (number, n) in kept {
                put(&mut bytes, number as u64);
                put(&mut bytes, n);
            }
        }
        self.0 = bytes.into_boxed_slice();
    }

    /// Adds what is held of the series that `keep` picks.
    pub(crate) fn add_to(&self, sum: &mut Counts, keep: impl Fn(usize) -> bool) {
        let mut figures = Figures(&self.0);
        while let Some(series) = figures.next() {
            let is_kept = keep(index(series));
            for _ in 0..figures.next().unwrap_or(0) {
                if let (Some(number), Some(n)) = (figures.next(), figures.next())
                    && is_kept
                {
                    *counter(sum, index(number)) += n;
                }
            }
        }
    }
}

/// Each counter that is not 0, by its number.
fn kept(counts: &Counts) -> Vec<(usize, u64)> {
    // Without `..`: a counter that is added and not packed here does not compile.
    let Counts {
        ok,
        failed,
        not_reached,
        shed,
        cancelled,
        over,
        written,
        late,
        overdue,
        outlasting,
        caught,
    } = counts;
    let single = [
        ok,
        not_reached,
        shed,
        cancelled,
        written,
        late,
        overdue,
        outlasting,
    ];
    let all = single.into_iter().chain(failed).chain(caught).chain(over);
    // The last limit is kept though it be 0: it tells how many there are.
    let last = OVER + over.len();
    let all = (0..).zip(all.copied());
    all.filter(|(number, n)| *n > 0 || *number + 1 == last && last > OVER)
        .collect()
}

fn put(bytes: &mut Vec<u8>, mut figure: u64) {
    while figure > 0x7f {
        bytes.push(figure.to_le_bytes()[0] | 0x80);
        figure >>= 7;
    }
    bytes.push(figure.to_le_bytes()[0]);
}

/// What [`put`] wrote.
struct Figures<'a>(&'a [u8]);

impl Iterator for Figures<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let last = self.0.iter().position(|byte| *byte <= 0x7f)?;
        let (figure, rest) = self.0.split_at(last + 1);
        self.0 = rest;
        let add = |sum: u64, byte: &u8| sum << 7 | u64::from(byte & 0x7f);
        Some(figure.iter().rev().fold(0, add))
    }
}

/// Only what was an index is read back as one.
fn index(figure: u64) -> usize {
    usize::try_from(figure).unwrap_or(usize::MAX)
}

fn counter(counts: &mut Counts, number: usize) -> &mut u64 {
    match number {
        0 => &mut counts.ok,
        1 => &mut counts.not_reached,
        2 => &mut counts.shed,
        3 => &mut counts.cancelled,
        4 => &mut counts.written,
        5 => &mut counts.late,
        6 => &mut counts.overdue,
        7 => &mut counts.outlasting,
        FAILED..CAUGHT => &mut counts.failed[number - FAILED],
        CAUGHT..OVER => &mut counts.caught[number - CAUGHT],
        _ => {
            let limit = number - OVER;
            if counts.over.len() <= limit {
                counts.over.resize(limit + 1, 0);
            }
            &mut counts.over[limit]
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn figure() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..3, 100_u64..20_000, Just(u64::MAX / 2)]
    }

    fn counts() -> impl Strategy<Value = Counts> {
        (
            prop::array::uniform8(figure()),
            prop::array::uniform13(0_u64..2),
            prop::array::uniform2(0_u64..2),
            prop::collection::vec(figure(), 0..4),
        )
            .prop_map(|(single, failed, caught, over)| {
                let [
                    ok,
                    not_reached,
                    shed,
                    cancelled,
                    written,
                    late,
                    overdue,
                    outlasting,
                ] = single;
                Counts {
                    ok,
                    failed,
                    not_reached,
                    shed,
                    cancelled,
                    over,
                    written,
                    late,
                    overdue,
                    outlasting,
                    caught,
                }
            })
    }

    proptest! {
        #[test]
        fn unpacking_gives_what_was_packed(
            series in prop::collection::btree_map(0_usize..300, counts(), 0..4),
            late in prop::collection::btree_map(0_usize..300, counts(), 0..2),
        ) {
            let mut packed = Packed::default();
            packed.append(&series);
            for (number, counts) in &series {
                let mut sum = Counts::default();
                packed.add_to(&mut sum, |kept| kept == *number);
                prop_assert_eq!(&sum, counts);
            }
            packed.append(&late);
            let number = late.keys().next().copied().unwrap_or(1);
            let (mut sum, mut expected) = (Counts::default(), Counts::default());
            packed.add_to(&mut sum, |kept| kept == number);
            for counts in series.get(&number).into_iter().chain(late.get(&number)) {
                expected.merge(counts);
            }
            prop_assert_eq!(sum, expected);
        }
    }
}
