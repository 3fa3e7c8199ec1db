//! Limits of a Poisson count: how many bad requests chance alone explains.
//!
//! Invariant: both limits are exact sums over the distribution, not a normal approximation, which
//! is wrong for the small means that matter here.

/// The smallest `k` with P(X <= k) >= `confidence`: a count above it is more than chance explains.
///
/// A mean of 0 has the limit 0, so that after a reference without any bad request every bad one counts.
pub fn upper(mean: f64, confidence: f64) -> u64 {
    first_above(mean, |cumulated| cumulated >= confidence)
}

/// The smallest `k` with P(X <= k) > 1 - `confidence`: a count below it is less than chance explains.
pub fn lower(mean: f64, confidence: f64) -> u64 {
    first_above(mean, |cumulated| cumulated > 1.0 - confidence)
}

/// Largest mean that is summed up; beyond it the answer is that of this mean.
const MEAN_MAX: f64 = 1e9;

fn first_above(mean: f64, enough: impl Fn(f64) -> bool) -> u64 {
    if mean.is_nan() || mean <= 0.0 {
        return 0;
    }
    let (first, weights) = weights(mean.min(MEAN_MAX));
    let total: f64 = weights.iter().sum();
    let mut cumulated = 0.0;
    for (k, weight) in (first..).zip(&weights) {
        cumulated += weight;
        if enough(cumulated / total) {
            return k;
        }
    }
    first + weights.len() as u64
}

/// Probabilities relative to that of the mode, and the count the first one belongs to.
///
/// Summing outwards from the mode neither underflows nor overflows for any mean.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the mean is positive and at most 1e9"
)]
fn weights(mean: f64) -> (u64, Vec<f64>) {
    const NEGLIGIBLE: f64 = 1e-20;
    let mode = mean.floor() as u64;
    let mut below = Vec::new();
    let (mut k, mut weight) = (mode, 1.0);
    while k > 0 && weight > NEGLIGIBLE {
        weight *= k as f64 / mean;
        k -= 1;
        below.push(weight);
    }
    let first = mode - below.len() as u64;
    let mut all: Vec<f64> = below.into_iter().rev().collect();
    let (mut k, mut weight) = (mode, 1.0);
    while weight > NEGLIGIBLE {
        all.push(weight);
        k += 1;
        weight *= mean / k as f64;
    }
    (first, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cumulative Poisson table, Pearson and Hartley, Biometrika Tables for Statisticians I, table 7.
    #[test]
    fn limits_agree_with_the_tables() {
        let check = |mean, confidence, expected| {
            assert_eq!(upper(mean, confidence), expected, "{mean} at {confidence}");
        };
        check(0.0, 0.999, 0);
        check(0.5, 0.999, 4); // P(X <= 3) = 0.99825, P(X <= 4) = 0.99983
        check(1.0, 0.999, 5); // P(X <= 4) = 0.99634, P(X <= 5) = 0.99941
        check(5.0, 0.999, 13); // P(X <= 12) = 0.99798, P(X <= 13) = 0.99930
        check(10.0, 0.999, 21); // P(X <= 20) = 0.99841, P(X <= 21) = 0.99930
        check(1.0, 0.99, 4); // P(X <= 3) = 0.98101, P(X <= 4) = 0.99634
        check(5.0, 0.99, 11); // P(X <= 10) = 0.98631, P(X <= 11) = 0.99455
        check(10.0, 0.99, 18); // P(X <= 17) = 0.98572, P(X <= 18) = 0.99281
        let check = |mean, expected| assert_eq!(lower(mean, 0.999), expected, "{mean}");
        check(0.0, 0);
        check(5.0, 0); // P(X <= 0) = 0.00674
        check(10.0, 2); // P(X <= 1) = 0.00050, P(X <= 2) = 0.00277
        check(20.0, 8); // P(X <= 7) = 0.00078, P(X <= 8) = 0.00209
    }

    #[test]
    fn large_means_come_close_to_the_normal_distribution() {
        for mean in [1e3_f64, 1e4, 1e6] {
            // Cornish and Fisher (1938): mean + z sqrt(mean) + (z^2 - 1) / 6, right to within one.
            let z = 3.090_232;
            let (above, below) = (
                mean + z * mean.sqrt() + (z * z - 1.0) / 6.0,
                mean - z * mean.sqrt() + (z * z - 1.0) / 6.0,
            );
            assert!((upper(mean, 0.999) as f64 - above).abs() <= 1.0, "{mean}");
            assert!((lower(mean, 0.999) as f64 - below).abs() <= 1.0, "{mean}");
        }
    }

    #[test]
    fn what_is_no_number_has_the_limit_of_nothing() {
        assert_eq!((upper(f64::NAN, 0.999), lower(-1.0, 0.999)), (0, 0));
    }
}
