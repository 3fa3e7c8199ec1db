//! The faults: one file each, saying what it needs, which acts it is made of and what proves it.
//!
//! Invariant: a fault is data. Nothing here acts; the conductor carries the acts out, in the order
//! prepare, write ahead, apply, prove.

pub mod cpu;
pub mod drift;
pub mod evict;
pub mod fault;
pub mod kill;
pub mod pause;
pub mod restart;
pub mod rollout;
pub mod scale;
pub mod service_lost;
pub mod stop;
pub mod targets;

pub use fault::Breakage;
pub use targets::{Refusal, choose};
