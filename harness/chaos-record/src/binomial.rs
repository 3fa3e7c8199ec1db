//! Whether so many bad ones of so few can still be chance.
//!
//! Invariant: the probability is an exact sum over the distribution, so that it is right for few
//! requests, which is what it is for.

/// A breach is certain if an allowed share explains it with less than this probability.
const ALPHA: f64 = 1e-3;

/// Whether `bad` or more bad ones among `n` come with a probability below 0.1 % if each is bad with
/// the probability `share`, independently of the others.
///
/// The exact one-sided binomial test (Clopper and Pearson, Biometrika 26, 1934, p. 404).
pub(crate) fn is_beyond_chance(bad: u64, n: u64, share: f64) -> bool {
    // Below the mean the answer is known, and the sum would begin where terms underflow.
    bad as f64 > n as f64 * share && tail(bad, n, share) < ALPHA
}

/// `P(X >= k) = sum of C(n, i) p^i (1 - p)^(n - i) over i = k..=n`, for `k` above the mean.
fn tail(k: u64, n: u64, p: f64) -> f64 {
    const NEGLIGIBLE: f64 = 1e-17;
    if p <= 0.0 || k > n {
        return 0.0;
    }
    let ways: f64 = (1..=k).map(|j| ((n - k + j) as f64 / j as f64).ln()).sum();
    let mut term = (ways + k as f64 * p.ln() + (n - k) as f64 * (-p).ln_1p()).exp();
    let mut sum = 0.0;
    for i in k..=n {
        sum += term;
        // Above the mean each term is smaller than the one before.
        if term < sum * NEGLIGIBLE {
            break;
        }
        term *= (n - i) as f64 / (i + 1) as f64 * p / (1.0 - p);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_agree_with_their_closed_forms() {
        let check = |k, n, p: f64, expected: f64| {
            let found = tail(k, n, p);
            assert!(
                (found - expected).abs() <= expected * 1e-9,
                "{k} of {n}: {found}"
            );
        };
        check(35, 35, 0.03, 0.03_f64.powi(35));
        check(1, 10, 0.01, 1.0 - 0.99_f64.powi(10));
        // All or all but one: p^10 + 10 p^9 (1 - p).
        check(9, 10, 0.5, 11.0 / 1_024.0);
        check(8, 10, 0.5, 56.0 / 1_024.0);
    }

    #[test]
    fn only_what_chance_does_not_explain_is_beyond_it() {
        let check = |bad, n, share, expected| {
            assert_eq!(
                is_beyond_chance(bad, n, share),
                expected,
                "{bad} of {n} at {share}"
            );
        };
        check(35, 35, 0.03, true);
        check(2, 2, 0.03, true); // 0.0009
        check(2, 2, 0.04, false); // 0.0016
        check(1, 1, 0.05, false);
        check(0, 0, 0.05, false);
        check(0, 50, 0.0, false);
        check(1, 50, 0.0, true);
        check(50, 50, 1.0, false);
        check(6, 50, 0.03, false);
        check(50_000, 1_000_000, 0.06, false);
        check(70_000, 1_000_000, 0.06, true);
    }
}
