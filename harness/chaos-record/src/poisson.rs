//! Limits of a Poisson count: how many bad requests chance alone explains.
//!
//! Invariant: all limits are exact sums over the distribution, not a normal approximation, which
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

/// The largest count among `of` more requests that chance explains after `before` among `before_of`: one
/// above it comes with a probability of at most `alpha`, whatever the true rate is.
///
/// The exact comparison of two Poisson counts (Przyborowski and Wilenski, Biometrika 31, 1940, p. 313): given
/// both, `X` of their sum is binomial with `p = of / (before_of + of)`. Solved for `X`, which makes it a
/// prediction limit (Nelson, IEEE Trans. Reliability R-19, 1970, p. 42), it is the smallest `k` with
/// `P(K > k) <= alpha`, where `K` is negative binomial: what comes with `p` before `before + 1` others do.
pub fn upper_after(before: u64, before_of: u64, of: u64, alpha: f64) -> u64 {
    if of == 0 {
        return 0;
    }
    let (before, p) = (before as f64, of as f64 / (before_of + of).max(1) as f64);
    let mode = before * p / (1.0 - p).max(f64::EPSILON);
    let (first, weights) = around(mode, |k| (before + k) / k * p);
    let total: f64 = weights.iter().sum();
    let mut above = 0.0;
    let most = weights.iter().rposition(|weight| {
        above += weight;
        above / total > alpha
    });
    first + most.unwrap_or(0) as u64
}

fn first_above(mean: f64, enough: impl Fn(f64) -> bool) -> u64 {
    if mean.is_nan() || mean <= 0.0 {
        return 0;
    }
    let mean = mean.min(MEAN_MAX);
    let (first, weights) = around(mean, |k| mean / k);
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

/// Probabilities relative to that of the mode, and the count the first one belongs to; `ratio(k)` is
/// the probability of `k` over that of `k - 1`.
///
/// Summing outwards from the mode neither underflows nor overflows for any mean.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mode is not negative, and far below 2^53"
)]
fn around(mode: f64, ratio: impl Fn(f64) -> f64) -> (u64, Vec<f64>) {
    const NEGLIGIBLE: f64 = 1e-20;
    let mode = mode.min(MEAN_MAX).floor() as u64;
    let mut below = Vec::new();
    let (mut k, mut weight) = (mode, 1.0);
    while k > 0 && weight > NEGLIGIBLE {
        weight /= ratio(k as f64);
        k -= 1;
        below.push(weight);
    }
    let first = mode - below.len() as u64;
    let mut all: Vec<f64> = below.into_iter().rev().collect();
    let (mut k, mut weight) = (mode, 1.0);
    while weight > NEGLIGIBLE {
        all.push(weight);
        k += 1;
        weight *= ratio(k as f64);
    }
    (first, all)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn after_none_at_all_the_limit_is_a_power() {
        // Of k bad ones all lie in the eighth that came later: (1/8)^k.
        let check =
            |alpha, expected| assert_eq!(upper_after(0, 350, 50, alpha), expected, "{alpha}");
        check(0.2, 0); // 1/8 = 0.125
        check(0.1, 1); // 1/64 = 0.0156
        check(1e-3, 3); // 1/512 = 0.0020, 1/4096 = 0.00024
        check(1e-6, 6); // 4.8e-7 for seven
        assert_eq!(
            (upper_after(0, 0, 0, 0.1), upper_after(9, 100, 0, 0.1)),
            (0, 0)
        );
    }

    #[test]
    fn after_very_many_the_limit_is_that_of_the_known_mean() {
        for mean in [1_u64, 5, 10] {
            let limit = upper_after(mean * 100_000, 100_000_000, 1_000, 1e-3);
            assert_eq!(limit, upper(mean as f64, 0.999), "{mean}");
        }
    }

    /// P(X >= x) for X binomial, by its definition.
    fn binomial_tail(n: u64, p: f64, x: u64) -> f64 {
        let mut term = (1.0 - p).powf(n as f64);
        let mut tail = if x == 0 { term } else { 0.0 };
        for k in 1..=n {
            term *= (n - k + 1) as f64 / k as f64 * p / (1.0 - p);
            tail += if k >= x { term } else { 0.0 };
        }
        tail
    }

    proptest! {
        #[test]
        fn the_limit_is_that_of_the_binomial_comparison(before in 0_u64..60, of in 20_u64..400, exponent in 1_i32..8) {
            let (before_of, alpha) = (400, 10_f64.powi(-exponent));
            let p = of as f64 / (before_of + of) as f64;
            let limit = upper_after(before, before_of, of, alpha);
            let chance = |x: u64| binomial_tail(before + x, p, x);
            prop_assert!(chance(limit + 1) <= alpha * (1.0 + 1e-9), "{} above {limit}", chance(limit + 1));
            prop_assert!(limit == 0 || chance(limit) > alpha * (1.0 - 1e-9), "{} at {limit}", chance(limit));
        }
    }

    #[test]
    fn what_is_no_number_has_the_limit_of_nothing() {
        assert_eq!((upper(f64::NAN, 0.999), lower(-1.0, 0.999)), (0, 0));
    }
}
