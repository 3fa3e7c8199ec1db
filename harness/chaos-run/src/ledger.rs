//! The write-ahead list of what a run has changed and how it is taken back.
//!
//! One line an entry, each with a CRC; room is reserved on disk when it is opened, and the lock is
//! held by harness and guardian together for as long as either lives.
//! Invariant: an act happens only after its `Intend` entry is on disk. A torn last line is an act
//! that did not happen. Once the disk refused an entry, nothing new is announced here.

mod content;
mod handle;
mod lock;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chaos_load::clock::now_ns;
use chaos_platform::local::process::ProcessId;
use chaos_platform::{Reverted, Undo};
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::state_folder::{self, RootLock, StateFolderError};

pub use content::{Content, Outstanding};
pub use handle::LedgerHandle;
pub use lock::{Standing, standing};

/// Version of the entries; a reader refuses any other.
const VERSION: u32 = 1;
/// Reserved on disk: far more than the entries of the largest plan, so that a full disk cannot stop an undo.
const RESERVED_BYTES: u64 = 256 * 1024;

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    Opened(Opened),
    /// About to act. `overdue_ns`: instant of `CLOCK_MONOTONIC` by which it must have been taken back.
    Intend {
        id: u64,
        fault: String,
        undo: Undo,
        overdue_ns: u64,
    },
    Effective {
        id: u64,
    },
    Reverted {
        id: u64,
        how: Reverted,
    },
    /// Everything was tried; `left` names what remains.
    Closed {
        left: Vec<String>,
    },
}

/// Who the run is and where its things are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub version: u32,
    /// Also the mark that every process of the run bears.
    pub run: String,
    pub harness: ProcessId,
    /// Removed with everything in it at the end.
    pub work: PathBuf,
    /// The run's output folder; stays.
    pub out: PathBuf,
    /// Time zero of the run, `CLOCK_MONOTONIC` nanoseconds of the harness's boot.
    #[serde(default)]
    pub zero_ns: u64,
}

impl Opened {
    /// Of a run that begins now, whose state is kept under `root`.
    pub fn new(root: &Path, run: &str, harness: ProcessId, out: &Path) -> Self {
        Self {
            version: VERSION,
            run: run.to_owned(),
            harness,
            work: root.join(run).join("work"),
            out: out.to_owned(),
            zero_ns: now_ns(),
        }
    }
}

#[derive(Debug, Error)]
pub enum LedgerError {
    #[error(transparent)]
    Folder(#[from] StateFolderError),
    #[error("{act} the ledger `{}`: {source}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("find a run in `{}`: it is no folder that a run made", path.display())]
    NotARun { path: PathBuf },
    #[error("take over run `{run}`: it is alive")]
    Alive { run: String },
    #[error("announce an act in the ledger `{}`: it refused an entry before", path.display())]
    Broken { path: PathBuf },
}

/// An open ledger that holds the run's lock.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    file: File,
    /// Bytes that are known to be on disk; what a refused write left behind them is cut off.
    good: u64,
    /// The disk refused an entry.
    broken: bool,
    /// What it left could not be cut off either: the next line must begin with a line break.
    torn: bool,
    /// Closing the last copy releases the lock; the guardian inherits one.
    lock: File,
}

impl Ledger {
    /// Makes the ledger of a new run and takes its lock.
    pub fn create(root: &RootLock, opened: Opened) -> Result<Self, LedgerError> {
        let folder = root.root().join(&opened.run);
        state_folder::make_private(&folder)?;
        let begun = Self::begin(&folder, opened);
        if begun.is_err() {
            // Nothing was started yet: what is there of it must not stand in the way of the next run.
            fs::remove_dir_all(&folder).unwrap_or_default();
        }
        begun
    }

