//! The files that hold what the processes say, one for each instance over all its lives.
//!
//! Invariant: files are only appended to.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Most bytes and lines quoted from the end of a log.
const TAIL_BYTES: i64 = 4096;
const TAIL_LINES: usize = 10;

pub(super) fn path(folder: &Path, instance: &str) -> PathBuf {
    folder.join(format!("{instance}.log"))
}

/// Opens the log of an instance for appending.
pub(super) fn open(folder: &Path, instance: &str) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path(folder, instance))
}

/// The last lines an instance said, for an error message.
pub(super) fn tail(folder: &Path, instance: &str) -> String {
    let path = path(folder, instance);
    match read_tail(&path) {
        Ok(text) if text.trim().is_empty() => "it said nothing".to_owned(),
        Ok(text) => {
            let lines: Vec<&str> = text.trim_end().lines().collect();
            let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            format!("it said last:\n  {}", last.join("\n  "))
        }
        Err(error) => format!("its log `{}` cannot be read: {error}", path.display()),
    }
}

fn read_tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(TAIL_BYTES)))?;
    let mut end = Vec::new();
    file.take(TAIL_BYTES.unsigned_abs()).read_to_end(&mut end)?;
    Ok(String::from_utf8_lossy(&end).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn check(said: &[&str], expected: &str) {
        let folder = tempfile::tempdir().expect("a folder");
        for life in said {
            open(folder.path(), "api-1")
                .expect("a log")
                .write_all(life.as_bytes())
                .expect("room");
        }
        assert_eq!(tail(folder.path(), "api-1"), expected);
    }

    #[test]
    fn lives_are_appended_and_the_last_lines_quoted() {
        check(&["one\n", "two\n"], "it said last:\n  one\n  two");
        check(&[""], "it said nothing");
        let many: Vec<String> = (0..2000).map(|line| format!("line {line}\n")).collect();
        let many = many.concat();
        let last: Vec<String> = (1990..2000).map(|line| format!("line {line}")).collect();
        check(&[&many], &format!("it said last:\n  {}", last.join("\n  ")));
    }
}
