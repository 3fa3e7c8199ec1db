//! Counts in few bytes: a soak holds some of them for every series and second.
//!
//! Invariant: what is unpacked equals what was packed.

use crate::outcome::{Counts, FailKind};

/// Numbers of the counters that always exist: seven, then each kind of failure, then those caught.
const FAILED: usize = 7;
const CAUGHT: usize = FAILED + FailKind::ALL.len();
const OVER: usize = CAUGHT + 2;

/// Each counter that is not 0, by its number.
#[derive(Debug, Clone)]
pub(crate) struct Packed(Box<[(u16, u64)]>);

impl From<&Counts> for Packed {
    fn from(counts: &Counts) -> Self {
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
            caught,
        } = counts;
        let single = [ok, not_reached, shed, cancelled, written, late, overdue];
        let all = single.into_iter().chain(failed).chain(caught).chain(over);
        // The last limit is kept though it be 0: it tells how many there are.
        let last = OVER + over.len();
        let kept = (0..).zip(all.copied());
        Self(
            kept.filter(|(number, n)| *n > 0 || usize::from(*number) + 1 == last && last > OVER)
                .collect(),
        )
    }
}

impl Packed {
    pub(crate) fn add_to(&self, counts: &mut Counts) {
        for (number, n) in &self.0 {
            *counter(counts, usize::from(*number)) += n;
        }
    }
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

    proptest! {
        #[test]
        fn unpacking_gives_what_was_packed(
            single in prop::array::uniform7(0_u64..3),
            failed in prop::array::uniform13(0_u64..2),
            caught in prop::array::uniform2(0_u64..2),
            over in prop::collection::vec(0_u64..2, 0..4),
        ) {
            let [ok, not_reached, shed, cancelled, written, late, overdue] = single;
            let counts = Counts { ok, failed, not_reached, shed, cancelled, over, written, late, overdue, caught };
            let mut sum = Counts::default();
            Packed::from(&counts).add_to(&mut sum);
            prop_assert_eq!(&sum, &counts);
            Packed::from(&counts).add_to(&mut sum);
            let mut twice = counts.clone();
            twice.merge(&counts);
            prop_assert_eq!(sum, twice);
        }
    }
}
