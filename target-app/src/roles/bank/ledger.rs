//! The bank's book: a file of JSON lines that only grows, and an index of it in memory.
//!
//! Invariant: an entry is in the index only if its whole line is in the file; a line that was cut off by
//! the death of the process was never answered, and is removed at the next start. One process has the
//! file at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Take, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ChargeWish;
use super::entry::{Charge, Decline, Entry, Refund};

/// The file in the bank's folder.
const FILE: &str = "ledger.jsonl";
/// How long to wait for the process before this one to let go of the file.
const LOCK_WAIT: Duration = Duration::from_secs(10);
/// How often to look.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(5);
/// The most entries: some 100 bytes of memory each.
const ENTRIES_MAX: usize = 1_000_000;
/// Why a key is declined that was voided before it moved money.
const VOIDED: &str = "the payment was called off";
/// The longest line, far above what the checks on a wish let through.
const LINE_BYTES_MAX: u64 = 4096;

/// Why the bank's ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened or read.
    #[error("failed to open the ledger `{}` (in DATA_DIR)", file.display())]
    Open {
        /// The ledger.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another bank has it.
    #[error("failed to lock the ledger `{}`: another bank works on it; let only one run", file.display())]
    Lock {
        /// The ledger.
        file: PathBuf,
    },
    /// A line other than a torn last one makes no sense.
    #[error("failed to read line {line} of the ledger `{}`: {text}", file.display())]
    Damaged {
        /// The ledger.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        text: String,
    },
    /// An entry could not be written; nothing was charged.
    #[error("failed to write to the ledger")]
    Write {
        /// What the system said.
        source: io::Error,
    },
    /// The ledger has as many entries as it may have.
    #[error("failed to write to the ledger: it is full with {ENTRIES_MAX} entries")]
    Full,
}

/// The open ledger.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines in the file.
    length: u64,
    /// Where the line of each entry begins; the number of an entry is its place here, from 1.
    starts: Vec<u64>,
    /// The number of the entry of each key.
    keys: BTreeMap<Box<str>, usize>,
    /// The numbers of charges whose money went back.
    refunded: BTreeSet<usize>,
    synced: u64,
    /// A line may stand half in the file, where no other can be written after it.
    torn: bool,
}

