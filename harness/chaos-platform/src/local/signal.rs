//! Signals to processes that are certainly the ones meant. Linux only.
//!
//! Invariant: a signal goes through a pidfd whose process was identified, by start time and boot,
//! after the pidfd was opened; a number that is used again is never signalled.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::clock::monotonic_ns;
use super::group::Group;
use super::mark::{self, Mark};
use super::process::{self, ProcessId};
use crate::undo::Reverted;

/// Longest wait for a continued process to be seen running.
const RESUME: Duration = Duration::from_secs(2);
/// Longest wait for the killed rest of a group to end.
const REST: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// How often a group is searched for members that were forked while the signal was sent.
const ROUNDS: usize = 3;

/// An identified process that can be signalled.
#[derive(Debug)]
struct Handle {
    process: ProcessId,
    pidfd: OwnedFd,
}

impl Handle {
    /// `None` if the process has ended.
    fn open(process: &ProcessId) -> io::Result<Option<Self>> {
        let pid = i32::try_from(process.pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(errno) => return Err(errno.into()),
        };
        Ok(process.is_alive()?.then(|| Self {
            process: process.clone(),
            pidfd,
        }))
    }

    /// False if the process has ended.
    fn send(&self, signal: Signal) -> io::Result<bool> {
        match pidfd_send_signal(&self.pidfd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Signals one process; false if it has ended.
pub(crate) fn send(process: &ProcessId, signal: Signal) -> io::Result<bool> {
    Handle::open(process)?.map_or(Ok(false), |handle| handle.send(signal))
}

/// Signals a process and then the rest of the group it leads. Returns the instant right after the
/// leader was signalled, in nanoseconds on `CLOCK_MONOTONIC`; `None` if it had ended.
pub(crate) fn send_group(leader: &ProcessId, signal: Signal) -> io::Result<Option<u64>> {
    let Some(handle) = Handle::open(leader)? else {
        return Ok(None);
    };
    // Looked up first: once the leader has ended, its number no longer says whose group it is.
    let mut members = others(leader)?;
    if !handle.send(signal)? {
        return Ok(None);
    }
    let at = monotonic_ns();
    for _ in 0..ROUNDS {
        for member in &members {
            member.send(signal)?;
        }
        if signal != Signal::STOP {
            break;
        }
        let known: Vec<u32> = members.iter().map(|member| member.process.pid).collect();
        members = others(leader)?;
        members.retain(|member| !known.contains(&member.process.pid));
    }
    Ok(Some(at))
}

/// Kills what is left of the group of an ended leader, except what bears the mark of another run.
/// True once nothing is left; a moment is waited for that.
pub(crate) async fn kill_rest(group: &Group, run: &str) -> io::Result<bool> {
    let deadline = Instant::now() + REST;
    loop {
        let members = group.members(run)?;
        for member in &members {
            send(member, Signal::KILL)?;
        }
        if members.is_empty() || Instant::now() >= deadline {
            return Ok(members.is_empty());
        }
        sleep(LOOK).await;
    }
}

fn others(leader: &ProcessId) -> io::Result<Vec<Handle>> {
    if leader.stat()?.is_none_or(|stat| stat.group != leader.pid) {
        return Ok(Vec::new());
    }
    let members = process::group(leader.pid)?;
    members
        .iter()
        .filter(|member| *member != leader)
        .filter_map(|member| Handle::open(member).transpose())
        .collect()
}

/// Lets a stopped process go on, with the group it leads, unless it bears another mark than `mark`.
pub async fn resume(mark: &str, instance: &str, process: &ProcessId) -> Reverted {
    match try_resume(mark, process).await {
        Ok(reverted) => reverted,
        Err(error) => Reverted::Failed {
            why: format!("{process} of {instance} could not be resumed: {error}"),
        },
    }
}

async fn try_resume(mark: &str, process: &ProcessId) -> io::Result<Reverted> {
    let gone = || Reverted::Clean {
        proof: format!("{process} is gone"),
    };
    if !process.is_alive()? {
        return Ok(gone());
    }
    // Number, start and boot say already that it is the one; its mark it may have erased.
    if let Mark::Other(other) = mark::look(process, mark)? {
        let why = format!("{process} bears the mark of run {other}, not of {mark}, left as it is");
        return Ok(Reverted::Foreign { why });
    }
    let was_stopped = any_stopped(process)?;
    // Sent even if it seems to run: a stop that was sent a moment ago may not show yet, and this
    // takes it back. A process that runs does not mind.
    if send_group(process, Signal::CONT)?.is_none() {
        return Ok(gone());
    }
    if !runs_within(process, RESUME).await? {
        let why = format!("{process} is still stopped {RESUME:?} after SIGCONT");
        return Ok(Reverted::Failed { why });
    }
    if was_stopped {
        return Ok(Reverted::Restored {
            proof: format!("{process} runs again"),
        });
    }
    Ok(Reverted::Clean {
        proof: format!("{process} runs already"),
    })
}

async fn runs_within(process: &ProcessId, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    while any_stopped(process)? {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        sleep(LOOK).await;
    }
    Ok(true)
}

/// Whether the process or a member of the group it leads is stopped.
pub(crate) fn any_stopped(leader: &ProcessId) -> io::Result<bool> {
    for member in family(leader)? {
        if member.is_stopped()? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the process and all members of the group it leads are stopped.
pub(crate) fn all_stopped(leader: &ProcessId) -> io::Result<bool> {
    for member in family(leader)? {
        if !member.is_stopped()? {
            return Ok(false);
        }
    }
    leader.is_alive()
}

/// The process itself, then the rest of its group.
fn family(leader: &ProcessId) -> io::Result<Vec<ProcessId>> {
    let mut family = vec![leader.clone()];
    if leader.stat()?.is_some_and(|stat| stat.group == leader.pid) {
        family.extend(
            process::group(leader.pid)?
                .into_iter()
                .filter(|member| member != leader),
        );
    }
    Ok(family)
}
