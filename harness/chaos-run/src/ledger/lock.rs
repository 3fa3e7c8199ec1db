//! The lock of one run, by which others see whether anybody still looks after it.
//!
//! Invariant: looking changes nothing; only who makes or takes over a ledger makes the lock file.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{LedgerError, read};

/// Who looks after a run that has a folder of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is nothing here: it is just being made or was just removed.
    NotThere,
    /// Nobody: something may be left.
    Abandoned,
    /// Its harness, and its guardian.
    Alive,
    /// Its guardian alone; the harness is gone.
    CleanedByGuardian,
}

/// Makes and takes the lock of a run.
pub(super) fn take(folder: &Path, run: &str) -> Result<File, LedgerError> {
    let path = folder.join("lock");
    let io = |source| LedgerError::Io {
        act: "lock",
        path: path.clone(),
        source,
    };
    let lock = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io)?;
    if try_lock(&lock).map_err(io)? {
        Ok(lock)
    } else {
        Err(LedgerError::Alive {
            run: run.to_owned(),
        })
    }
}

/// Looks who looks after the run in `folder`.
pub fn standing(folder: &Path) -> Result<Standing, LedgerError> {
    let path = folder.join("lock");
    let io = |source| LedgerError::Io {
        act: "look at the lock of",
        path: path.clone(),
        source,
    };
    let lock = match File::open(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Standing::NotThere),
        Err(error) => return Err(io(error)),
    };
    if try_lock(&lock).map_err(io)? {
        return Ok(Standing::Abandoned);
    }
    let opened = read(folder).ok().and_then(|content| content.opened);
    // What cannot be told is taken for alive: the lock is held, so somebody looks after it.
    let harness_gone =
        opened.is_some_and(|opened| opened.harness.is_alive().is_ok_and(|alive| !alive));
    Ok(if harness_gone {
        Standing::CleanedByGuardian
    } else {
        Standing::Alive
    })
}

/// False if somebody else holds it.
fn try_lock(lock: &File) -> io::Result<bool> {
    match flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::tests::{ledger_of, process};

    #[test]
    fn looking_at_a_run_makes_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        assert_eq!(
            standing(root.path()).expect("readable"),
            Standing::NotThere,
            "no lock file"
        );
        assert!(!root.path().join("lock").exists());
    }

    #[test]
    fn a_held_lock_without_its_harness_is_the_guardians() {
        let root = tempfile::tempdir().expect("a folder");
        // No process of this test's own number started at tick 99 of another boot.
        let ledger = ledger_of(root.path(), process());
        let folder = root.path().join("r");
        assert_eq!(
            standing(&folder).expect("readable"),
            Standing::CleanedByGuardian
        );
        drop(ledger);
        assert_eq!(standing(&folder).expect("readable"), Standing::Abandoned);
    }

    #[test]
    fn a_held_lock_with_its_harness_is_alive() {
        let root = tempfile::tempdir().expect("a folder");
        let own = chaos_platform::local::process::ProcessId::of(std::process::id());
        let _ledger = ledger_of(root.path(), own.expect("it runs"));
        let found = standing(&root.path().join("r")).expect("readable");
        assert_eq!(found, Standing::Alive);
    }
}
