//! YAML text in, a proven [`Plan`] or all of its problems out.
//!
//! Invariant: this room is pure. It reads no file, no clock and no network; whoever calls it
//! hands over the texts. Only [`check::check`] makes a [`Plan`], so a plan that exists is valid
//! and no later room checks it again.

pub mod chance;
pub mod check;
pub mod diagnostic;
pub mod explain;
pub mod file;
pub mod plan;
pub mod schedule;
pub mod schema;
pub mod template;
pub mod units;

pub use plan::Plan;
