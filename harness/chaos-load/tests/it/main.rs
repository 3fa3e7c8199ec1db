//! The engine against servers whose behaviour is known.
//!
//! No test depends on speed: each compares with the server's own log, with the closed-form
//! schedule, or with an analytic value whose tolerance is stated beside it.

mod awake;
mod conformance;
mod conservation;
mod failures;
mod hiccup;
mod hostile;
mod http2;
mod journeys;
mod kept;
mod known;
mod operations;
mod ran;
mod stopping;
mod tracing;
mod truth;
mod users;
mod watching;
