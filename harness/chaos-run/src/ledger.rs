//! The write-ahead list of what a run has changed and how it is taken back.
//!
//! One line an entry, each with a CRC; room is reserved on disk when it is opened, and the lock is
//! held by harness and guardian together for as long as either lives.
//! Invariant: an act happens only after its `Intend` entry is on disk. A torn last line is an act
//! that did not happen.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chaos_platform::local::process::ProcessId;
use chaos_platform::{Reverted, Undo};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::state_folder::{self, StateFolderError};

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
    #[error("take over run `{run}`: it is alive")]
    Alive { run: String },
    #[error("read the ledger `{}`: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
}

/// An open ledger that holds the run's lock.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    file: File,
    /// Closing the last copy releases the lock; the guardian inherits one.
    lock: File,
}

/// A ledger read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub opened: Opened,
    /// Intended and not reverted, newest first.
    pub outstanding: Vec<Outstanding>,
    pub closed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    pub id: u64,
    pub fault: String,
    pub undo: Undo,
    pub overdue_ns: u64,
    /// Its undo was tried and failed.
    pub tried: bool,
}

impl Ledger {
    /// Makes the ledger of a new run under `root` and takes its lock.
    pub fn create(
        root: &Path,
        run: &str,
        harness: ProcessId,
        out: &Path,
    ) -> Result<Self, LedgerError> {
        let folder = root.join(run);
        state_folder::make_private(&folder)?;
        let lock = lock(&folder, run)?;
        let path = folder.join("ledger");
        let io = |act| {
            move |source| LedgerError::Io {
                act,
                path: path_of(root, run),
                source,
            }
        };
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(io("make"))?;
        fallocate(&file, FallocateFlags::KEEP_SIZE, 0, RESERVED_BYTES)
            .or_else(unsupported)
            .map_err(|error| io("reserve room for")(error.into()))?;
        let mut ledger = Self {
            folder: folder.clone(),
            file,
            lock,
        };
        let opened = Opened {
            version: VERSION,
            run: run.to_owned(),
            harness,
            work: folder.join("work"),
            out: out.to_owned(),
        };
        ledger.write(&Entry::Opened(opened))?;
        File::open(&folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io("sync"))?;
        Ok(ledger)
    }

