//! The store as its callers see it: all seven roles on free ports of this machine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of these tests fail as the tests do"
)]

mod audit;
mod balancer;
mod bank;
mod broker;
mod bugs;
mod cache;
mod checkout;
mod client;
mod input;
mod journeys;
mod kill;
mod letters;
mod parts;
mod process;
mod queue;
mod server;
mod shop;
