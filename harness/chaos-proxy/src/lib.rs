//! The data plane between services: one listener for each (caller instance, callee service), which
//! picks a ready callee instance itself.
//!
//! It runs as a process of its own (`chaos proxy`), so that it shares neither fate nor CPU account
//! with the load engine, and obeys commands on its standard input.
//! Invariant: it has no memory of its own to undo: when its input ends, it ends.

mod alone;
mod balance;
mod edge;
pub mod line;
mod plane;
pub mod protocol;
mod relay;
mod serve;

pub use alone::carry_blocking;
pub use serve::{ProxyError, run_blocking, serve};
