//! The conductor: plays the timeline, hears every event, and always undoes.
//!
//! Two processes share one promise. The harness writes each undo ahead into the [`ledger`] before it
//! acts; the [`guardian`] holds the other end of a lease and, when the harness is gone or silent,
//! stops it for good and undoes what the ledger says. [`recover`](recover::recover) finishes what
//! both left behind.
//!
//! Invariant: nothing is changed in the target before its undo is on disk, and no way out of a run
//! skips the undo.

mod audit;
pub mod bare;
pub mod calibration;
pub mod conductor;
pub mod control;
pub mod failpoint;
pub mod guardian;
pub mod inject;
pub mod lease;
pub mod ledger;
pub mod recover;
pub mod state;
pub mod state_folder;
pub mod stop;
mod told;
pub mod writer;
