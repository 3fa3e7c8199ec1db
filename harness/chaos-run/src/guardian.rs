//! The second process: it watches the harness's lease and, when that ends badly, stops the harness
//! for good, undoes what the ledger says and removes what is left of the run.
//!
//! Invariant: it never acts beside a living harness. The harness is killed by pidfd and seen gone
//! before the first undo, so that a stopped one cannot act later (fencing).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos_load::clock::now_ns;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thiserror::Error;

use crate::lease::{BEAT, DONE_BYTE, MISSED_BEATS};
use crate::ledger::{Content, Ledger, LedgerError, Outstanding};
use crate::recover::{self, Report};

/// The harness must be gone this soon after SIGKILL; a process in uninterruptible sleep may not be.
const FENCE_LIMIT: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum GuardianError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{act}: {source}")]
    Io {
        act: &'static str,
        source: io::Error,
    },
    #[error("stop the harness (pid {pid}): it is still there")]
    NotFenced { pid: u32 },
}

/// Why the guardian acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// The harness said that it is done and clean.
    Done,
    /// Its end of the lease is closed: it is gone.
    Gone,
    /// No beat for too long.
    Silent,
    /// A fault should have been undone by now.
    Overdue,
}

/// The body of `chaos guardian FOLDER`: standard input is the lease, standard output the ledger's lock.
pub fn run_blocking(folder: &Path) -> Result<Option<Report>, GuardianError> {
    let io = |act| move |source: io::Error| GuardianError::Io { act, source };
    rustix::process::setsid().map_err(|error| io("leave the terminal's session")(error.into()))?;
    let lease =
        rustix::io::dup(io::stdin().as_fd()).map_err(|error| io("take the lease")(error.into()))?;
    let lock =
        rustix::io::dup(io::stdout().as_fd()).map_err(|error| io("take the lock")(error.into()))?;
    let ledger = Ledger::shared(folder, File::from(lock))?;
    let content = ledger.read()?;
    let fence = Fence::open(content.opened.harness.pid);
    let ended = watch(lease, folder).map_err(io("watch the lease"))?;
    if ended == Ended::Done {
        return Ok(None);
    }
    tracing::warn!(run = content.opened.run, ?ended, "taking over");
    fence.stop()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io("start a runtime"))?;
    let report = runtime.block_on(recover::finish(ledger))?;
    tracing::warn!(undone = report.undone.len(), left = ?report.left, "finished");
    Ok(Some(report))
}

/// Waits until the lease ends, by whatever way.
fn watch(lease: OwnedFd, folder: &Path) -> io::Result<Ended> {
    let mut lease = File::from(lease);
    let mut last_beat = now_ns();
    let limit = u64::try_from((BEAT * MISSED_BEATS).as_nanos()).unwrap_or(u64::MAX);
    let mut faults = OverdueWatch::new(folder);
    loop {
        let mut fds = [PollFd::new(&lease, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: 250_000_000,
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => {
                let mut bytes = [0; 64];
                let n = lease.read(&mut bytes)?;
                if n == 0 {
                    return Ok(Ended::Gone);
                }
                if bytes[..n].contains(&DONE_BYTE) {
                    return Ok(Ended::Done);
                }
                last_beat = now_ns();
            }
            Err(error) => return Err(error.into()),
        }
        if now_ns().saturating_sub(last_beat) > limit {
            return Ok(Ended::Silent);
        }
        if faults.any_overdue() {
            return Ok(Ended::Overdue);
        }
    }
}

/// Looks into the ledger for faults that should be gone; reads it again only when it has grown.
struct OverdueWatch {
    folder: PathBuf,
    size: u64,
    content: Option<Content>,
}

impl OverdueWatch {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            size: 0,
            content: None,
        }
    }

    fn any_overdue(&mut self) -> bool {
        let size = std::fs::metadata(self.folder.join("ledger")).map_or(0, |found| found.len());
        if size != self.size {
            self.size = size;
            self.content = crate::ledger::read(&self.folder).ok();
        }
        // A harness that tried and failed is awake and on its way to tear everything down.
        let overdue = |undo: &Outstanding| !undo.tried && undo.overdue_ns < now_ns();
        let content = self.content.as_ref();
        content.is_some_and(|content| content.outstanding.iter().any(overdue))
    }
}

/// A hold on the harness that survives the reuse of its number.
struct Fence {
    pid: u32,
    /// Absent if it was gone already when we looked.
    pidfd: Option<OwnedFd>,
}

impl Fence {
    /// The harness is our parent, so its number cannot have been used again before this.
    fn open(pid: u32) -> Self {
        let pidfd = i32::try_from(pid)
            .ok()
            .and_then(Pid::from_raw)
            .and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Self { pid, pidfd }
    }

    /// Kills the harness and waits until it is gone.
    fn stop(&self) -> Result<(), GuardianError> {
        let Some(pidfd) = &self.pidfd else {
            return Ok(());
        };
        match pidfd_send_signal(pidfd, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                return Err(GuardianError::Io {
                    act: "stop the harness",
                    source: error.into(),
                });
            }
        }
        // A pidfd becomes readable when its process ends.
        let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: i64::try_from(FENCE_LIMIT.as_secs()).unwrap_or(5),
            tv_nsec: 0,
        };
        match poll(&mut fds, Some(&wait)) {
            Ok(n) if n > 0 => Ok(()),
            Ok(_) | Err(_) => Err(GuardianError::NotFenced { pid: self.pid }),
        }
    }
}
