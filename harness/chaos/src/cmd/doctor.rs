//! `chaos doctor`: whether this machine has what a run needs, and what to do where it has not.
//!
//! Invariant: only looks; the one thing it makes is the state folder that a run would make too. With
//! `--calibrate` it measures instead.

mod calibrate;
mod cluster;

use std::net::TcpListener;
use std::path::Path;

use chaos_record::exit;
use chaos_run::state_folder::{self, RootLock};
use chaos_run::{calibration, recover};
use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};
use serde::Serialize;

use crate::cli::DoctorArgs;
use crate::output::{Failure, Output};

/// Enough for some thousand connections and every instance's log.
const DESCRIPTORS_WANTED: u64 = 4_096;
/// A core for the load, one for the target.
const CPUS_WANTED: usize = 2;
/// Room for records, logs and the target's data.
const DISK_WANTED_MIB: u64 = 512;
const MEMORY_WANTED_MIB: u64 = 1_024;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Fine,
    /// A run works, but may be inconclusive or slow.
    Doubtful,
    /// A run will fail.
    Missing,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    what: &'static str,
    state: State,
    seen: String,
    /// What to do; empty if fine.
    fix: String,
}

fn fine(what: &'static str, seen: impl Into<String>) -> Finding {
    Finding {
        what,
        state: State::Fine,
        seen: seen.into(),
        fix: String::new(),
    }
}

fn wrong(what: &'static str, state: State, seen: impl Into<String>, fix: &str) -> Finding {
    Finding {
        what,
        state,
        seen: seen.into(),
        fix: fix.to_owned(),
    }
}

pub(super) fn doctor(args: &DoctorArgs, output: &Output) -> Result<u8, Failure> {
    if args.calibrate {
        return calibrate::calibrate(args.json, env!("CARGO_PKG_VERSION"), output);
    }
    let mut findings = vec![
        processes(),
        loopback(),
        state(),
        unfinished(),
        descriptors(),
        cpus(),
        memory(),
        disk(&args.out),
        generator(),
    ];
    findings.extend(parts());
    findings.extend(cluster::look(args)?);
    if args.json {
        output.give(&serde_json::to_string_pretty(&findings).expect("findings are plain data"));
    } else {
        for finding in &findings {
            output.give(&line(finding));
        }
    }
    let works = findings
        .iter()
        .all(|finding| finding.state != State::Missing);
    Ok(if works {
        exit::HELD.code
    } else {
        exit::ENVIRONMENT.code
    })
}

fn line(finding: &Finding) -> String {
    let mark = match finding.state {
        State::Fine => "ok   ",
        State::Doubtful => "doubt",
        State::Missing => "FAIL ",
    };
    let fix = if finding.fix.is_empty() {
        String::new()
    } else {
        format!("\n        fix: {}", finding.fix)
    };
    format!("{mark}  {:<18} {}{fix}", finding.what, finding.seen)
}

fn processes() -> Finding {
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => fine("process handles", "pidfd works"),
        Err(error) => wrong(
            "process handles",
            State::Missing,
            format!("pidfd_open: {error}"),
            "use Linux 5.3 or newer, and a sandbox that allows pidfd_open",
        ),
    }
}

fn loopback() -> Finding {
    match TcpListener::bind("127.0.0.1:0") {
        Ok(_) => fine("loopback", "a port of 127.0.0.1 can be opened"),
        Err(error) => wrong(
            "loopback",
            State::Missing,
            error.to_string(),
            "bring the loopback interface up: `ip link set lo up`",
        ),
    }
}

fn state() -> Finding {
    match state_folder::root() {
        Ok(root) => fine("state folder", root.display().to_string()),
        Err(error) => wrong(
            "state folder",
            State::Missing,
            format!("failed to {error}"),
            "set XDG_STATE_HOME to a folder on a local disk that is yours alone",
        ),
    }
}

