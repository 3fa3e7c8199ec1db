//! The second process: it watches the harness's lease and, when that ends badly, stops the harness
//! for good, undoes what the ledger says and removes what is left of the run.
//!
//! Invariant: it never acts beside a living harness. The harness is killed by pidfd and seen gone
//! before the first undo, however long that takes, so that a stopped one cannot act later (fencing).

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos_load::clock::{length_ns, now_ns};
use chaos_platform::local::process::ProcessId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use thiserror::Error;

use crate::lease::{BEAT, DONE_BYTE, MISSED_BEATS};
use crate::ledger::{Content, Ledger, LedgerError};
use crate::recover::{self, Report};

/// How often a harness that does not go is signalled again; a process in uninterruptible sleep may take long.
const FENCE_PAUSE: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum GuardianError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("{act}: {source}")]
    Io {
        act: &'static str,
        source: io::Error,
    },
    #[error("find in the ledger in `{}` whose guardian this is", folder.display())]
    Unknown { folder: PathBuf },
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
    let opened = ledger.read()?.opened;
    let opened = opened.ok_or_else(|| GuardianError::Unknown {
        folder: folder.to_owned(),
    })?;
    let fence = Fence::open(&opened.harness).map_err(io("get a hold on the harness"))?;
    // Made now: once the harness is stopped, nothing may be missing any more.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(io("start a runtime"))?;
    let ended = watch(lease, folder).map_err(io("watch the lease"))?;
    if ended == Ended::Done {
        return Ok(None);
    }
    tracing::warn!(run = opened.run, ?ended, "taking over");
    if let Some(fence) = fence {
        fence.stop();
    }
    Ok(Some(runtime.block_on(recover::finish(ledger))))
}

/// Waits until the lease ends, by whatever way.
fn watch(lease: OwnedFd, folder: &Path) -> io::Result<Ended> {
    let mut lease = File::from(lease);
    let mut silence = Silence::new(now_ns());
    let mut faults = OverdueWatch::new(folder);
    loop {
        let mut fds = [PollFd::new(&lease, PollFlags::IN)];
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: 250_000_000,
        };
        let asked_ns = now_ns();
        match poll(&mut fds, Some(&wait)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => {
                let mut bytes = [0; 64];
                let n = lease.read(&mut bytes)?;
                if n == 0 {
                    return Ok(Ended::Gone);
                }
                if bytes[..n].contains(&DONE_BYTE) {
                    return Ok(Ended::Done);
                }
                silence = Silence::new(now_ns());
            }
            Err(error) => return Err(error.into()),
        }
        if silence.is_too_long(asked_ns, now_ns()) {
            return Ok(Ended::Silent);
        }
        if faults.any_overdue() {
            return Ok(Ended::Overdue);
        }
    }
}

/// How long no beat has come.
struct Silence {
    since_ns: u64,
}

impl Silence {
    fn new(since_ns: u64) -> Self {
        Self { since_ns }
    }

    /// After a wait that began at `asked_ns`. Who was not running itself for all of a beat, on a machine that
    /// stood still, cannot tell whether the harness was: it begins anew.
    fn is_too_long(&mut self, asked_ns: u64, now_ns: u64) -> bool {
        if now_ns.saturating_sub(asked_ns) > length_ns(BEAT) {
            self.since_ns = now_ns;
        }
        now_ns.saturating_sub(self.since_ns) > length_ns(BEAT * MISSED_BEATS)
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
        let now_ns = now_ns();
        self.content.as_ref().is_some_and(|content| {
            let mut outstanding = content.outstanding.iter();
            outstanding.any(|undo| undo.is_overdue(now_ns))
        })
    }
}

/// A hold on the harness that survives the reuse of its number.
#[derive(Debug)]
struct Fence {
    process: ProcessId,
    pidfd: OwnedFd,
}

impl Fence {
    /// `None` if the harness is gone, also if another process has its number by now: who it is was
    /// looked up after the hold was taken.
    fn open(process: &ProcessId) -> io::Result<Option<Self>> {
        let pid = i32::try_from(process.pid)
            .ok()
            .and_then(Pid::from_raw)
            .ok_or(io::ErrorKind::InvalidInput)?;
        let pidfd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(process.is_alive()?.then(|| Self {
            process: process.clone(),
            pidfd,
        }))
    }

    /// Kills the harness and waits until it is gone, however long that takes: beside one that may
    /// still act nothing is undone, and meanwhile the lock keeps everybody else away.
    fn stop(&self) {
        while !self.try_stop() {
            tracing::error!(pid = self.process.pid, "the harness is still there");
        }
    }

    fn try_stop(&self) -> bool {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(error) => tracing::error!(%error, "failed to stop the harness"),
        }
        let deadline = now_ns() + u64::try_from(FENCE_PAUSE.as_nanos()).unwrap_or(0);
        loop {
            let left = Duration::from_nanos(deadline.saturating_sub(now_ns()));
            let wait = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            // A pidfd becomes readable when its process ends.
            let mut fds = [PollFd::new(&self.pidfd, PollFlags::IN)];
            match poll(&mut fds, Some(&wait)) {
                Ok(n) if n > 0 => return true,
                _ if left.is_zero() => return false,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_machine_that_stood_still_is_not_a_silent_harness() {
        const SECOND_NS: u64 = 1_000_000_000;
        let mut silence = Silence::new(0);
        assert!(
            !silence.is_too_long(2 * SECOND_NS, 12 * SECOND_NS),
            "ten seconds in one wait"
        );
        let waits = (12..).map(|second| (second * SECOND_NS, second * SECOND_NS + SECOND_NS / 4));
        let silent = waits
            .take(10)
            .find(|(asked, now)| silence.is_too_long(*asked, *now));
        assert_eq!(silent.map(|(asked, _)| asked / SECOND_NS), Some(15));
    }

    #[test]
    fn a_harness_is_stopped_for_good() {
        let mut child = Command::new("sleep").arg("600").spawn().expect("coreutils");
        let process = ProcessId::of(child.id()).expect("it runs");
        let fence = Fence::open(&process).expect("ours");
        fence.expect("it runs").stop();
        assert!(!process.is_alive().expect("readable"));
        assert!(Fence::open(&process).expect("readable").is_none());
        child.wait().expect("our child");
    }

    #[test]
    fn another_process_with_its_number_is_never_stopped() {
        let own = ProcessId::of(std::process::id()).expect("it runs");
        let another = ProcessId {
            start: own.start + 1,
            ..own.clone()
        };
        assert!(Fence::open(&another).expect("readable").is_none());
        let earlier = ProcessId {
            boot: "another boot".to_owned(),
            ..own
        };
        assert!(Fence::open(&earlier).expect("readable").is_none());
    }
}
