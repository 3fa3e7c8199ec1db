//! The port and the folder of one server, which are its own for as long as it lives.
//!
//! Invariant: the folder is locked by an open file that the server inherits, and all that descend from
//! it. So it is free again only when the last of them has ended, however they ended.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::io::FdFlags;

use super::PartError;

/// What a killed server's children may take to notice and end.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);

/// Where a server runs.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) port: u16,
    /// Absolute; exists.
    pub(super) data: PathBuf,
    lock: File,
}

impl Place {
    /// Makes the folder if it is not there and takes it, waiting a bounded time for who has it. What is
    /// written in it from now on is for its owner alone.
    pub(super) fn take(port: u16, data: &Path) -> Result<Self, PartError> {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let act = || format!("make the folder `{}`", data.display());
        fs::create_dir_all(data).map_err(PartError::io(act()))?;
        let data = fs::canonicalize(data).map_err(PartError::io(act()))?;
        let path = data.join("lock");
        let lock =
            File::create(&path).map_err(PartError::io(format!("make `{}`", path.display())))?;
        let until = Instant::now() + PATIENCE;
        while let Err(errno) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if errno != rustix::io::Errno::WOULDBLOCK {
                return Err(PartError::io(format!("lock `{}`", path.display()))(
                    errno.into(),
                ));
            }
            if Instant::now() >= until {
                return Err(PartError::Taken { folder: data });
            }
            std::thread::park_timeout(LOOK);
        }
        Ok(Self { port, data, lock })
    }

    /// Leaves the lock to the program that this process becomes.
    pub(super) fn leave_open(self) -> Result<(), PartError> {
        rustix::io::fcntl_setfd(&self.lock, FdFlags::empty())
            .map_err(|errno| PartError::io("leave the lock to the server")(errno.into()))?;
        std::mem::forget(self.lock);
        Ok(())
    }

    /// A file of the folder, for its owner alone.
    pub(super) fn write(&self, name: &str, text: &[u8]) -> Result<PathBuf, PartError> {
        let path = self.data.join(name);
        fs::write(&path, text).map_err(PartError::io(format!("write `{}`", path.display())))?;
        Ok(path)
    }
}

/// Standard error once more, for a server that logs to its standard output.
pub(super) fn stderr() -> Result<Stdio, PartError> {
    let own = io::stderr();
    own.as_fd()
        .try_clone_to_owned()
        .map(Stdio::from)
        .map_err(PartError::io("share standard error"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_taken_by_one_at_a_time() {
        let root = tempfile::tempdir().expect("a folder of ours");
        let data = root.path().join("new/data");
        let place = Place::take(1, &data).expect("nobody has it");
        let path = place.data.join("lock");
        let other = File::open(&path).expect("it is there");
        let refused = rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive);
        assert_eq!(refused, Err(rustix::io::Errno::WOULDBLOCK));
        drop(place);
        rustix::fs::flock(&other, FlockOperation::NonBlockingLockExclusive).expect("it is free");
    }
}
