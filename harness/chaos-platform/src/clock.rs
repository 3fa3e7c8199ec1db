//! The clock of every stamp a platform gives.
//!
//! Invariant: `CLOCK_MONOTONIC`, the same for all processes of the machine; never the wall clock.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds on `CLOCK_MONOTONIC`.
pub(crate) fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).expect("the clock counts from the boot");
    let nanoseconds = u64::try_from(now.tv_nsec).expect("a part of a second is not negative");
    seconds * 1_000_000_000 + nanoseconds
}
