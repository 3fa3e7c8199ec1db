//! The store as its callers see it: all seven roles on free ports of this machine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of these tests fail as the tests do"
)]

mod audit;
mod balancer;
mod bank;
mod breaker;
mod bugs;
mod cancel;
mod checkout;
mod client;
mod door;
mod fleet;
mod input;
mod journeys;
mod kill;
mod kinds;
mod lost;
mod openapi;
mod process;
mod races;
mod rolling;
mod shop;
