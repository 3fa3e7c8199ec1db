//! Sends requests when the schedule says so, and measures from the scheduled instant.
//!
//! The axes stand apart, one file each: when (`pace`), who (`users`), what (`prepare`, `journey`),
//! how (`client`), what is remembered (`recorder`, `operations`); `worker` joins them on one thread and
//! `engine` runs the threads.
//!
//! Invariant: no arrival is skipped, moved or sped up because the target, or this process, was
//! slow. Every planned journey and each of its steps is counted exactly once, in the cell of its
//! intended instant.

mod address;
mod alarm;
mod awake;
mod budget;
mod client;
pub mod clock;
mod engine;
mod fault_clock;
mod halt;
mod health;
mod journey;
mod json;
mod limits;
mod null_server;
mod operations;
mod pace;
mod prepare;
mod recorder;
mod rehearsal;
mod search_clock;
mod timer;
mod trace;
mod users;
mod worker;

pub use address::{Address, AddressError};
pub use awake::{AwakeError, KeptAwake, keep_awake};
pub use client::TlsError;
pub use engine::{Engine, EngineConfig, EngineError, EngineEvent, default_workers, look};
pub use fault_clock::FaultClock;
pub use null_server::NullServer;
pub use operations::read_operations;
pub use prepare::PrepareError;
pub use rehearsal::Rehearsal;
pub use search_clock::SearchClock;
