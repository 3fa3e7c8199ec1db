//! The one clock of the engine: `CLOCK_MONOTONIC` in nanoseconds.
//!
//! Invariant: every instant in this room that ends in `_ns` and is not said to be a length is read
//! from here, so that any two of them can be subtracted, across threads too.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`, raw: the same zero for every thread and process of the machine.
pub fn now_ns() -> u64 {
    nanos(clock_gettime(ClockId::Monotonic))
}

/// CPU time of the calling thread in nanoseconds.
pub(crate) fn thread_cpu_ns() -> u64 {
    nanos(clock_gettime(ClockId::ThreadCPUTime))
}

fn nanos(time: Timespec) -> u64 {
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(time.tv_sec)
        .saturating_mul(1_000_000_000)
        .saturating_add(part(time.tv_nsec))
}

/// A length of time in nanoseconds; anything beyond 584 years counts as that.
pub fn length_ns(length: std::time::Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back() {
        let readings: Vec<u64> = (0..1_000).map(|_| now_ns()).collect();
        assert!(readings.is_sorted());
        assert!(readings[0] > 0);
    }
}