fn unfinished() -> Finding {
    let names = |root: &Path| -> Result<Vec<String>, String> {
        let held = RootLock::try_take(root).map_err(|error| error.to_string())?;
        let held = held.ok_or("look: another `chaos` is busy there")?;
        let found = recover::unfinished(&held).map_err(|error| error.to_string())?;
        Ok(found.into_iter().map(|unfinished| unfinished.run).collect())
    };
    let found = state_folder::root().map_err(|error| error.to_string());
    match found.and_then(|root| names(&root)) {
        Ok(runs) if runs.is_empty() => fine("unfinished runs", "none"),
        Ok(runs) => wrong(
            "unfinished runs",
            State::Missing,
            runs.join(", "),
            "run `chaos recover`",
        ),
        Err(why) => wrong(
            "unfinished runs",
            State::Missing,
            format!("failed to {why}"),
            "look at the state folder",
        ),
    }
}

fn descriptors() -> Finding {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if hard >= DESCRIPTORS_WANTED {
        return fine("open files", format!("at most {hard}"));
    }
    wrong(
        "open files",
        State::Doubtful,
        format!("at most {hard}"),
        "raise the hard limit: `ulimit -Hn 65536` as root, or LimitNOFILE= of the service",
    )
}

fn cpus() -> Finding {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus >= CPUS_WANTED {
        return fine("processors", cpus.to_string());
    }
    wrong(
        "processors",
        State::Doubtful,
        cpus.to_string(),
        "with one core, load and target disturb each other: keep rates low, or send load to another machine by `url:`",
    )
}

fn memory() -> Finding {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("MemAvailable:")?
            .split_whitespace()
            .next()?
            .parse::<u64>()
            .ok()
    });
    let mib = kib.unwrap_or(0) / 1_024;
    if mib >= MEMORY_WANTED_MIB {
        return fine("memory", format!("{mib} MiB available"));
    }
    wrong(
        "memory",
        State::Doubtful,
        format!("{mib} MiB available"),
        "the bundled store and chaos together need some 200 MiB",
    )
}

fn disk(out: &Path) -> Finding {
    let there = out
        .ancestors()
        .find(|folder| folder.is_dir())
        .unwrap_or(Path::new("."));
    match rustix::fs::statvfs(there) {
        Ok(found) => {
            let mib = found.f_bavail * found.f_frsize / (1024 * 1024);
            let seen = format!("{mib} MiB free for {}", out.display());
            if mib >= DISK_WANTED_MIB {
                fine("disk", seen)
            } else {
                wrong(
                    "disk",
                    State::Doubtful,
                    seen,
                    "make room, or choose another folder by `--out`",
                )
            }
        }
        Err(error) => wrong(
            "disk",
            State::Doubtful,
            error.to_string(),
            "choose another folder by `--out`",
        ),
    }
}

/// Never wrong: without it a run is judged by what it measures of itself.
fn generator() -> Finding {
    const FIX: &str = "run `chaos doctor --calibrate` on the quiet machine";
    match calibration::stored() {
        Ok(Some(kept)) if kept.machine == calibration::this_machine() => {
            fine("generator", calibrate::summary(&kept))
        }
        Ok(Some(kept)) => {
            let seen = format!(
                "calibrated on another machine or kernel ({})",
                kept.measured
            );
            wrong("generator", State::Doubtful, seen, FIX)
        }
        Ok(None) => fine(
            "generator",
            format!("not calibrated; {FIX} to know its limits"),
        ),
        Err(error) => wrong(
            "generator",
            State::Doubtful,
            format!("failed to {error}"),
            FIX,
        ),
    }
}

/// Never wrong: only a scenario that takes the store's real parts needs them, and says so itself.
#[cfg(feature = "store")]
fn parts() -> impl Iterator<Item = Finding> {
    super::store::parts().map(|(name, found)| match found {
        Ok(folder) => fine(name, format!("found in {folder}")),
        Err(why) => fine(
            name,
            format!("not installed, and needed only with `parts: real`: failed to {why}"),
        ),
    })
}

#[cfg(not(feature = "store"))]
fn parts() -> impl Iterator<Item = Finding> {
    std::iter::empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_says_what_to_do() {
        let text = line(&wrong("disk", State::Missing, "3 MiB free", "make room"));
        assert_eq!(
            text,
            "FAIL   disk               3 MiB free\n        fix: make room"
        );
        assert!(!line(&fine("disk", "plenty")).contains("fix"));
    }

    #[test]
    fn this_machine_can_run_tests() {
        for finding in [processes(), loopback(), cpus(), memory(), descriptors()] {
            assert_ne!(finding.state, State::Missing, "{finding:?}");
        }
    }
}
