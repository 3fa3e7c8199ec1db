//! The ledger of a run that goes on: written beside the conductor's loop.
//!
//! Invariant: a disk that takes its time never holds up the loop, and so never the lease.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Content, Entry, Ledger, LedgerError};
use crate::state_folder::RootLock;

/// A ledger that several parts of the conductor hold.
#[derive(Debug, Clone)]
pub struct LedgerHandle {
    ledger: Arc<Mutex<Ledger>>,
    folder: PathBuf,
}

impl LedgerHandle {
    pub fn new(ledger: Ledger) -> Self {
        Self {
            folder: ledger.folder().to_owned(),
            ledger: Arc::new(Mutex::new(ledger)),
        }
    }

    /// Appends one entry and waits, without blocking, until it is on disk.
    pub async fn write(&self, entry: Entry) -> Result<(), LedgerError> {
        let ledger = Arc::clone(&self.ledger);
        let written = tokio::task::spawn_blocking(move || hold(&ledger).write(&entry)).await;
        written.unwrap_or_else(|error| {
            Err(LedgerError::Io {
                act: "write",
                path: self.folder.join("ledger"),
                source: std::io::Error::other(error),
            })
        })
    }

    /// What the ledger says.
    pub fn read(&self) -> Result<Content, LedgerError> {
        super::read(&self.folder)
    }

    /// Forgets a run that left nothing behind.
    pub fn remove(&self, root: &RootLock) -> Result<(), LedgerError> {
        hold(&self.ledger).remove(root)
    }
}

/// A panic while it was held left at most a torn line, which the next write takes back.
fn hold(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}
