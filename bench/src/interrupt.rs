//! Waiting that Ctrl-C ends.
//!
//! Invariant: after the first signal every wait fails at once, so the stack unwinds and each owner ends what it started.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

/// The signals by which people and programs end a sitting.
pub(crate) const ENDING: [i32; 3] = [SIGHUP, SIGINT, SIGTERM];

/// Readable once somebody wants the sitting to end.
#[derive(Debug)]
pub(crate) struct Interrupt {
    reader: UnixStream,
    /// Without a writer the reader would be at its end, which looks like a signal.
    _writer: UnixStream,
}

/// The error of every wait after a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("interrupted: what was started has been ended, nothing was written")
    }
}

impl std::error::Error for Interrupted {}

/// Whether this error, or one below it, is an [`Interrupted`].
pub(crate) fn is_interrupt(error: &anyhow::Error) -> bool {
    error.is::<Interrupted>()
}

impl Interrupt {
    /// Takes these signals from now on.
    pub(crate) fn listen(signals: &[i32]) -> Result<Self> {
        let (reader, writer) = UnixStream::pair().context("failed to make a pair of sockets")?;
        for &signal in signals {
            let writer = writer.try_clone()?;
            pipe::register(signal, writer).context("failed to take over a signal")?;
        }
        Ok(Self {
            reader,
            _writer: writer,
        })
    }

    /// Waits until `ready` is readable (true) or `limit` is over (false).
    pub(crate) fn wait(&self, ready: Option<BorrowedFd<'_>>, limit: Duration) -> Result<bool> {
        let limit = Timespec::try_from(limit).context("a wait is too long")?;
        let mut watched = vec![PollFd::new(&self.reader, PollFlags::IN)];
        if let Some(ready) = &ready {
            watched.push(PollFd::new(ready, PollFlags::IN));
        }
        match poll(&mut watched, Some(&limit)) {
            // A signal that is not ours also ends a poll; the caller looks again.
            Err(rustix::io::Errno::INTR) if !self.is_set()? => return Ok(false),
            Err(rustix::io::Errno::INTR) => return Err(Interrupted.into()),
            Err(error) => return Err(io::Error::from(error).into()),
            Ok(_) => {}
        }
        let seen = |at: usize| watched.get(at).is_some_and(|fd| !fd.revents().is_empty());
        if seen(0) {
            return Err(Interrupted.into());
        }
        Ok(seen(1))
    }

    fn is_set(&self) -> Result<bool> {
        let mut watched = [PollFd::from_borrowed_fd(self.reader.as_fd(), PollFlags::IN)];
        let none = Timespec::default();
        Ok(poll(&mut watched, Some(&none)).map_err(io::Error::from)? > 0)
    }
}

#[cfg(test)]
mod tests {
    use signal_hook::consts::SIGUSR2;

    use super::*;

    #[test]
    fn a_wait_tells_readable_from_over() {
        let interrupt = Interrupt::listen(&[]).unwrap();
        let (silent, _keep) = UnixStream::pair().unwrap();
        let none = Duration::ZERO;
        assert!(!interrupt.wait(Some(silent.as_fd()), none).unwrap());
        let (closed, other) = UnixStream::pair().unwrap();
        drop(other);
        assert!(interrupt.wait(Some(closed.as_fd()), none).unwrap());
    }

    #[test]
    fn after_a_signal_every_wait_fails() {
        let interrupt = Interrupt::listen(&[SIGUSR2]).unwrap();
        signal_hook::low_level::raise(SIGUSR2).unwrap();
        let long = Duration::from_mins(1);
        for _ in 0..2 {
            assert!(is_interrupt(&interrupt.wait(None, long).unwrap_err()));
        }
    }
}
