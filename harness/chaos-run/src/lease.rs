//! The harness's end of the lease that the guardian watches.
//!
//! Invariant: a beat is written only from the conductor's own loop, so a harness that hangs, is
//! stopped or is gone stops beating. The pipe closes on exec: no process of the target holds it.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};

use crate::ledger::{Ledger, LedgerError};

/// Time between two beats; the guardian acts after [`MISSED_BEATS`] of them.
pub const BEAT: Duration = Duration::from_secs(1);
pub const MISSED_BEATS: u32 = 3;

/// Bytes on the lease.
pub const BEAT_BYTE: u8 = b'.';
/// The run is over and clean: the guardian may go.
pub const DONE_BYTE: u8 = b'd';

#[derive(Debug, Error)]
pub enum LeaseError {
    #[error("start the guardian: {source}")]
    Start { source: io::Error },
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The guardian, and our end of its lease.
#[derive(Debug)]
pub struct Lease {
    guardian: Child,
    pipe: Option<ChildStdin>,
}

impl Lease {
    /// Starts `chaos guardian` for this ledger. Its standard output is the ledger's lock, which it so holds too.
    pub fn start(chaos: &Path, ledger: &Ledger) -> Result<Self, LeaseError> {
        let start = |source| LeaseError::Start { source };
        let log = std::fs::File::create(ledger.folder().join("guardian.log")).map_err(start)?;
        let mut command = Command::new(chaos);
        command.arg("guardian").arg(ledger.folder());
        command
            .stdin(Stdio::piped())
            .stdout(ledger.share_lock()?)
            .stderr(log);
        // It makes a session of its own at once, so that Ctrl-C at the terminal does not reach it.
        let mut guardian = command.spawn().map_err(start)?;
        let pipe = guardian.stdin.take();
        Ok(Self { guardian, pipe })
    }

    /// Says that the harness is alive. A guardian that is gone is noticed by [`Self::lost`].
    pub async fn beat(&mut self) {
        if let Some(pipe) = &mut self.pipe {
            // A broken pipe means a guardian that is gone.
            let written = tokio::time::timeout(BEAT, pipe.write_all(&[BEAT_BYTE])).await;
            if !matches!(written, Ok(Ok(()))) {
                self.pipe = None;
            }
        }
    }

    /// Waits until the guardian is gone. Cancel safe.
    pub async fn lost(&mut self) {
        // An error here means there is no such child any more.
        drop(self.guardian.wait().await);
    }

    /// Whether it is gone by now.
    pub fn is_lost(&mut self) -> bool {
        !matches!(self.guardian.try_wait(), Ok(None))
    }

    /// Tells the guardian that the run is over and clean, and waits until it has gone.
    pub async fn finish(mut self) {
        if let Some(mut pipe) = self.pipe.take() {
            drop(pipe.write_all(&[DONE_BYTE]).await);
        }
        if tokio::time::timeout(BEAT * 5, self.guardian.wait())
            .await
            .is_err()
        {
            drop(self.guardian.kill().await);
        }
    }
}
