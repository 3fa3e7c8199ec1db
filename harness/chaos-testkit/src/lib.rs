//! For tests alone: servers whose behaviour is known, plans built by hand, waiting without sleeping.
//!
//! Invariant: nothing here is used outside tests, and everything random comes from a seed.

pub mod patience;
pub mod plan;
pub mod raw;
pub mod server;

pub use raw::RawServer;
pub use server::{Law, Server, Settings};

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds of `CLOCK_MONOTONIC`: what the load engine stamps with, so logs can be compared.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(now.tv_sec) * 1_000_000_000 + part(now.tv_nsec)
}
