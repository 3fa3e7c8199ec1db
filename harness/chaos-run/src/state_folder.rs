//! Where the state of runs is kept: `$XDG_STATE_HOME/chaos/<run>/`, apart from their reports.
//!
//! Invariant: every folder here is ours alone (mode 0700, owner checked), so that nobody can plant
//! an undo for us to run.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

/// Longest wait for another process that makes, looks through or removes folders here.
const BUSY_LIMIT: Duration = Duration::from_secs(10);
/// Between two tries.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

#[derive(Debug, Error)]
pub enum StateFolderError {
    #[error("find a folder for state: set XDG_STATE_HOME or HOME")]
    NoHome,
    #[error("make `{}`: {source}", path.display())]
    Make { path: PathBuf, source: io::Error },
    #[error("trust `{}`: it belongs to somebody else or others may write to it (owner must be you, mode 0700)", path.display())]
    Untrusted { path: PathBuf },
    #[error("read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("lock `{}`: another `chaos` has held it for {} s; is one stopped?", path.display(), BUSY_LIMIT.as_secs())]
    Busy { path: PathBuf },
}

/// A short hold on the folder of all runs. Folders of runs are made, looked through, taken over and
/// removed only under it, so that nobody sees one half made.
#[derive(Debug)]
pub struct RootLock {
    root: PathBuf,
    /// The folder itself, with a lock on it; closing it gives it back.
    _held: File,
}

impl RootLock {
    /// Waits until nobody else holds it, but not for ever.
    pub async fn take(root: &Path) -> Result<Self, StateFolderError> {
        let deadline = tokio::time::Instant::now() + BUSY_LIMIT;
        loop {
            if let Some(held) = Self::try_take(root)? {
                return Ok(held);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(StateFolderError::Busy {
                    path: root.to_owned(),
                });
            }
            tokio::time::sleep(BUSY_PAUSE).await;
        }
    }

    /// `None` if somebody else holds it.
    pub fn try_take(root: &Path) -> Result<Option<Self>, StateFolderError> {
        let read = |source| StateFolderError::Read {
            path: root.to_owned(),
            source,
        };
        let held = File::open(root).map_err(read)?;
        match flock(&held, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self {
                root: root.to_owned(),
                _held: held,
            })),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => Ok(None),
            Err(error) => Err(read(error.into())),
        }
    }

    /// The folder that is held.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// The folder that holds one folder a run; made if absent.
pub fn root() -> Result<PathBuf, StateFolderError> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_STATE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let root = base.ok_or(StateFolderError::NoHome)?.join("chaos");
    fs::create_dir_all(root.parent().unwrap_or(&root)).map_err(|source| {
        StateFolderError::Make {
            path: root.clone(),
            source,
        }
    })?;
    make_private(&root)?;
    Ok(root)
}

/// Makes a folder that is ours alone, or checks that an existing one is.
pub fn make_private(path: &Path) -> Result<(), StateFolderError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => check_private(path),
        Err(source) => Err(StateFolderError::Make {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Refuses a folder of somebody else, a link, or one that others may enter.
pub fn check_private(path: &Path) -> Result<(), StateFolderError> {
    let found = fs::symlink_metadata(path).map_err(|source| StateFolderError::Read {
        path: path.to_owned(),
        source,
    })?;
    let ours = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
    if ours && found.permissions().mode().trailing_zeros() >= 6 {
        return Ok(());
    }
    Err(StateFolderError::Untrusted {
        path: path.to_owned(),
    })
}

/// Names of the runs that have state here: alive or unfinished.
pub fn runs(root: &Path) -> Result<Vec<String>, StateFolderError> {
    let read = |source| StateFolderError::Read {
        path: root.to_owned(),
        source,
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(read)? {
        let entry = entry.map_err(read)?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_others_can_enter_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let path = home.path().join("state");
        make_private(&path).expect("new");
        make_private(&path).expect("ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).expect("ours to change");
        assert!(matches!(
            make_private(&path),
            Err(StateFolderError::Untrusted { .. })
        ));
    }

    #[test]
    fn only_one_holds_the_root() {
        let root = tempfile::tempdir().expect("a folder");
        let held = RootLock::try_take(root.path()).expect("readable");
        assert!(held.is_some());
        let other = RootLock::try_take(root.path()).expect("readable");
        assert!(other.is_none(), "it is held already");
        drop(held);
        let other = RootLock::try_take(root.path()).expect("readable");
        assert!(other.is_some(), "it was given back");
    }

    #[test]
    fn a_link_is_refused() {
        let home = tempfile::tempdir().expect("a folder");
        let link = home.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).expect("a link");
        assert!(matches!(
            make_private(&link),
            Err(StateFolderError::Untrusted { .. })
        ));
    }
}