    /// Takes over the ledger of a run that is no longer alive.
    pub fn take_over(root: &Path, run: &str) -> Result<Self, LedgerError> {
        let folder = root.join(run);
        state_folder::check_private(&folder)?;
        let lock = lock(&folder, run)?;
        let path = folder.join("ledger");
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|source| LedgerError::Io {
                act: "open",
                path,
                source,
            })?;
        Ok(Self { folder, file, lock })
    }

    /// Opens the ledger in `folder` for the guardian, whose lock came with its descriptors.
    pub fn shared(folder: &Path, lock: File) -> Result<Self, LedgerError> {
        let path = folder.join("ledger");
        let file = OpenOptions::new()
            .append(true)
            .open(&path)
            .map_err(|source| LedgerError::Io {
                act: "open",
                path,
                source,
            })?;
        Ok(Self {
            folder: folder.to_owned(),
            file,
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

    /// Appends one entry and waits until it is on disk.
    pub fn write(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        let json = serde_json::to_string(entry).expect("an entry is plain data");
        let line = format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes()));
        let written = self
            .file
            .write_all(line.as_bytes())
            .and_then(|()| self.file.sync_data());
        written.map_err(|source| LedgerError::Io {
            act: "write",
            path: self.path(),
            source,
        })
    }

    /// What the ledger says; a torn last line is left out.
    pub fn read(&self) -> Result<Content, LedgerError> {
        read(&self.folder)
    }

    /// Forgets a run that left nothing behind.
    pub fn remove(self) -> Result<(), LedgerError> {
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

fn path_of(root: &Path, run: &str) -> PathBuf {
    root.join(run).join("ledger")
}

/// Some file systems cannot reserve room; then the run goes on without.
fn unsupported(error: rustix::io::Errno) -> Result<(), rustix::io::Errno> {
    if error == rustix::io::Errno::OPNOTSUPP {
        Ok(())
    } else {
        Err(error)
    }
}

fn lock(folder: &Path, run: &str) -> Result<File, LedgerError> {
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
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(LedgerError::Alive {
            run: run.to_owned(),
        }),
        Err(error) => Err(io(error.into())),
    }
}

/// Whether a run's lock is held by somebody.
pub fn is_alive(root: &Path, run: &str) -> Result<bool, LedgerError> {
    match lock(&root.join(run), run) {
        Ok(_released_at_once) => Ok(false),
        Err(LedgerError::Alive { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

/// Reads the ledger in `folder`.
pub fn read(folder: &Path) -> Result<Content, LedgerError> {
    let path = folder.join("ledger");
    let io = |source| LedgerError::Io {
        act: "read",
        path: path.clone(),
        source,
    };
    let mut text = String::new();
    let mut file = File::open(&path).map_err(io)?;
    file.seek(SeekFrom::Start(0)).map_err(io)?;
    file.read_to_string(&mut text).map_err(io)?;
    content(&text).map_err(|why| LedgerError::Damaged { path, why })
}

/// The content of a ledger's text. Reading ends at the first line that is torn or damaged: what was
/// never completely on disk was never acted on.
fn content(text: &str) -> Result<Content, String> {
    let mut entries = text.split_inclusive('\n').map_while(entry);
    let Some(Entry::Opened(opened)) = entries.next() else {
        return Err("its first entry is missing or damaged".to_owned());
    };
    if opened.version != VERSION {
        return Err(format!(
            "it has version {}, this program reads {VERSION}",
            opened.version
        ));
    }
    let mut content = Content {
        opened,
        outstanding: Vec::new(),
        closed: false,
    };
    for entry in entries {
        match entry {
            Entry::Intend {
                id,
                fault,
                undo,
                overdue_ns,
            } => content.outstanding.insert(
                0,
                Outstanding {
                    id,
                    fault,
                    undo,
                    overdue_ns,
                    tried: false,
                },
            ),
            Entry::Reverted { id, how } if how.is_clean() => {
                content.outstanding.retain(|other| other.id != id);
            }
            Entry::Reverted { id, .. } => {
                for other in content
                    .outstanding
                    .iter_mut()
                    .filter(|other| other.id == id)
                {
                    other.tried = true;
                }
            }
            Entry::Closed { left } => content.closed = left.is_empty(),
            Entry::Opened(_) | Entry::Effective { .. } => {}
        }
    }
    Ok(content)
}

fn entry(line: &str) -> Option<Entry> {
    let (crc, json) = line.strip_suffix('\n')?.split_once(' ')?;
    let intact =
        u32::from_str_radix(crc, 16).is_ok_and(|crc| crc == crc32fast::hash(json.as_bytes()));
    if intact {
        serde_json::from_str(json).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use chaos_platform::undo::UndoStep;
    use proptest::prelude::*;

    use super::*;

    fn process() -> ProcessId {
        ProcessId {
            pid: 4_121,
            start: 99,
            boot: "b".to_owned(),
        }
    }

    fn intend(id: u64) -> Entry {
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

    fn ids(content: &Content) -> Vec<u64> {
        content.outstanding.iter().map(|undo| undo.id).collect()
    }

    fn written(root: &Path) -> Ledger {
        let mut ledger =
            Ledger::create(root, "r", process(), Path::new("/out")).expect("a new ledger");
        for entry in [intend(1), intend(2), reverted(1), intend(3)] {
            ledger.write(&entry).expect("room");
        }
        ledger
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
        assert!(matches!(
            Ledger::take_over(root.path(), "r"),
            Err(LedgerError::Alive { .. })
        ));
        drop(ledger);
        assert!(
            is_alive(root.path(), "r").expect("readable"),
            "the guardian still holds the lock"
        );
        drop(guardians);
        let taken = Ledger::take_over(root.path(), "r").expect("nobody holds it");
        taken.remove().expect("ours");
        assert!(!root.path().join("r").exists());
    }

    proptest! {
        #[test]
        fn a_ledger_cut_or_changed_anywhere_never_invents_an_undo(cut in 0_usize..2_000, flip in 0_usize..2_000, bit in 0_u8..8) {
            let root = tempfile::tempdir().expect("a folder");
            written(root.path());
            let path = root.path().join("r/ledger");
            let mut bytes = fs::read(&path).expect("what was written");
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(flip) {
                *byte ^= 1 << bit;
            }
            if let Ok(text) = String::from_utf8(bytes) && let Ok(content) = content(&text) {
                let allowed: [&[u64]; 5] = [&[], &[1], &[2, 1], &[2], &[3, 2]];
                prop_assert!(allowed.contains(&ids(&content).as_slice()), "{:?}", ids(&content));
            }
        }
    }
}
