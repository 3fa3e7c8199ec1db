//! The body of `chaos exec`: what stands between the harness and each program it starts. Linux only.
//!
//! Invariant: the program runs only while the harness does. The parent-death signal is set before
//! the parent is checked, so that no order of events lets it outlive the harness unnoticed.
//!
//! The kernel sends that signal when the *thread* that started the process ends, and clears it on
//! exec of a setuid program. The harness therefore starts processes from its main thread only, and
//! whatever slips through is found again by its mark or its group.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Becomes `command`, a child that dies with the process `parent`; returns only on failure.
pub fn exec_wrapper(parent: u32, command: Vec<OsString>) -> io::Error {
    let mut words = command.into_iter();
    let Some(program) = words.next() else {
        return io::Error::new(io::ErrorKind::InvalidInput, "no program to run was given");
    };
    if let Err(errno) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return io::Error::new(
            io::Error::from(errno).kind(),
            format!("no parent-death signal: {errno}"),
        );
    }
    if !is_parent(parent) {
        return io::Error::other(format!("the harness (pid {parent}) has ended"));
    }
    let error = Command::new(&program).args(words).exec();
    io::Error::new(
        error.kind(),
        format!("run `{}`: {error}", program.display()),
    )
}

fn is_parent(pid: u32) -> bool {
    getppid()
        .map(Pid::as_raw_pid)
        .and_then(|parent| u32::try_from(parent).ok())
        == Some(pid)
}
