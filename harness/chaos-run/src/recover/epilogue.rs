//! What a record that its harness could not close is told at last: that the run was cleaned up.
//!
//! Invariant: only appends, and only to a record without an end. A line that was cut off is ended
//! first, so that it stays readable as what it is: damage.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use chaos_load::clock::now_ns;
use chaos_platform::local::process::ProcessId;
use chaos_record::event::{Event, Stamped};
use chaos_record::line::Line;

use crate::ledger::Opened;

/// Read from the end of a record: an end line and a few events fit.
const TAIL: u64 = 64 * 1024;

/// Writes into the record of a run, if it has no end, what became of the run.
pub(super) fn tell(opened: &Opened, left: &[String]) {
    let path = opened.out.join("record.jsonl");
    match append(&path, opened, left) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(%error, path = %path.display(), "the record takes no note"),
    }
}

fn append(path: &Path, opened: &Opened, left: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    let tail = tail(&mut file)?;
    let lines = || tail.split(|&byte| byte == b'\n').rev();
    let last = lines().find(|line| !line.trim_ascii().is_empty());
    if last.is_some_and(|line| matches!(Line::parse(line), Ok(Line::End(_)))) {
        return Ok(());
    }
    let last_event = lines().find_map(|line| match Line::parse(line) {
        Ok(Line::Event(event)) => Some(event.at),
        _ => None,
    });
    let line = Line::Event(Stamped {
        at: run_ns(opened).or(last_event).unwrap_or(0),
        what: Event::CleanedUp {
            verified: left.is_empty(),
            left: left.to_vec(),
        },
    });
    let start = if tail.ends_with(b"\n") || tail.is_empty() {
        ""
    } else {
        "\n"
    };
    file.write_all(format!("{start}{}\n", line.to_json()).as_bytes())?;
    file.sync_data()
}

/// The last bytes; a line that begins before them cannot be an end line.
fn tail(file: &mut File) -> io::Result<Vec<u8>> {
    let size = file.metadata()?.len();
    file.seek(SeekFrom::Start(size.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    Ok(tail)
}

/// Time of the run now; `None` after the machine was started again.
fn run_ns(opened: &Opened) -> Option<u64> {
    let own = ProcessId::of(std::process::id()).ok()?;
    (own.boot == opened.harness.boot && opened.zero_ns > 0)
        .then(|| now_ns().saturating_sub(opened.zero_ns))
}

/// Keeps what the guardian said beside the logs of the run, if it said anything.
pub(crate) fn keep_log(folder: &Path, out: &Path) {
    let log = folder.join("guardian.log");
    let logs = out.join("logs");
    let said = fs::metadata(&log).is_ok_and(|found| found.len() > 0);
    if said
        && logs.is_dir()
        && let Err(error) = fs::copy(&log, logs.join("guardian.log"))
    {
        tracing::warn!(%error, "the guardian's log is not kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(out: &Path) -> Opened {
        let harness = ProcessId::of(std::process::id()).expect("it runs");
        let mut opened = Opened::new(Path::new("/state"), "r", harness, out);
        opened.zero_ns = 1;
        opened
    }

    fn check(record: &str, expected: impl Fn(&str) -> bool) {
        let out = tempfile::tempdir().expect("a folder");
        let path = out.path().join("record.jsonl");
        fs::write(&path, record).expect("ours");
        tell(&opened(out.path()), &[]);
        let told = fs::read_to_string(&path).expect("ours");
        let added = told.strip_prefix(record).expect("only appended to");
        assert!(expected(added), "{record:?} got {added:?}");
    }

    #[test]
    fn only_a_record_without_an_end_is_told() {
        let clean = |line: &str| line.contains(r#""cleaned_up":{"verified":true"#);
        let event = r#"{"event":{"at":7,"what":"deployed"}}"#;
        let end = r#"{"end":{"at":9,"lines":3}}"#;
        check(&format!("{event}\n"), |added| {
            added.starts_with("{\"event\"") && added.ends_with('\n') && clean(added)
        });
        check(&format!("{event}\n{{\"eve"), |added| {
            added.starts_with("\n{\"event\"") && clean(added)
        });
        check(&format!("{event}\n{end}\n"), str::is_empty);
        check(&format!("{event}\n{end}"), str::is_empty);
    }

    #[test]
    fn a_run_without_a_record_gets_none() {
        let out = tempfile::tempdir().expect("a folder");
        tell(&opened(out.path()), &[]);
        assert!(!out.path().join("record.jsonl").exists());
    }
}
