//! A ledger read back.
//!
//! Invariant: never invents an undo, and never passes over a damaged line in silence: every intact
//! line counts, whatever stands beside it, and what was damaged is named. Bytes behind the last line
//! break are an entry that was never wholly on disk, so the act it announces did not happen.

use chaos_platform::Undo;
use chaos_platform::undo::UndoStep;

use super::{Entry, Opened, VERSION};

/// What a ledger says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Absent if the run ended before anything was started, or if that entry is damaged.
    pub opened: Option<Opened>,
    /// Intended and not reverted, newest first.
    pub outstanding: Vec<Outstanding>,
    pub closed: bool,
    /// What of it could not be read, in words: an undo may be missing.
    pub damage: Option<String>,
}

/// An undo that is still to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outstanding {
    pub id: u64,
    pub fault: String,
    pub undo: Undo,
    pub overdue_ns: u64,
    /// It was tried and failed.
    pub tried: bool,
}

impl Outstanding {
    /// Whether a harness that works would have taken it back by now. One-shot acts are repaired by
    /// the platform, and a harness that tried and failed is awake and tears everything down.
    pub fn is_overdue(&self, now_ns: u64) -> bool {
        let nothing = matches!(self.undo.step, UndoStep::Nothing { .. });
        !nothing && !self.tried && self.overdue_ns < now_ns
    }
}

impl Content {
    /// Reads a ledger's bytes.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        let mut damaged = Vec::new();
        let whole = bytes
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(&[][..], |end| &bytes[..end]);
        let lines = whole.split(|&byte| byte == b'\n');
        for (number, line) in (1_u32..).zip(lines).filter(|_| !whole.is_empty()) {
            match entry(line) {
                Some(entry) => content.take(entry),
                None => damaged.push(number.to_string()),
            }
        }
        content.damage = content.damage(&damaged, whole);
        content
    }

    fn damage(&mut self, damaged: &[String], whole: &[u8]) -> Option<String> {
        if let Some(found) = self.opened.as_ref().map(|opened| opened.version)
            && found != VERSION
        {
            // What another version means by its entries is not known.
            self.outstanding.clear();
            return Some(format!(
                "it has version {found}, this program reads {VERSION}"
            ));
        }
        if !damaged.is_empty() {
            return Some(format!("it is damaged at line {}", damaged.join(", ")));
        }
        let beginning_lost = self.opened.is_none() && !whole.is_empty();
        beginning_lost.then(|| "its first entry is missing".to_owned())
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Opened(opened) => self.opened = Some(opened),
            Entry::Intend {
                id,
                fault,
                undo,
                overdue_ns,
            } => self.outstanding.insert(
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
                self.outstanding.retain(|other| other.id != id);
            }
            Entry::Reverted { id, .. } => {
                let failed = self.outstanding.iter_mut().filter(|other| other.id == id);
                failed.for_each(|other| other.tried = true);
            }
            Entry::Closed { left } => self.closed = left.is_empty(),
            Entry::Effective { .. } => {}
        }
    }
}

fn entry(line: &[u8]) -> Option<Entry> {
    let (crc, json) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let intact =
        u32::from_str_radix(crc, 16).is_ok_and(|crc| crc == crc32fast::hash(json.as_bytes()));
    intact.then(|| serde_json::from_str(json).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ledger::tests::{ids, intend, written};

    fn bytes() -> Vec<u8> {
        let root = tempfile::tempdir().expect("a folder");
        written(root.path());
        std::fs::read(root.path().join("r/ledger")).expect("what was written")
    }

    #[test]
    fn an_empty_ledger_is_no_damage_and_a_lost_beginning_is() {
        assert_eq!(Content::parse(b""), Content::default());
        assert_eq!(
            Content::parse(b"1234 {\"ope"),
            Content::default(),
            "torn in its first write"
        );
        let bytes = bytes();
        let first = bytes.iter().position(|&byte| byte == b'\n').expect("lines") + 1;
        let content = Content::parse(&bytes[first..]);
        assert_eq!(ids(&content), [3, 2]);
        assert!(content.damage.is_some());
    }

    #[test]
    fn a_damaged_line_hides_no_other() {
        let mut bytes = bytes();
        let lines: Vec<usize> = (0..bytes.len()).filter(|&i| bytes[i] == b'\n').collect();
        // No text at all, in the middle of the entry for undo 2.
        bytes[lines[1] + 20] = 0xff;
        let content = Content::parse(&bytes);
        assert_eq!(ids(&content), [3]);
        assert_eq!(content.damage.as_deref(), Some("it is damaged at line 3"));
    }

    #[test]
    fn one_shot_acts_and_failed_undos_are_never_overdue() {
        let outstanding = |undo: Undo, tried| Outstanding {
            id: 1,
            fault: "f".to_owned(),
            undo,
            overdue_ns: 5,
            tried,
        };
        let Entry::Intend { undo, .. } = intend(1) else {
            unreachable!("an intention");
        };
        let nothing = Undo {
            step: UndoStep::Nothing {
                instance: "api-1".to_owned(),
            },
            ..undo.clone()
        };
        assert!(outstanding(undo.clone(), false).is_overdue(6));
        assert!(!outstanding(undo.clone(), false).is_overdue(5));
        assert!(!outstanding(undo, true).is_overdue(6));
        assert!(!outstanding(nothing, false).is_overdue(6));
    }

    proptest! {
        #[test]
        fn a_ledger_cut_or_changed_anywhere_never_invents_an_undo(cut in 0_usize..2_000, flip in 0_usize..2_000, bit in 0_u8..8) {
            let mut bytes = bytes();
            bytes.truncate(cut);
            if let Some(byte) = bytes.get_mut(flip) {
                *byte ^= 1 << bit;
            }
            let content = Content::parse(&bytes);
            let ids = ids(&content);
            prop_assert!(ids.iter().all(|id| (1..=3).contains(id)) && ids.is_sorted_by(|a, b| a > b), "{ids:?}");
            if content.damage.is_none() {
                let expected: [&[u64]; 5] = [&[], &[1], &[2, 1], &[2], &[3, 2]];
                prop_assert!(expected.contains(&ids.as_slice()), "{ids:?} without a word about damage");
            }
        }
    }
}
