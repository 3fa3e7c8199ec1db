//! The mark that every process of a run bears in its environment, and by which it is found again.
//!
//! Invariant: the mark is in the environment a process was started with, which it cannot lose by
//! forking; nothing without the mark of the run is ever signalled by a clean-up.

use std::io;

use super::process::ProcessId;

/// Variable that holds the id of the run.
pub const RUN: &str = "CHAOS_RUN";
/// Variable that holds the name of the instance.
pub const INSTANCE: &str = "CHAOS_INSTANCE";

/// Whether the process was started by the run.
pub(crate) fn bears(process: &ProcessId, run: &str) -> io::Result<bool> {
    match process.variable(RUN) {
        Ok(value) => Ok(!run.is_empty() && value.as_deref() == Some(run)),
        // Of other people's processes the environment cannot be read; ours belong to us.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error),
    }
}
