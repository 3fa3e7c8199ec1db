//! Starting the program and reading what it left.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest any run of a test may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) fn chaos() -> PathBuf {
    std::env::var_os("CHAOS_PROGRAM")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_chaos")), PathBuf::from)
}

pub(crate) fn repository() -> PathBuf {
    let given = std::env::var_os("CHAOS_REPOSITORY").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."))
}

/// A scenario that only tests use; they stand with the store, whose services they name.
pub(crate) fn scenario(name: &str) -> String {
    repository()
        .join(format!("target-app/tests/scenarios/{name}.yaml"))
        .display()
        .to_string()
}

/// A folder with state and outputs of its own.
pub(crate) struct Place {
    folder: TempDir,
}

/// What a finished run left.
#[derive(Debug)]
pub(crate) struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// The run's folder, if one was made.
    pub out: Option<PathBuf>,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder for the test"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join("state/chaos")
    }

    /// The program with this test's folders, output kept in files.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let file = |name: &str| {
            Stdio::from(std::fs::File::create(self.path().join(name)).expect("our folder"))
        };
        let mut command = Command::new(chaos());
        command
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        command
            .env("XDG_STATE_HOME", self.path().join("state"))
            .env_remove("CHAOS_FAILPOINT")
            .env_remove("GITHUB_ACTIONS")
            .env_remove("NO_COLOR");
        command
    }

    /// A second terminal beside a run, with the same folders.
    pub(crate) fn aside(&self, args: &[&str]) -> Output {
        let mut command = Command::new(chaos());
        command
            .args(args)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env("XDG_STATE_HOME", self.path().join("state"));
        command.output().expect("the program starts")
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.wait(self.command(args).spawn().expect("the program starts"))
    }

    /// Waits for the end, but not for ever.
    pub(crate) fn wait(&self, mut child: Child) -> Ended {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().expect("our child") {
                break status;
            }
            if started.elapsed() > PATIENCE {
                drop(child.kill());
                panic!(
                    "still running after {PATIENCE:?}; it said:\n{}",
                    self.read("stderr")
                );
            }
            nap();
        };
        Ended {
            status,
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
            out: self.out(),
        }
    }

    /// The folder of the only run there was.
    pub(crate) fn out(&self) -> Option<PathBuf> {
        let runs = std::fs::read_dir(self.path().join("reports/runs")).ok()?;
        // Beside it may lie the log of a deployment.
        runs.flatten()
            .map(|entry| entry.path())
            .find(|path| path.is_dir())
    }

    pub(crate) fn run_name(&self) -> String {
        let out = self.out().expect("a run was begun");
        out.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    }

    /// Waits until the record of the run holds `text`.
    pub(crate) fn until_record_says(&self, text: &str) {
        let started = Instant::now();
        loop {
            let record = self
                .out()
                .and_then(|out| std::fs::read_to_string(out.join("record.jsonl")).ok());
            if record.is_some_and(|record| record.contains(text)) {
                return;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "the record never said {text}; stderr:\n{}",
                self.read("stderr")
            );
            nap();
        }
    }

    pub(crate) fn record_says(&self, text: &str) -> bool {
        let record = self
            .out()
            .and_then(|out| std::fs::read_to_string(out.join("record.jsonl")).ok());
        record.is_some_and(|record| record.contains(text))
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.path().join(name)).unwrap_or_default())
            .into_owned()
    }
}

impl Ended {
    pub(crate) fn result(&self) -> Value {
        let out = self
            .out
            .as_ref()
            .unwrap_or_else(|| panic!("no run was begun: {}", self.stderr));
        let text = std::fs::read_to_string(out.join("result.json"))
            .unwrap_or_else(|error| panic!("{error}: {}", self.stderr));
        serde_json::from_str(&text).expect("result.json is JSON")
    }

    /// Whether the run says that this machine was too busy to measure anything.
    pub(crate) fn was_too_noisy(&self) -> bool {
        let busy = ["load generator was too slow", "not steady before"];
        self.status.code() == Some(3) && busy.iter().any(|why| self.stderr.contains(why))
    }

    /// Fails with everything that was said unless the exit code is `code`.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) -> &Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "signal {:?}; stderr:\n{}",
            self.status.signal(),
            self.stderr
        );
        self
    }

    /// Events of the record, in order.
    pub(crate) fn events(&self) -> Vec<Value> {
        let record =
            std::fs::read_to_string(self.out.as_ref().expect("a run").join("record.jsonl"))
                .expect("a record");
        let lines = record
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines
            .filter_map(|line| line.get("event").cloned())
            .collect()
    }
}

/// Runs until something could be measured, at most three times: other work on the machine may make
/// the load generator late or the target unsteady before a fault, which a run says of itself and which
/// is no finding about the program.
pub(crate) fn measured<T>(mut attempt: impl FnMut() -> (T, Ended)) -> (T, Ended) {
    for _ in 0..2 {
        let told = attempt();
        if !told.1.was_too_noisy() {
            return told;
        }
    }
    attempt()
}

/// Between two looks at something that another process does.
pub(crate) fn nap() {
    #[expect(
        clippy::disallowed_methods,
        reason = "polling another process from a plain thread, always with a limit"
    )]
    std::thread::sleep(Duration::from_millis(20));
}

/// Waits until something another process does has happened.
#[track_caller]
pub(crate) fn eventually(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        nap();
    }
}