    fn begin(folder: &Path, opened: Opened) -> Result<Self, LedgerError> {
        let lock = lock::take(folder, &opened.run)?;
        let path = folder.join("ledger");
        let io = |act| {
            let path = path.clone();
            move |source| LedgerError::Io { act, path, source }
        };
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(io("make"))?;
        reserve(&file).map_err(io("reserve room for"))?;
        let mut ledger =
            Self::over(folder.to_owned(), file, lock).map_err(io("read the size of"))?;
        ledger.write(&Entry::Opened(opened))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io("sync"))?;
        Ok(ledger)
    }

    /// Takes over the ledger of a run that nobody looks after any more.
    pub fn take_over(root: &RootLock, run: &str) -> Result<Self, LedgerError> {
        let folder = root.root().join(run);
        if !is_of_a_run(root.root(), &folder) {
            return Err(LedgerError::NotARun { path: folder });
        }
        state_folder::check_private(&folder)?;
        let lock = lock::take(&folder, run)?;
        Self::open(folder, lock, true)
    }

    /// Opens the ledger in `folder` for the guardian, whose lock came with its descriptors.
    pub fn shared(folder: &Path, lock: File) -> Result<Self, LedgerError> {
        Self::open(folder.to_owned(), lock, false)
    }

    fn open(folder: PathBuf, lock: File, create: bool) -> Result<Self, LedgerError> {
        let path = folder.join("ledger");
        let io = |source| LedgerError::Io {
            act: "open",
            path: path.clone(),
            source,
        };
        let file = OpenOptions::new()
            .append(true)
            .create(create)
            .open(&path)
            .map_err(io)?;
        Self::over(folder, file, lock).map_err(io)
    }

    fn over(folder: PathBuf, file: File, lock: File) -> io::Result<Self> {
        let good = file.metadata()?.len();
        Ok(Self {
            folder,
            file,
            good,
            broken: false,
            torn: false,
            lock,
        })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A second hold on the lock, to hand to the guardian.
    pub fn share_lock(&self) -> Result<File, LedgerError> {
        self.lock.try_clone().map_err(|source| LedgerError::Io {
            act: "share the lock of",
            path: self.path(),
            source,
        })
    }

    /// Appends one entry and waits until it is on disk. After the first refusal acts can no longer
    /// be announced, but what was done can still be noted.
    pub fn write(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        if self.broken && matches!(entry, Entry::Intend { .. }) {
            return Err(LedgerError::Broken { path: self.path() });
        }
        let json = serde_json::to_string(entry).expect("an entry is plain data");
        let start = if self.torn { "\n" } else { "" };
        let line = format!("{start}{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.good += line.len() as u64;
                self.torn = false;
                Ok(())
            }
            Err(source) => {
                self.cut_back();
                Err(LedgerError::Io {
                    act: "write",
                    path: self.path(),
                    source,
                })
            }
        }
    }

    /// Takes away what a refused write left, so that the next line is not joined to it.
    fn cut_back(&mut self) {
        self.broken = true;
        let cut = self
            .file
            .set_len(self.good)
            .and_then(|()| self.file.sync_data());
        self.torn = cut.is_err();
        // Cutting gave back the room behind the end; without it the run goes on as before.
        drop(reserve(&self.file));
    }

    /// What the ledger says; a torn last line is left out.
    pub fn read(&self) -> Result<Content, LedgerError> {
        read(&self.folder)
    }

    /// Forgets a run that left nothing behind.
    pub fn remove(&self, _root: &RootLock) -> Result<(), LedgerError> {
        fs::remove_dir_all(&self.folder).map_err(|source| LedgerError::Io {
            act: "remove",
            path: self.path(),
            source,
        })
    }

    fn path(&self) -> PathBuf {
        self.folder.join("ledger")
    }
}

/// A folder directly in the root, empty (the run died before its lock) or with a lock in it.
fn is_of_a_run(root: &Path, folder: &Path) -> bool {
    let is_named = folder.parent() == Some(root)
        && folder
            .file_name()
            .is_some_and(|name| folder == root.join(name));
    let is_empty = || fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
    is_named && (folder.join("lock").exists() || is_empty())
}

