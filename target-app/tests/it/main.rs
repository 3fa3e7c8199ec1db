//! The store as its callers see it: all six roles on free ports of this machine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of these tests fail as the tests do"
)]

mod balancer;
mod checkout;
mod client;
mod input;
mod journeys;
mod kill;
mod process;
mod shop;
