//! How many requests one shopper may make.
//!
//! A token bucket, kept as one instant: when it will be full again. A bucket that is full by now is the
//! same as none, so it can be forgotten.
//!
//! Invariant: within any stretch of time a shopper passes at most `burst` + `per_second` x its length
//! times; at most [`SHOPPERS_MAX`] buckets are kept, and where that is not enough the fullest goes first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;

/// Buckets kept at a time; some 200 bytes each.
const SHOPPERS_MAX: usize = 50_000;
/// Full buckets forgotten at each request: more than one request can add.
const FORGET_MAX: usize = 2;

/// How often a shopper may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Requests a second in the long run, at least 1.
    pub(crate) per_second: u32,
    /// Requests at once, at least 1.
    pub(crate) burst: u32,
}

/// Counts the requests of shoppers, in this process or for all instances together.
pub(super) trait Limiter: Debug + Send + Sync {
    /// Takes one request off a shopper's allowance; the error is how long to wait until there is one.
    fn take<'a>(&'a self, shopper: &'a str) -> BoxFuture<'a, Result<(), Duration>>;
}

/// Buckets in the memory of this process.
#[derive(Debug)]
pub(super) struct Buckets {
    rate: Rate,
    begun: Instant,
    shoppers: Mutex<Shoppers>,
}

/// Times are since [`Buckets::begun`].
#[derive(Debug, Default)]
struct Shoppers {
    full_at: BTreeMap<Arc<str>, Duration>,
    by_time: BTreeSet<(Duration, Arc<str>)>,
}

impl Buckets {
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            begun: Instant::now(),
            shoppers: Mutex::default(),
        }
    }
}

impl Limiter for Buckets {
    fn take<'a>(&'a self, shopper: &'a str) -> BoxFuture<'a, Result<(), Duration>> {
        let now = self.begun.elapsed();
        let mut shoppers = self.shoppers.lock().unwrap_or_else(PoisonError::into_inner);
        Box::pin(ready(shoppers.take(self.rate, shopper, now)))
    }
}

impl Shoppers {
    fn take(&mut self, rate: Rate, shopper: &str, now: Duration) -> Result<(), Duration> {
        self.forget(now);
        let one = Duration::from_secs(1) / rate.per_second;
        let known = self.full_at.get_key_value(shopper);
        let (shopper, before) = known.map_or_else(
            || (Arc::from(shopper), None),
            |(shopper, at)| (Arc::clone(shopper), Some(*at)),
        );
        let full_at = before.map_or(now, |at| at.max(now)) + one;
        let latest = now + one * rate.burst;
        if full_at > latest {
            return Err(full_at.saturating_sub(latest));
        }
        if let Some(before) = before {
            self.by_time.remove(&(before, Arc::clone(&shopper)));
        }
        self.by_time.insert((full_at, Arc::clone(&shopper)));
        self.full_at.insert(shopper, full_at);
        Ok(())
    }

    // What is full by now, and one that is not if there is no room for another.
    fn forget(&mut self, now: Duration) {
        for _ in 0..FORGET_MAX {
            let Some((at, shopper)) = self.by_time.first() else {
                return;
            };
            if *at > now && self.full_at.len() < SHOPPERS_MAX {
                return;
            }
            self.full_at.remove(shopper);
            self.by_time.pop_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let rate = Rate {
            per_second: 10,
            burst: 3,
        };
        let mut shoppers = Shoppers::default();
        for _ in 0..3 {
            assert_eq!(shoppers.take(rate, "ada", ms(0)), Ok(()));
        }
        assert_eq!(shoppers.take(rate, "ada", ms(0)), Err(ms(100)));
        assert_eq!(shoppers.take(rate, "ada", ms(60)), Err(ms(40)));
        // Another shopper has an allowance of her own.
        assert_eq!(shoppers.take(rate, "grace", ms(60)), Ok(()));
        assert_eq!(shoppers.take(rate, "ada", ms(100)), Ok(()));
        assert_eq!(shoppers.take(rate, "ada", ms(100)), Err(ms(100)));
    }

    #[test]
    fn full_buckets_are_forgotten_and_the_rest_is_bounded() {
        let rate = Rate {
            per_second: 1,
            burst: 2,
        };
        let mut shoppers = Shoppers::default();
        for number in 0..SHOPPERS_MAX + 100 {
            let now = Duration::from_nanos(number as u64);
            shoppers.take(rate, &number.to_string(), now).unwrap();
        }
        assert_eq!(shoppers.full_at.len(), SHOPPERS_MAX);
        assert_eq!(shoppers.by_time.len(), SHOPPERS_MAX);
        // The newest are still known, the oldest are not.
        let newest = (SHOPPERS_MAX + 99).to_string();
        assert!(shoppers.full_at.contains_key(newest.as_str()));
        assert!(!shoppers.full_at.contains_key("0"));
        for _ in 0..SHOPPERS_MAX {
            shoppers.take(rate, "ada", ms(60_000)).ok();
        }
        assert_eq!(shoppers.full_at.len(), 1);
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_holds_more_than_the_burst_and_the_rate(
            per_second in 1_u32..50,
            burst in 1_u32..20,
            gaps_ms in prop::collection::vec(0_u64..400, 1..200),
        ) {
            let rate = Rate { per_second, burst };
            let mut shoppers = Shoppers::default();
            let mut now = Duration::ZERO;
            let mut passed = Vec::new();
            for gap in gaps_ms {
                now += ms(gap);
                match shoppers.take(rate, "ada", now) {
                    Ok(()) => passed.push(now),
                    // Whoever comes back when told to passes.
                    Err(wait) => {
                        now += wait;
                        prop_assert_eq!(shoppers.take(rate, "ada", now), Ok(()));
                        passed.push(now);
                    }
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    // Rounding of one interval to whole nanoseconds may let one more pass in hours.
                    let allowed = f64::from(burst) + to.saturating_sub(*from).as_secs_f64() * f64::from(per_second) + 1e-3;
                    prop_assert!((last - first + 1) as f64 <= allowed);
                }
            }
        }
    }
}
