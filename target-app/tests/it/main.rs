//! The store as its callers see it: all eight roles on free ports of this machine.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the helpers of these tests fail as the tests do"
)]

mod admin;
mod audit;
mod balancer;
mod bank;
mod breaker;
mod broker;
mod bugs;
mod cache;
mod cancel;
mod checkout;
mod chromium;
mod client;
mod door;
mod eyes;
mod fleet;
mod identity;
mod input;
mod journeys;
mod kill;
mod kinds;
mod letters;
mod lost;
mod openapi;
mod pages;
mod parts;
mod process;
mod queue;
mod races;
mod rolling;
mod room;
mod secrets;
mod server;
mod shared_rate;
mod shop;
mod skipping;
mod traces;
