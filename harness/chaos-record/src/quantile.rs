//! Quantiles over all requests, those without an answer counted as infinitely slow.
//!
//! Invariant: a failure never improves a quantile: it takes a place at the slow end.

use hdrhistogram::Histogram;

use crate::window::Cell;

/// The place, from 1, of the quantile that `over_per_mille` thousandths lie above, among `n`: `ceil(q n)`.
///
/// `bad <= floor(over n / 1000)` says the same as "the request at this place is not bad".
pub fn rank(over_per_mille: u64, n: u64) -> u64 {
    let at_most = u128::from(1_000_u64.saturating_sub(over_per_mille)) * u128::from(n);
    u64::try_from(at_most.div_ceil(1_000)).unwrap_or(n).max(1)
}

/// The response in nanoseconds at that place; `None` if it is infinite or there is no request.
pub fn response(answers: &Histogram<u64>, without_answer: u64, over_per_mille: u64) -> Option<u64> {
    let rank = rank(over_per_mille, answers.len() + without_answer);
    let mut seen = 0;
    answers
        .iter_recorded()
        .find(|step| {
            seen += step.count_since_last_iteration();
            seen >= rank
        })
        .map(|step| step.value_iterated_to() * 1_000)
}

/// The rung that holds the p95 of a cell; `None` if it is infinite or the cell is empty.
pub fn p95_rung(cell: &Cell) -> Option<u16> {
    rung(cell, 50)
}

/// The rung that holds the quantile `over_per_mille` thousandths lie above; `None` if it is infinite or the cell is empty.
pub fn rung(cell: &Cell, over_per_mille: u64) -> Option<u16> {
    let rank = rank(over_per_mille, cell.counts.judged());
    let mut seen = 0;
    cell.rungs
        .iter()
        .find(|(_, count)| {
            seen += **count;
            seen >= rank
        })
        .map(|(rung, _)| *rung)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::{new_histogram, record_ns};

    fn histogram(values_ms: &[u64]) -> Histogram<u64> {
        let mut histogram = new_histogram();
        for ms in values_ms {
            record_ns(&mut histogram, ms * 1_000_000);
        }
        histogram
    }

    #[test]
    fn the_rank_is_the_next_whole_place() {
        for (over, n, expected) in [
            (50, 100, 95),
            (50, 101, 96),
            (50, 1, 1),
            (500, 2, 1),
            (1, 999, 999),
            (1, 1_000, 999),
            (50, 0, 1),
        ] {
            assert_eq!(rank(over, n), expected, "{over} of {n}");
        }
    }

    #[test]
    fn failures_stand_at_the_slow_end() {
        let answers = histogram(&(1..=95).collect::<Vec<_>>());
        let within = |value: Option<u64>, ms: f64| {
            (value.expect("finite") as f64 / 1e6 / ms - 1.0).abs() < 0.001
        };
        assert!(within(response(&answers, 0, 50), 91.0));
        assert!(within(response(&answers, 5, 50), 95.0));
        assert_eq!(response(&answers, 6, 50), None);
        assert_eq!(response(&histogram(&[]), 0, 50), None);
    }

    proptest! {
        #[test]
        fn a_failure_never_improves_a_quantile(values in prop::collection::vec(1_u64..10_000, 1..200), bad in 0_u64..50, over in prop::sample::select(vec![500_u64, 100, 50, 10, 1])) {
            let answers = histogram(&values);
            let infinite = |value: Option<u64>| value.unwrap_or(u64::MAX);
            prop_assert!(infinite(response(&answers, bad + 1, over)) >= infinite(response(&answers, bad, over)));
        }
    }
}
