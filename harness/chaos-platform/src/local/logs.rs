//! The files that hold what the processes say, one for each instance over all its lives.
//!
//! Processes write straight to their files, which are looked at once a second and cut when they are
//! too long. A pipe with a reader here would bound them exactly, but it would cost the engine's
//! process time for every line, and a harness that is slow or stopped would block the target.
//! Invariant: files are appended to, or cut down to a notice and what was said last. A file is never
//! longer than [`LIMIT`] and what its processes write in [`LOOK`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Most bytes and lines quoted from the end of a log.
const TAIL_BYTES: i64 = 4096;
const TAIL_LINES: usize = 10;
/// Length in bytes above which a log is cut.
const LIMIT: u64 = 64 << 20;
/// Bytes from the end of a log that survive a cut.
const KEPT: i64 = 64 << 10;
/// Between two looks at the lengths.
const LOOK: Duration = Duration::from_secs(1);
/// The first line of a log that was cut.
const NOTICE: &[u8] = b"log cut at 64 MiB: what was said before these lines is gone\n";

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
    let text = File::open(&path).and_then(|mut file| read_tail(&mut file, TAIL_BYTES));
    match text.map(|text| String::from_utf8_lossy(&text).into_owned()) {
        Ok(text) if text.trim().is_empty() => "it said nothing".to_owned(),
        Ok(text) => {
            let lines: Vec<&str> = text.trim_end().lines().collect();
            let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            format!("it said last:\n  {}", last.join("\n  "))
        }
        Err(error) => format!("its log `{}` cannot be read: {error}", path.display()),
    }
}

fn read_tail(file: &mut File, most: i64) -> io::Result<Vec<u8>> {
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(most)))?;
    let mut end = Vec::new();
    file.take(most.unsigned_abs()).read_to_end(&mut end)?;
    Ok(end)
}

/// Keeps the logs of the instances from growing without end, until `close` is cancelled.
pub(super) async fn bound(folder: PathBuf, instances: Vec<String>, close: CancellationToken) {
    let paths: Vec<PathBuf> = instances.iter().map(|name| path(&folder, name)).collect();
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while close.run_until_cancelled(ticks.tick()).await.is_some() {
        for path in paths.iter().filter(|path| is_over(path, LIMIT)) {
            let shown = path.display().to_string();
            let path = path.clone();
            tracing::warn!(log = shown, "a log is too long and is cut");
            if let Ok(Err(source)) = spawn_blocking(move || cut(&path)).await {
                tracing::warn!(%source, log = shown, "failed to cut a log");
            }
        }
    }
}

/// A log that is not there yet is not too long.
fn is_over(path: &Path, limit: u64) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.len() > limit)
}

/// Its processes go on at the new end, because they append. What they say during the cut is lost or
/// stands before the notice.
fn cut(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).append(true).open(path)?;
    let tail = read_tail(&mut file, KEPT)?;
    let whole = tail.iter().position(|&byte| byte == b'\n');
    let tail = whole.map_or(tail.as_slice(), |end| &tail[end + 1..]);
    file.set_len(0)?;
    file.write_all(&[NOTICE, tail].concat())
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn a_cut_log_keeps_its_last_lines_and_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut log = open(folder.path(), "api-1").expect("a log");
        for line in 0..20_000 {
            writeln!(log, "line {line}").expect("room");
        }
        let path = path(folder.path(), "api-1");
        let length = path.metadata().expect("a log").len();
        assert!(is_over(&path, length - 1) && !is_over(&path, length));
        cut(&path).expect("it is ours");
        writeln!(log, "and on").expect("room");
        let text = std::fs::read(&path).expect("a log");
        assert!(text.len() as u64 <= KEPT.unsigned_abs() + NOTICE.len() as u64 + 7);
        let rest = text.strip_prefix(NOTICE).expect("a notice");
        assert!(rest.starts_with(b"line 1"), "only whole lines");
        assert!(rest.ends_with(b"line 19999\nand on\n"));
        assert!(!is_over(Path::new("/no/such/log"), 0));
    }
}
