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

use super::family::Family;
use super::group::Group;
use super::mark::{self, Mark};
use super::process::ProcessId;
use crate::clock::monotonic_ns;
use crate::undo::Reverted;

/// Longest wait for a continued process to be seen running.
const RESUME: Duration = Duration::from_secs(2);
/// Longest wait for the killed rest of a family to end.
const REST: Duration = Duration::from_millis(500);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// How often a family is searched for members that were forked while the signal was sent.
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

/// Signals the leader of a family and then the others. Returns the instant right after the
/// leader was signalled, in nanoseconds on `CLOCK_MONOTONIC`; `None` if it had ended.
pub(crate) fn send_all(family: Family<'_>, signal: Signal) -> io::Result<Option<u64>> {
    let Some(handle) = Handle::open(family.leader)? else {
        return Ok(None);
    };
    // Looked up first: once the leader has ended, its number no longer says whose group it is.
    let mut members = others(family)?;
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
        members = others(family)?;
        members.retain(|member| !known.contains(&member.process.pid));
    }
    Ok(Some(at))
}

/// Kills what is left of the family of an ended leader, except what bears the mark of another run.
/// True once nothing is left; a moment is waited for that.
pub(crate) async fn kill_rest(family: Family<'_>) -> io::Result<bool> {
    let group = Group::led_by(family.leader)?;
    let deadline = Instant::now() + REST;
    loop {
        let left = left(&group, family)?;
        for member in &left {
            send(member, Signal::KILL)?;
        }
        if left.is_empty() || Instant::now() >= deadline {
            return Ok(left.is_empty());
        }
        sleep(LOOK).await;
    }
}

/// What has not ended of a family whose leader this process started, also if the leader has.
pub(crate) fn survivors(family: Family<'_>) -> io::Result<Vec<ProcessId>> {
    left(&Group::led_by(family.leader)?, family)
}

fn left(group: &Group, family: Family<'_>) -> io::Result<Vec<ProcessId>> {
    let mut left = group.members(family.run)?;
    left.extend(family.outside()?.into_iter().map(|(process, _)| process));
    Ok(left)
}

fn others(family: Family<'_>) -> io::Result<Vec<Handle>> {
    let others = family.others()?;
    others
        .iter()
        .filter_map(|member| Handle::open(member).transpose())
        .collect()
}

/// Lets a stopped process go on, with all others of the life it leads, unless it bears another mark
/// than `mark`.
pub async fn resume(mark: &str, instance: &str, process: &ProcessId) -> Reverted {
    let family = Family {
        run: mark,
        instance,
        leader: process,
        until: None,
    };
    match try_resume(family).await {
        Ok(reverted) => reverted,
        Err(error) => Reverted::Failed {
            why: format!("{process} of {instance} could not be resumed: {error}"),
        },
    }
}

async fn try_resume(family: Family<'_>) -> io::Result<Reverted> {
    let Family { run, leader, .. } = family;
    if !leader.is_alive()? {
        return resume_orphans(family).await;
    }
    // Number, start and boot say already that it is the one; its mark it may have erased.
    if let Mark::Other(other) = mark::look(leader, run)? {
        let why = format!("{leader} bears the mark of run {other}, not of {run}, left as it is");
        return Ok(Reverted::Foreign { why });
    }
    let members = members(family)?;
    let was_stopped = any_stopped(&members)?;
    // Sent even if it seems to run: a stop that was sent a moment ago may not show yet, and this
    // takes it back. A process that runs does not mind.
    if send_all(family, Signal::CONT)?.is_none() {
        return resume_orphans(family).await;
    }
    outcome(leader, &members, was_stopped).await
}

/// The leader is gone, but what left its group may be there still.
async fn resume_orphans(family: Family<'_>) -> io::Result<Reverted> {
    let leader = family.leader;
    let orphans = family.orphans()?;
    if !any_stopped(&orphans)? {
        let proof = format!("{leader} is gone");
        return Ok(Reverted::Clean { proof });
    }
    for orphan in &orphans {
        send(orphan, Signal::CONT)?;
    }
    outcome(leader, &orphans, true).await
}

async fn outcome(
    leader: &ProcessId,
    members: &[ProcessId],
    was_stopped: bool,
) -> io::Result<Reverted> {
    if let Some(stopped) = stopped_after(members, RESUME).await? {
        let why = format!("{stopped} is still stopped {RESUME:?} after SIGCONT");
        return Ok(Reverted::Failed { why });
    }
    let who = match members {
        [only] => only.to_string(),
        _ => format!("{leader} with all {} processes of its life", members.len()),
    };
    if was_stopped {
        return Ok(Reverted::Restored {
            proof: format!("{who} runs again"),
        });
    }
    Ok(Reverted::Clean {
        proof: format!("{who} runs already"),
    })
}

/// One that does not go on within the limit.
async fn stopped_after(members: &[ProcessId], limit: Duration) -> io::Result<Option<&ProcessId>> {
    let deadline = Instant::now() + limit;
    loop {
        let stopped = first_stopped(members)?;
        if stopped.is_none() || Instant::now() >= deadline {
            return Ok(stopped);
        }
        sleep(LOOK).await;
    }
}

fn first_stopped(members: &[ProcessId]) -> io::Result<Option<&ProcessId>> {
    for member in members {
        if member.is_stopped()? {
            return Ok(Some(member));
        }
    }
    Ok(None)
}

/// Whether one of them is stopped.
pub(crate) fn any_stopped(members: &[ProcessId]) -> io::Result<bool> {
    Ok(first_stopped(members)?.is_some())
}

/// The first that lives and is not stopped altogether.
pub(crate) fn first_running(members: &[ProcessId]) -> io::Result<Option<&ProcessId>> {
    for member in members {
        if !member.is_stopped()? && member.is_alive()? {
            return Ok(Some(member));
        }
    }
    Ok(None)
}

/// The leader, whether or not it has ended, then the others of its life.
pub(crate) fn members(family: Family<'_>) -> io::Result<Vec<ProcessId>> {
    let mut members = vec![family.leader.clone()];
    members.extend(family.others()?);
    Ok(members)
}
