//! Slows down whoever guesses the password of one address.
//!
//! Each address may fail [`FAILURES_MAX`] times at once and once more every [`REGAIN`]. Counting is by
//! process and by address: others log in as before, and a guesser gains nothing by changing where it
//! sends from.
//!
//! Invariant: at most [`ADDRESSES_MAX`] addresses are remembered, as hashes; beyond that the one that
//! failed longest ago is forgotten.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

/// Failures that may follow each other at once.
const FAILURES_MAX: u32 = 10;
/// How long it takes until one more is allowed.
const REGAIN: Duration = Duration::from_secs(6);
/// Addresses remembered, about 100 bytes each.
const ADDRESSES_MAX: usize = 4096;

type Address = [u8; 32];

/// The failures of late.
#[derive(Debug, Default)]
pub(super) struct Attempts(Mutex<BTreeMap<Address, Failures>>);

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    /// Since when one of them may be forgiven.
    since: Instant,
}

impl Failures {
    // Forgives one for each whole `REGAIN` that has passed.
    fn at(self, now: Instant) -> Self {
        let passed = now.saturating_duration_since(self.since).as_nanos() / REGAIN.as_nanos();
        let forgiven = u32::try_from(passed).unwrap_or(u32::MAX);
        if forgiven >= self.count {
            return Self {
                count: 0,
                since: now,
            };
        }
        Self {
            count: self.count - forgiven,
            since: self.since + REGAIN * forgiven,
        }
    }
}

impl Attempts {
    /// Whether another try may be made, or after what time.
    pub(super) fn may_try(&self, email: &str, now: Instant) -> Result<(), Duration> {
        let failures = self
            .lock()
            .get(&hash(email))
            .map(|failures| failures.at(now));
        match failures {
            Some(failures) if failures.count >= FAILURES_MAX => {
                Err((failures.since + REGAIN).saturating_duration_since(now))
            }
            _ => Ok(()),
        }
    }

    /// A try had the wrong password.
    pub(super) fn failed(&self, email: &str, now: Instant) {
        let address = hash(email);
        let mut all = self.lock();
        if all.len() >= ADDRESSES_MAX && !all.contains_key(&address) {
            let oldest = all.iter().min_by_key(|(_, failures)| failures.since);
            let oldest = oldest.map(|(address, _)| *address);
            oldest.and_then(|oldest| all.remove(&oldest));
        }
        let none = Failures {
            count: 0,
            since: now,
        };
        let failures = all.entry(address).or_insert(none);
        *failures = failures.at(now);
        failures.count += 1;
    }

    /// A try had the right password, so those before it were slips.
    pub(super) fn succeeded(&self, email: &str) {
        self.lock().remove(&hash(email));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Address, Failures>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(email: &str) -> Address {
    Sha256::digest(email.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guessing_is_slowed_and_others_are_not() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for _ in 0..FAILURES_MAX {
            assert_eq!(attempts.may_try("ada@example.com", now), Ok(()));
            attempts.failed("ada@example.com", now);
        }
        assert_eq!(attempts.may_try("ada@example.com", now), Err(REGAIN));
        assert_eq!(attempts.may_try("bob@example.com", now), Ok(()));
        let later = now + REGAIN;
        assert_eq!(attempts.may_try("ada@example.com", later), Ok(()));
        attempts.failed("ada@example.com", later);
        assert_eq!(attempts.may_try("ada@example.com", later), Err(REGAIN));
        let much_later = later + REGAIN * FAILURES_MAX;
        for _ in 0..FAILURES_MAX {
            assert_eq!(attempts.may_try("ada@example.com", much_later), Ok(()));
            attempts.failed("ada@example.com", much_later);
        }
    }

    #[test]
    fn the_right_password_forgives() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for _ in 1..FAILURES_MAX {
            attempts.failed("ada@example.com", now);
        }
        attempts.succeeded("ada@example.com");
        attempts.failed("ada@example.com", now);
        assert_eq!(attempts.may_try("ada@example.com", now), Ok(()));
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let attempts = Attempts::default();
        let now = Instant::now();
        for number in 0..ADDRESSES_MAX + 100 {
            let at = now + Duration::from_micros(number as u64);
            attempts.failed(&format!("{number}@example.com"), at);
        }
        let all = attempts.lock();
        assert_eq!(all.len(), ADDRESSES_MAX);
        assert!(!all.contains_key(&hash("0@example.com")));
        assert!(all.contains_key(&hash("4195@example.com")));
    }
}