/// Some file systems cannot reserve room; then the run goes on without.
fn reserve(file: &File) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, 0, RESERVED_BYTES) {
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Reads the ledger in `folder`; one that is not there yet says nothing.
pub fn read(folder: &Path) -> Result<Content, LedgerError> {
    let path = folder.join("ledger");
    match fs::read(&path) {
        Ok(bytes) => Ok(Content::parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Content::default()),
        Err(source) => Err(LedgerError::Io {
            act: "read",
            path,
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use chaos_platform::undo::UndoStep;

    use super::*;

    pub(super) fn process() -> ProcessId {
        ProcessId {
            pid: 4_121,
            start: 99,
            boot: "b".to_owned(),
        }
    }

    pub(super) fn intend(id: u64) -> Entry {
        let undo = Undo {
            version: 1,
            mark: "r".to_owned(),
            step: UndoStep::Resume {
                instance: format!("api-{id}"),
                process: process(),
            },
        };
        Entry::Intend {
            id,
            fault: "f".to_owned(),
            undo,
            overdue_ns: 5,
        }
    }

    fn reverted(id: u64) -> Entry {
        Entry::Reverted {
            id,
            how: Reverted::Restored {
                proof: "runs".to_owned(),
            },
        }
    }

    pub(super) fn ids(content: &Content) -> Vec<u64> {
        content.outstanding.iter().map(|undo| undo.id).collect()
    }

    fn hold(root: &Path) -> RootLock {
        RootLock::try_take(root)
            .expect("readable")
            .expect("nobody holds it")
    }

    /// A new ledger of run `r` with this harness.
    pub(super) fn ledger_of(root: &Path, harness: ProcessId) -> Ledger {
        let opened = Opened::new(root, "r", harness, Path::new("/out"));
        Ledger::create(&hold(root), opened).expect("a new ledger")
    }

    pub(super) fn written(root: &Path) -> Ledger {
        let mut ledger = ledger_of(root, process());
        for entry in [intend(1), intend(2), reverted(1), intend(3)] {
            ledger.write(&entry).expect("room");
        }
        ledger
    }

    #[test]
    fn only_a_folder_that_a_run_made_is_taken_over() {
        let root = tempfile::tempdir().expect("a folder");
        let elsewhere = tempfile::tempdir().expect("a folder");
        for folder in [elsewhere.path().join("v"), root.path().join("v")] {
            state_folder::make_private(&folder).expect("new");
            fs::write(folder.join("f"), "precious").expect("ours");
        }
        let held = RootLock::try_take(root.path())
            .expect("ours")
            .expect("free");
        let absolute = elsewhere.path().join("v").display().to_string();
        for run in ["", ".", "..", "v", "v/..", &absolute] {
            let taken = Ledger::take_over(&held, run);
            assert!(
                matches!(taken, Err(LedgerError::NotARun { .. })),
                "{run}: {taken:?}"
            );
        }
        assert!(root.path().join("v/f").exists() && elsewhere.path().join("v/f").exists());
    }

    #[test]
    fn what_is_outstanding_comes_newest_first() {
        let root = tempfile::tempdir().expect("a folder");
        let ledger = written(root.path());
        let content = ledger.read().expect("what was written");
        assert_eq!((ids(&content), content.closed), (vec![3, 2], false));
    }

    #[test]
    fn a_failed_undo_stays_outstanding() {
        let root = tempfile::tempdir().expect("a folder");
        let mut ledger = written(root.path());
        ledger
            .write(&Entry::Reverted {
                id: 2,
                how: Reverted::Failed {
                    why: "stuck".to_owned(),
                },
            })
            .expect("room");
        let content = ledger.read().expect("what was written");
        assert_eq!(ids(&content), [3, 2]);
        let tried: Vec<bool> = content.outstanding.iter().map(|undo| undo.tried).collect();
        assert_eq!(tried, [false, true]);
    }

    #[test]
    fn a_live_run_cannot_be_taken_over() {
        let root = tempfile::tempdir().expect("a folder");
        let ledger = written(root.path());
        let guardians = ledger.share_lock().expect("a second hold");
        let taken = Ledger::take_over(&hold(root.path()), "r");
        assert!(matches!(taken, Err(LedgerError::Alive { .. })));
        drop(ledger);
        let taken = Ledger::take_over(&hold(root.path()), "r");
        assert!(
            matches!(taken, Err(LedgerError::Alive { .. })),
            "the guardian still holds the lock"
        );
        drop(guardians);
        let held = hold(root.path());
        let taken = Ledger::take_over(&held, "r").expect("nobody holds it");
        taken.remove(&held).expect("ours");
        assert!(!root.path().join("r").exists());
    }

    #[test]
    fn a_refused_entry_is_cut_off_and_nothing_new_is_announced() {
        let root = tempfile::tempdir().expect("a folder");
        let mut ledger = written(root.path());
        // What a full disk leaves of a line.
        ledger.file.write_all(b"0badc0de {\"int").expect("room");
        ledger.cut_back();
        assert!(matches!(
            ledger.write(&intend(4)),
            Err(LedgerError::Broken { .. })
        ));
        ledger.write(&reverted(3)).expect("notes are still taken");
        let content = ledger.read().expect("what was written");
        assert_eq!((ids(&content), content.damage), (vec![2], None));
    }

    #[test]
    fn what_cannot_be_cut_off_is_ended_before_the_next_line() {
        let root = tempfile::tempdir().expect("a folder");
        let mut ledger = written(root.path());
        let good = std::mem::replace(
            &mut ledger.file,
            OpenOptions::new()
                .append(true)
                .open("/dev/full")
                .expect("a device that is always full"),
        );
        assert!(ledger.write(&reverted(3)).is_err());
        assert!(ledger.torn, "a device cannot be cut");
        ledger.file = good;
        ledger.file.write_all(b"0badc0de {\"int").expect("room");
        ledger.write(&reverted(3)).expect("room");
        let content = ledger.read().expect("what was written");
        assert_eq!(ids(&content), [2]);
        assert!(content.damage.is_some(), "the torn line is named");
    }
}
