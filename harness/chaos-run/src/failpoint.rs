//! Named points at which a test can have the harness killed.
//!
//! `CHAOS_FAILPOINT=ledger.written` makes the process send itself SIGKILL (or, with `:stop` behind
//! the name, SIGSTOP; with `:panic`, panic) when it gets there. Without the variable a point costs
//! one look at it. Invariant: a point changes nothing else, so what is tested is what runs.

use rustix::process::{Signal, getpid, kill_process};

/// Everywhere a test may stop the harness, in the order a run passes them.
pub const POINTS: [&str; 12] = [
    "ledger.opened",
    "guardian.started",
    "deploy.started",
    "deploy.announced",
    "deploy.done",
    "ledger.written",
    "fault.applied",
    "fault.effective",
    "undo.started",
    "undo.done",
    "teardown.started",
    "record.closed",
];

/// Passes a point.
#[expect(clippy::panic, reason = "a test asks for it")]
pub fn reach(point: &'static str) {
    debug_assert!(POINTS.contains(&point), "{point} is not listed");
    let Ok(wanted) = std::env::var("CHAOS_FAILPOINT") else {
        return;
    };
    let signal = match wanted.strip_prefix(point) {
        Some("") => Signal::KILL,
        Some(":stop") => Signal::STOP,
        Some(":panic") => panic!("asked to panic at {point}"),
        Some(_) | None => return,
    };
    // A failure to signal ourselves leaves the run as it is; the test then sees no kill.
    kill_process(getpid(), signal).unwrap_or_default();
}
