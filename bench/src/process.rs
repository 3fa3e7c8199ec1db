//! Starts, pins and ends the processes of a sitting.
//!
//! Invariant: a process that was started has ended before its [`Running`] is gone, and with the bench at the latest.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::proc_files;
use crate::sitting::Sitting;

/// How often something is looked at that tells nobody when it is ready.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Most that is read of what a program printed.
const PRINTED_MAX: u64 = 16 << 20;

/// A program to be started.
#[derive(Debug)]
pub(crate) struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    /// The core it must stay on; `None` leaves it to the kernel.
    pub core: Option<usize>,
}

/// A process of ours. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running<'s> {
    sitting: &'s Sitting,
    child: Child,
    exit: OwnedFd,
    printed: PathBuf,
    complained: PathBuf,
    shown: String,
}

/// What a process left behind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Finished {
    /// `None`: a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// User and system time of the process, all threads.
    pub cpu: Duration,
}

impl Launch {
    /// Starts it in the sitting's own folder, without standard input, its state kept in there too.
    pub(crate) fn start(self, sitting: &Sitting) -> Result<Running<'_>> {
        let shown = self.shown();
        let [printed, complained] = sitting.output_files();
        // `setpriv` ties its life to ours, also if we are killed; both replace themselves, so the pid stays.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        if let Some(core) = self.core {
            command.args(["taskset", "-c", &core.to_string()]);
        }
        command
            .arg(&self.program)
            .args(&self.arguments)
            .current_dir(sitting.folder())
            .env("XDG_STATE_HOME", sitting.folder())
            .stdin(Stdio::null())
            .stdout(File::create(&printed)?)
            .stderr(File::create(&complained)?);
        let mut child = command
            .spawn()
            .context("failed to start `setpriv` (package util-linux)")?;
        let exit = match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(exit) => exit,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(std::io::Error::from(error)).context("failed to watch a process");
            }
        };
        Ok(Running {
            sitting,
            child,
            exit,
            printed,
            complained,
            shown,
        })
    }

    /// As a person would type it.
    pub(crate) fn shown(&self) -> String {
        let program = self.program.file_name().unwrap_or_default();
        let words = std::iter::once(program).chain(self.arguments.iter().map(OsString::as_os_str));
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }
}

impl Running<'_> {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system time so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        proc_files::cpu_time(self.pid())
    }

    pub(crate) fn printed(&self) -> Result<String> {
        read_bounded(&self.printed)
    }

    /// Looks until `look` finds something; fails when `limit` is over or the process has ended.
    pub(crate) fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        mut look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(found) = look()? {
                return Ok(found);
            }
            let ended = self.exited_within(LOOK_EVERY)?;
            if ended || Instant::now() > deadline {
                let how = if ended { "it ended" } else { "time is over" };
                let said = read_bounded(&self.complained)?;
                bail!("`{}`: no {what}, {how}: {}", self.shown, tail(&said));
            }
        }
    }

    /// Waits for its end, at most `limit`; true when it has ended. Reap it with [`Running::finish`].
    pub(crate) fn exited_within(&self, limit: Duration) -> Result<bool> {
        self.sitting
            .interrupt()
            .wait(Some(self.exit.as_fd()), limit)
    }

    /// Waits for its end and collects what it left.
    pub(crate) fn finish(mut self, limit: Duration) -> Result<Finished> {
        let deadline = Instant::now() + limit;
        while !self.exited_within(deadline.saturating_duration_since(Instant::now()))? {
            if Instant::now() >= deadline {
                bail!("`{}` had not ended after {} s", self.shown, limit.as_secs());
            }
        }
        // Still readable until it is reaped.
        let cpu = self.cpu()?;
        let code = self.child.wait()?.code();
        Ok(Finished {
            code,
            stdout: read_bounded(&self.printed)?,
            stderr: read_bounded(&self.complained)?,
            cpu,
        })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        // Both fail only if it has been reaped already, which is what we want.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Finished {
    /// The last lines that it said, for an error.
    pub(crate) fn last_words(&self) -> String {
        let said = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        tail(said)
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let from = lines.len().saturating_sub(4);
    lines.get(from..).unwrap_or_default().join(" / ")
}

fn read_bounded(path: &PathBuf) -> Result<String> {
    let size = fs::metadata(path)?.len();
    if size > PRINTED_MAX {
        bail!("a program printed {size} bytes, more than anybody reads");
    }
    Ok(String::from_utf8_lossy(&fs::read(path)?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(program: &str, arguments: &[&str]) -> Launch {
        Launch {
            program: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            core: None,
        }
    }

    #[test]
    fn output_and_exit_code_are_collected() {
        let sitting = Sitting::for_tests();
        let running = launch("sh", &["-c", "echo out; echo err >&2; exit 3"])
            .start(&sitting)
            .unwrap();
        let finished = running.finish(Duration::from_secs(20)).unwrap();
        assert_eq!(finished.code, Some(3));
        assert_eq!(
            (finished.stdout.trim(), finished.last_words().as_str()),
            ("out", "err")
        );
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let sitting = Sitting::for_tests();
        let running = launch("sleep", &["600"]).start(&sitting).unwrap();
        let status = format!("/proc/{}/stat", running.pid());
        assert!(fs::exists(&status).unwrap());
        drop(running);
        assert!(!fs::exists(&status).unwrap());
    }

    #[test]
    fn a_process_that_takes_too_long_is_an_error_and_is_killed() {
        let sitting = Sitting::for_tests();
        let running = launch("sleep", &["600"]).start(&sitting).unwrap();
        let status = format!("/proc/{}/stat", running.pid());
        let error = running.finish(Duration::from_millis(20)).unwrap_err();
        assert!(error.to_string().contains("had not ended"), "{error}");
        assert!(!fs::exists(&status).unwrap());
    }

    #[test]
    fn a_server_that_dies_is_noticed_before_the_limit() {
        let sitting = Sitting::for_tests();
        let running = launch("sh", &["-c", "echo no port left >&2"])
            .start(&sitting)
            .unwrap();
        let error = running
            .until("address", Duration::from_mins(10), || Ok(None::<()>))
            .unwrap_err();
        assert!(
            error.to_string().contains("it ended: no port left"),
            "{error}"
        );
    }
}