impl Ledger {
    /// Opens the ledger of a folder, making both if need be, and reads what is in it.
    pub(super) async fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join(FILE);
        let fail = |source| LedgerError::Open {
            file: path.clone(),
            source,
        };
        std::fs::create_dir_all(folder).map_err(fail)?;
        let file = File::options()
            .create(true)
            .read(true)
            .append(true)
            .open(&path)
            .map_err(fail)?;
        lock(&file, &path).await?;
        let mut ledger = Self {
            path,
            file,
            length: 0,
            starts: Vec::new(),
            keys: BTreeMap::new(),
            refunded: BTreeSet::new(),
            synced: 0,
            torn: false,
        };
        ledger.read_all()?;
        Ok(ledger)
    }

    fn read_all(&mut self) -> Result<(), LedgerError> {
        let fail = |source| LedgerError::Open {
            file: self.path.clone(),
            source,
        };
        let there = self.file.metadata().map_err(fail)?.len();
        let mut entries = self.read_to(there)?;
        while let Some(entry) = entries.next_entry()? {
            self.index(&entry);
            self.length = entries.offset;
        }
        self.synced = self.length;
        if self.length < there {
            tracing::warn!(
                bytes = there - self.length,
                "the last line of the ledger was cut off and is removed; it was never answered"
            );
            let cut = self.file.set_len(self.length);
            cut.map_err(|source| LedgerError::Write { source })?;
        }
        Ok(())
    }

    /// The entry of a key: found, or made now.
    pub(super) fn charge(
        &mut self,
        key: &str,
        wish: &ChargeWish,
        declined: Option<&str>,
    ) -> Result<Entry, LedgerError> {
        if let Some(entry) = self.by_key(key)? {
            return Ok(entry);
        }
        let (key, order, card) = (key.to_owned(), wish.order.clone(), wish.card.clone());
        let amount = wish.amount;
        let entry = match declined {
            Some(reason) => Entry::Decline(Decline {
                key,
                order,
                amount,
                card,
                reason: reason.to_owned(),
            }),
            None => Entry::Charge(Charge {
                id: format!("ch-{}", self.starts.len() + 1),
                key,
                order,
                amount,
                card,
            }),
        };
        self.append(&entry)?;
        Ok(entry)
    }

    /// The entry of a key, found or made now; nothing if there is no such charge or its money went back
    /// under another key.
    pub(super) fn refund(&mut self, key: &str, charge: &str) -> Result<Option<Entry>, LedgerError> {
        if let Some(entry) = self.by_key(key)? {
            return Ok(Some(entry));
        }
        let number = charge
            .strip_prefix("ch-")
            .and_then(|number| number.parse().ok());
        let Some(number) = number.filter(|number| !self.refunded.contains(number)) else {
            return Ok(None);
        };
        let charged = match self.by_number(number)? {
            Some(Entry::Charge(charged)) if charged.id == charge => charged,
            _ => return Ok(None),
        };
        let entry = Entry::Refund(Refund {
            id: format!("re-{}", self.starts.len() + 1),
            key: key.to_owned(),
            charge: charged.id,
            order: charged.order,
            amount: charged.amount,
        });
        self.append(&entry)?;
        Ok(Some(entry))
    }

    /// Sees to it that a key moves no money, before or after: what it moved is given back, and if it moved
    /// none it is declined for good. Nothing if it stands for something else, or if its money went back
    /// in another way.
    pub(super) fn void(
        &mut self,
        key: &str,
        wish: &ChargeWish,
    ) -> Result<Option<Entry>, LedgerError> {
        match self.charge(key, wish, Some(VOIDED))? {
            // No caller's key has a space in it.
            Entry::Charge(charge) if charge.is_for(wish) => {
                self.refund(&format!("{key} void"), &charge.id)
            }
            Entry::Decline(decline) if decline.is_for(wish) => Ok(Some(Entry::Decline(decline))),
            _ => Ok(None),
        }
    }

    /// The file, if it holds more than was brought to the disk when last asked.
    pub(super) fn unsynced(&mut self) -> Option<File> {
        if self.synced == self.length {
            return None;
        }
        let file = self.file.try_clone().ok()?;
        self.synced = self.length;
        Some(file)
    }

    /// All entries up to now, in order.
    pub(super) fn read(&self) -> Result<Entries, LedgerError> {
        self.read_to(self.length)
    }

    fn read_to(&self, length: u64) -> Result<Entries, LedgerError> {
        let file = File::open(&self.path).map_err(|source| LedgerError::Open {
            file: self.path.clone(),
            source,
        })?;
        Ok(Entries {
            path: self.path.clone(),
            lines: BufReader::new(file.take(length)),
            text: Vec::new(),
            number: 0,
            offset: 0,
        })
    }

    fn by_key(&self, key: &str) -> Result<Option<Entry>, LedgerError> {
        match self.keys.get(key) {
            Some(number) => self.by_number(*number),
            None => Ok(None),
        }
    }

    fn by_number(&self, number: usize) -> Result<Option<Entry>, LedgerError> {
        let Some(start) = number.checked_sub(1).and_then(|at| self.starts.get(at)) else {
            return Ok(None);
        };
        let end = self.starts.get(number).copied().unwrap_or(self.length);
        let mut text = vec![0; usize::try_from(end - start).unwrap_or_default()];
        let read = self.file.read_exact_at(&mut text, *start);
        read.map_err(|source| LedgerError::Open {
            file: self.path.clone(),
            source,
        })?;
        parse(&text, &self.path, number).map(Some)
    }

    // One write of one line. What was written of it when that failed is taken back.
    fn append(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        if self.starts.len() >= ENTRIES_MAX {
            return Err(LedgerError::Full);
        }
        let write = |source| LedgerError::Write { source };
        if self.torn {
            self.file.set_len(self.length).map_err(write)?;
            self.torn = false;
        }
        let mut line = serde_json::to_vec(entry).map_err(|error| write(error.into()))?;
        line.push(b'\n');
        if let Err(source) = self.file.write_all(&line) {
            self.torn = self.file.set_len(self.length).is_err();
            return Err(LedgerError::Write { source });
        }
        self.index(entry);
        self.length += line.len() as u64;
        Ok(())
    }

    // Takes in an entry whose line begins where the ledger ends so far.
    fn index(&mut self, entry: &Entry) {
        self.starts.push(self.length);
        self.keys.insert(entry.key().into(), self.starts.len());
        if let Entry::Refund(refund) = entry {
            let number = refund.charge.strip_prefix("ch-");
            self.refunded
                .extend(number.and_then(|number| number.parse::<usize>().ok()));
        }
    }
}

/// Reads entries from a file of its own.
#[derive(Debug)]
pub(super) struct Entries {
    path: PathBuf,
    lines: BufReader<Take<File>>,
    text: Vec<u8>,
    number: usize,
    /// Bytes of the lines read.
    offset: u64,
}

impl Entries {
    /// The next entry; nothing at the end, which a line without its end is too.
    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, LedgerError> {
        self.text.clear();
        let line = (&mut self.lines)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut self.text);
        let read = line.map_err(|source| LedgerError::Open {
            file: self.path.clone(),
            source,
        })? as u64;
        if self.text.last() != Some(&b'\n') && read < LINE_BYTES_MAX {
            return Ok(None);
        }
        self.number += 1;
        self.offset += read;
        parse(&self.text, &self.path, self.number).map(Some)
    }
}

