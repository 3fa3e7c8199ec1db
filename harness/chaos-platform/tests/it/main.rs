//! The platforms over what they really run, held to one contract.

mod bench;
mod contract;
mod detached;
mod erased;
mod holding;
mod local;
mod look;
mod processes;
mod restart;
