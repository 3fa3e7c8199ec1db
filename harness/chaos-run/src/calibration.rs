//! What this machine's load generator can do: measured once, kept with the state of runs.
//!
//! Invariant: the file is ours alone (mode 0600), whole or not there, and what was measured on
//! another machine counts as not measured.

mod measure;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chaos_record::calibration::{Calibration, Machine};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::state_folder::{self, StateFolderError};

pub use measure::{MeasureError, measure};

/// Version of the file; any other is not read.
const VERSION: u32 = 1;
const FILE: &str = "calibration.json";
/// Longest file that is read: a few hundred bytes are written.
const LENGTH_MAX: u64 = 64 * 1_024;

/// Why the limits of this machine could not be kept or read. The text completes "failed to ...".
#[derive(Debug, Error)]
pub enum CalibrationError {
    #[error(transparent)]
    State(#[from] StateFolderError),
    #[error("{act} `{}`: {source}", path.display())]
    Io {
        act: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("read `{}`: {why}; `chaos doctor --calibrate` writes it anew", path.display())]
    Format { path: PathBuf, why: String },
}

/// The file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Content {
    version: u32,
    calibration: Calibration,
}

impl Content {
    pub fn new(calibration: Calibration) -> Self {
        Self {
            version: VERSION,
            calibration,
        }
    }
}

/// The machine we run on.
pub fn this_machine() -> Machine {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    Machine {
        // The second is what Arm writes.
        cpu: named("model name")
            .or_else(|| named("CPU part"))
            .unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: rustix::system::uname()
            .release()
            .to_string_lossy()
            .into_owned(),
    }
}

/// What is kept, for whatever machine; `None` if nothing is.
///
/// # Errors
/// There is a file and it is not ours to read, or not what we wrote.
pub fn stored() -> Result<Option<Calibration>, CalibrationError> {
    read(&state_folder::root()?.join(FILE))
}

/// What is kept, if it is for this machine. That a file cannot be read is no reason not to run.
pub fn of_this_machine(root: &Path) -> Option<Calibration> {
    let kept = read(&root.join(FILE))
        .inspect_err(|error| tracing::warn!(%error, "run as if never calibrated"))
        .ok()
        .flatten();
    kept.filter(|calibration| calibration.machine == this_machine())
}

/// Keeps it, in place of what was kept before; gives the path.
///
/// # Errors
/// The state folder cannot be written.
pub fn store(calibration: Calibration) -> Result<PathBuf, CalibrationError> {
    let path = state_folder::root()?.join(FILE);
    write(&path, calibration)?;
    Ok(path)
}

fn read(path: &Path) -> Result<Option<Calibration>, CalibrationError> {
    let io = |source| CalibrationError::Io {
        act: "read",
        path: path.to_owned(),
        source,
    };
    let format = |why: String| CalibrationError::Format {
        path: path.to_owned(),
        why,
    };
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(io)?,
    };
    let mut text = String::new();
    file.take(LENGTH_MAX)
        .read_to_string(&mut text)
        .map_err(io)?;
    let content: Content =
        serde_json::from_str(&text).map_err(|error| format(error.to_string()))?;
    if content.version != VERSION {
        let why = format!(
            "it has version {}, this program reads version {VERSION}",
            content.version
        );
        return Err(format(why));
    }
    Ok(Some(content.calibration))
}

/// Written beside it and moved there, so that a reader finds the old one or the new one.
fn write(path: &Path, calibration: Calibration) -> Result<(), CalibrationError> {
    let beside = path.with_extension(format!("{}.new", std::process::id()));
    let text = serde_json::to_string_pretty(&Content::new(calibration)).expect("plain data") + "\n";
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // What is half written is of no use; that it cannot be removed is told by the error before.
        drop(fs::remove_file(&beside));
        CalibrationError::Io {
            act: "write",
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn calibration(machine: Machine) -> Calibration {
        Calibration {
            machine,
            measured: "2026-01-01T00:00:00Z".to_owned(),
            chaos: "0".to_owned(),
            workers: 2,
            closed_one: 90_000.5,
            closed_all: 120_000.0,
            open_all: 60_000.0,
            floor_p50: 90_000,
            floor_p99: 300_000,
            hiccup_p999: 900_000,
        }
    }

    #[test]
    fn what_was_kept_is_read_back_and_only_ours_to_read() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join(FILE);
        assert_eq!(read(&path).expect("no file is no error"), None);
        let first = calibration(this_machine());
        let second = Calibration {
            closed_one: 1.0,
            ..first.clone()
        };
        for kept in [first, second] {
            write(&path, kept.clone()).expect("room");
            assert_eq!(read(&path).expect("a file").as_ref(), Some(&kept));
            assert_eq!(of_this_machine(root.path()), Some(kept));
        }
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(root.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn another_machine_a_damaged_file_and_another_version_count_as_nothing() {
        let root = tempfile::tempdir().expect("a folder");
        let path = root.path().join(FILE);
        let other = Machine {
            cores: 4_096,
            ..this_machine()
        };
        write(&path, calibration(other)).expect("room");
        assert!(read(&path).expect("whole").is_some());
        assert_eq!(of_this_machine(root.path()), None);
        let whole = fs::read_to_string(&path).expect("text");
        for text in [
            "",
            "{}",
            &whole[..whole.len() / 2],
            &whole.replacen('1', "2", 1),
        ] {
            fs::write(&path, text).expect("room");
            let error = read(&path).expect_err(text).to_string();
            assert!(error.contains("--calibrate"), "{error}");
            assert_eq!(of_this_machine(root.path()), None);
        }
    }
}
