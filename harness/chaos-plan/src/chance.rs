//! Everything drawn by chance in a run comes from the plan's seed through here.
//!
//! Invariant: a stream depends on the seed and its label alone, so one consumer drawing more
//! often never changes what another one gets.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

/// The stream of random numbers for `label` under `seed`.
pub fn stream(seed: u64, label: &str) -> ChaCha8Rng {
    // FNV-1a (Fowler, Noll, Vo) spreads the label; ChaCha's own seeding does the rest.
    let hash = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ChaCha8Rng::seed_from_u64(seed ^ hash)
}

/// Draws from a list by Zipf's law: the k-th of n with probability (1/k^s) / (1/1^s + ... + 1/n^s).
///
/// The law: G. K. Zipf, Human Behavior and the Principle of Least Effort (1949); the form: D. E. Knuth, The
/// Art of Computer Programming, volume 3, section 6.1. With s about 1 it fits what is asked of web caches
/// (Breslau et al., Web Caching and Zipf-like Distributions, INFOCOM 1999). The sums are tabulated, so a
/// draw is one search among n sums and follows the law itself, no approximation of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Zipf {
    /// The probability of this place or one before it.
    up_to: Vec<f64>,
}

impl Zipf {
    /// The law for `places` of them, at least 1, with an exponent above 0.
    pub fn new(places: usize, exponent: f64) -> Self {
        let sums = (1..=places).scan(0.0, |sum, place| {
            *sum += (place as f64).powf(-exponent);
            Some(*sum)
        });
        let sums: Vec<f64> = sums.collect();
        let all = sums.last().copied().unwrap_or(1.0);
        Self {
            up_to: sums.into_iter().map(|sum| sum / all).collect(),
        }
    }

    /// The place, counted from 0, for a number drawn evenly from 0 up to but without 1.
    pub fn place(&self, even: f64) -> usize {
        let place = self.up_to.partition_point(|up_to| *up_to <= even);
        place.min(self.up_to.len().saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt as _;

    use super::*;

    const DRAWS: u32 = 200_000;

    /// Pearson's chi-squared of what is drawn with one exponent against what another one expects, in
    /// standard deviations from its mean (Wilson and Hilferty 1931).
    fn misfit(places: usize, drawn: f64, expected: f64) -> f64 {
        let law = Zipf::new(places, drawn);
        let mut chance = stream(7, "zipf");
        let mut counts = vec![0_u32; places];
        for _ in 0..DRAWS {
            counts[law.place(chance.random())] += 1;
        }
        let weights: Vec<f64> = (1..=places).map(|k| (k as f64).powf(-expected)).collect();
        let all: f64 = weights.iter().sum();
        let cells = counts.iter().zip(&weights).map(|(count, weight)| {
            let wanted = f64::from(DRAWS) * weight / all;
            assert!(wanted >= 5.0, "too few are expected for the test");
            (f64::from(*count) - wanted).powi(2) / wanted
        });
        let (chi, free) = (cells.sum::<f64>(), places as f64 - 1.0);
        let spread = 2.0 / (9.0 * free);
        ((chi / free).cbrt() - (1.0 - spread)) / spread.sqrt()
    }

    #[test]
    fn what_is_drawn_follows_the_law_and_no_other() {
        for (places, exponent) in [(200, 1.1), (200, 0.5), (13, 2.0), (2, 4.0)] {
            let good = misfit(places, exponent, exponent);
            assert!(good.abs() < 3.3, "{places} {exponent}: {good}");
        }
        assert!(misfit(200, 1.1, 1.05) > 6.0, "a law nearby must not fit");
        assert!(misfit(200, 0.01, 1.1) > 6.0);
    }

    #[test]
    fn every_number_from_0_to_1_has_a_place() {
        let law = Zipf::new(10_000, 1.0);
        assert_eq!([law.place(0.0), law.place(1.0 - f64::EPSILON)], [0, 9_999]);
        assert_eq!(Zipf::new(1, 1.0).place(0.999), 0);
    }
}