fn parse(line: &[u8], path: &Path, number: usize) -> Result<Entry, LedgerError> {
    serde_json::from_slice(line).map_err(|error| LedgerError::Damaged {
        file: path.to_owned(),
        line: number,
        text: error.to_string(),
    })
}

async fn lock(file: &File, path: &Path) -> Result<(), LedgerError> {
    let locked = async {
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(()),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_LOOK_EVERY).await,
                Err(TryLockError::Error(source)) => {
                    let file = path.to_owned();
                    return Err(LedgerError::Open { file, source });
                }
            }
        }
    };
    tokio::time::timeout(LOCK_WAIT, locked)
        .await
        .unwrap_or_else(|_| {
            Err(LedgerError::Lock {
                file: path.to_owned(),
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(order: &str) -> ChargeWish {
        ChargeWish {
            order: order.to_owned(),
            amount: 990,
            card: "card-demo".to_owned(),
        }
    }

    fn all(ledger: &Ledger) -> Vec<Entry> {
        let mut entries = ledger.read().unwrap();
        std::iter::from_fn(|| entries.next_entry().unwrap()).collect()
    }

    // A ledger of two charges, a decline and a refund.
    async fn filled(folder: &Path) -> Vec<Entry> {
        let mut ledger = Ledger::open(folder).await.unwrap();
        ledger.charge("k-1", &wish("o-1"), None).unwrap();
        ledger.charge("k-2", &wish("o-2"), Some("no")).unwrap();
        ledger.charge("k-3", &wish("o-3"), None).unwrap();
        ledger.refund("k-4", "ch-3").unwrap().unwrap();
        all(&ledger)
    }

    #[tokio::test]
    async fn a_key_is_answered_the_same_before_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let entries = filled(folder.path()).await;
        assert_eq!(entries.len(), 4);
        let mut ledger = Ledger::open(folder.path()).await.unwrap();
        // Whatever is asked now, the first answer stands.
        let again = ledger.charge("k-1", &wish("o-9"), Some("late")).unwrap();
        assert_eq!(again, entries[0]);
        assert_eq!(
            ledger.charge("k-2", &wish("o-2"), None).unwrap(),
            entries[1]
        );
        assert_eq!(ledger.refund("k-4", "ch-3").unwrap().unwrap(), entries[3]);
        assert_eq!(all(&ledger), entries);
        assert_eq!(ledger.unsynced().map(drop), None);
    }

    #[tokio::test]
    async fn money_goes_back_once_and_only_where_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let mut ledger = Ledger::open(folder.path()).await.unwrap();
        for charge in [
            "ch-3", "ch-2", "ch-4", "ch-0", "ch-99", "ch--1", "x", "ch-01",
        ] {
            assert_eq!(ledger.refund("k-5", charge).unwrap(), None, "{charge}");
        }
        assert!(ledger.refund("k-5", "ch-1").unwrap().is_some());
    }

    // Two charges under one key and two voids of it, in every order.
    #[tokio::test]
    async fn a_voided_key_moves_no_money_whatever_comes_first_or_after() {
        for order in 0..16_u32 {
            let folder = tempfile::tempdir().unwrap();
            let mut ledger = Ledger::open(folder.path()).await.unwrap();
            let mut voids = 0;
            for turn in 0..4 {
                if order >> turn & 1 == 1 {
                    voids += 1;
                    assert!(ledger.void("k-1", &wish("o-1")).unwrap().is_some());
                } else {
                    ledger.charge("k-1", &wish("o-1"), None).unwrap();
                }
            }
            let money = all(&ledger).iter().fold(0, |money, entry| match entry {
                Entry::Charge(charge) => money + charge.amount,
                Entry::Refund(refund) => money - refund.amount,
                Entry::Decline(_) => money,
            });
            assert_eq!(money, if voids == 0 { 990 } else { 0 }, "order {order:04b}");
            assert_eq!(ledger.void("k-1", &wish("o-2")).unwrap(), None);
        }
    }

    #[tokio::test]
    async fn a_torn_last_line_is_removed_wherever_it_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let entries = filled(folder.path()).await;
        let path = folder.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        let last = whole[..whole.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n')
            .unwrap()
            + 1;
        for cut in last..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut ledger = Ledger::open(folder.path()).await.unwrap();
            assert_eq!(all(&ledger), entries[..3], "cut at {cut}");
            // The refund was never answered, so it may be asked for again.
            let again = ledger.refund("k-4", "ch-3").unwrap().unwrap();
            assert_eq!(again, entries[3], "cut at {cut}");
            drop(ledger);
            assert_eq!(std::fs::read(&path).unwrap(), whole, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_damaged_line_that_is_not_torn_is_named() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        let path = folder.path().join(FILE);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.insert_str(0, "{}\n");
        std::fs::write(&path, text).unwrap();
        let error = Ledger::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { line: 1, .. }));
        std::fs::write(&path, "x".repeat(10_000)).unwrap();
        let error = Ledger::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, LedgerError::Damaged { line: 1, .. }));
    }
}
