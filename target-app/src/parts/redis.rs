//! Redis: the catalog's cache, sessions, rate limits.
//!
//! Invariant: every change is in the append-only file before the next second, and its memory is bounded.

use std::process::Command;

use super::PartError;
use super::place::{self, Place};
use super::programs::{Found, Programs};

pub(super) const PROGRAMS: Programs = Programs {
    names: &["redis-server"],
    folders: "/usr/bin",
    package: "redis-server",
};

/// Most memory for data, as Redis writes it. What was used least goes first when it is full: a cache
/// may forget, and what must not be forgotten is in the database.
const MEMORY: &str = "128mb";

/// The server's command.
pub(super) fn prepare(found: &Found, place: &Place) -> Result<Command, PartError> {
    let mut command = Command::new(found.program(PROGRAMS.names[0]));
    command
        .args(["--port", &place.port.to_string(), "--bind", "127.0.0.1"])
        .arg("--dir")
        .arg(&place.data)
        .args(["--appendonly", "yes", "--appendfsync", "everysec"])
        // No snapshots beside it: one way to keep data is enough.
        .args(["--save", ""])
        .args(["--maxmemory", MEMORY, "--maxmemory-policy", "allkeys-lru"])
        .args(["--daemonize", "no", "--logfile", ""])
        .current_dir(&place.data)
        .stdout(place::stderr()?);
    Ok(command)
}
