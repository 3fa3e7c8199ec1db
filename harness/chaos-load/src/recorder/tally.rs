//! A histogram that is cheap to fill and cheap to empty.
//!
//! The buckets are those of [`chaos_record::histogram`]: HDR with 3 significant digits from 1 us to
//! 1 h. Beside the counts it keeps which buckets were touched, so emptying it does not look at all of them.
//! Invariant: what a tally gives is what the histogram of `chaos-record` would have given.

use chaos_record::histogram::{MAX_US, Sparse};

/// Below this every microsecond has its own bucket; above, each octave has half as many.
const LINEAR_US: u64 = 2_048;
const OCTAVE: u16 = 1_024;
const BUCKETS: u16 = bucket_of(MAX_US) + 1;

/// Counts by bucket.
#[derive(Debug)]
pub(super) struct Buckets {
    counts: Box<[u32]>,
    touched: Vec<u16>,
}

impl Buckets {
    pub(super) fn new(buckets: u16) -> Self {
        Self {
            counts: vec![0; usize::from(buckets)].into_boxed_slice(),
            touched: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, bucket: u16) {
        let count = &mut self.counts[usize::from(bucket)];
        if *count == 0 {
            self.touched.push(bucket);
        }
        *count = count.saturating_add(1);
    }

    /// Empties it: the buckets that hold something, in their order.
    pub(super) fn drain(&mut self) -> impl ExactSizeIterator<Item = (u16, u64)> {
        self.touched.sort_unstable();
        let counts = &mut self.counts;
        self.touched.drain(..).map(|bucket| {
            let count = std::mem::take(&mut counts[usize::from(bucket)]);
            (bucket, u64::from(count))
        })
    }
}

/// Counts of durations in microseconds.
#[derive(Debug)]
pub(super) struct Tally(Buckets);

impl Default for Tally {
    fn default() -> Self {
        Self(Buckets::new(BUCKETS))
    }
}

impl Tally {
    /// Adds one duration, rounded to microseconds.
    pub(super) fn record_ns(&mut self, ns: u64) {
        self.0.add(bucket_of(rounded_us(ns)));
    }

    /// Empties it.
    pub(super) fn drain(&mut self) -> Sparse {
        let pairs = self.0.drain();
        Sparse(
            pairs
                .map(|(bucket, count)| (top_us(bucket), count))
                .collect(),
        )
    }
}

/// As [`chaos_record::histogram::record_ns`] rounds.
pub(super) fn rounded_us(ns: u64) -> u64 {
    (ns.saturating_add(500) / 1_000).clamp(1, MAX_US)
}

/// The HDR layout for 3 digits from 1: 2,048 buckets of width 1, then 1,024 an octave, each octave twice as wide.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`us` is at most one hour: 21 octaves, and 2,047 after the shift"
)]
const fn bucket_of(us: u64) -> u16 {
    // 53 zeros lead the largest value of the linear part, 2,047.
    let octave = 53 - (us | (LINEAR_US - 1)).leading_zeros() as u16;
    octave * OCTAVE + (us >> octave) as u16
}

/// Largest duration of a bucket.
fn top_us(bucket: u16) -> u64 {
    let (bucket, width) = (u64::from(bucket), u64::from(OCTAVE));
    if bucket < LINEAR_US {
        return bucket;
    }
    let octave = bucket / width - 1;
    ((bucket % width + width + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use chaos_record::histogram;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_gives_what_the_histogram_gives(parts in prop::collection::vec((0_u32..45, 0_u64..1_000_000), 0..200)) {
            let mut tally = Tally::default();
            let mut expected = histogram::new_histogram();
            for (shift, offset) in parts {
                let ns = (1_u64 << shift) + offset;
                tally.record_ns(ns);
                histogram::record_ns(&mut expected, ns);
            }
            prop_assert_eq!(tally.drain(), Sparse::from(&expected));
            prop_assert!(tally.drain().is_empty());
        }
    }

    #[test]
    fn the_edges_of_octaves_fall_where_they_should() {
        for us in [
            1,
            2_046,
            2_047,
            2_048,
            2_049,
            4_095,
            4_096,
            4_099,
            199_999,
            200_000,
            MAX_US - 1,
            MAX_US,
        ] {
            let mut expected = histogram::new_histogram();
            histogram::record_ns(&mut expected, us * 1_000);
            let mut tally = Tally::default();
            tally.record_ns(us * 1_000);
            assert_eq!(tally.drain(), Sparse::from(&expected), "{us}");
        }
    }
}
