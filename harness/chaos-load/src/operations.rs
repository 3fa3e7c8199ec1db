//! The operation log: what was asked of the target under which key, and what its answer promised.
//!
//! An operation is written before its request is sent: one `write(2)` on the worker's own thread to
//! a file opened with `O_APPEND`. That is a copy into the page cache and takes some microseconds,
//! which count as the request's wait. The log outlives the harness but not the machine: it is not
//! synced, since a sync takes milliseconds and would change the load that is to be measured.
//! Invariant: no request of an operation is sent that is not in the log, unless the log has failed
//! and said so; a line is written whole or is the last.

mod line;
mod reading;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use chaos_record::operation::OperationOutcome;
use chaos_record::outcome::{FailKind, Outcome};
use http::StatusCode;

pub(crate) use self::line::{Begun, Ended, Line};
pub use self::reading::read_operations;

/// Most operations of a load: the checks that follow hold all of them in memory.
const OPERATIONS_MAX: u64 = 1_000_000;

/// The log of one load, shared by its workers.
#[derive(Debug)]
pub(crate) struct OperationLog {
    file: File,
    begun: AtomicU64,
    limit: u64,
    failure: OnceLock<String>,
    is_told: AtomicBool,
}

impl OperationLog {
    /// Makes the file; one that is there already belongs to another load and is refused.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(path)?;
        Ok(Self::over(file, OPERATIONS_MAX))
    }

    fn over(file: File, limit: u64) -> Self {
        Self {
            file,
            begun: AtomicU64::new(0),
            limit,
            failure: OnceLock::new(),
            is_told: AtomicBool::new(false),
        }
    }

    /// One whose every write fails, as on a full disk.
    #[cfg(test)]
    pub(crate) fn broken() -> Self {
        let full = OpenOptions::new().append(true).open("/dev/full");
        Self::over(full.expect("Linux has it"), OPERATIONS_MAX)
    }

    /// Writes that an operation is about to be sent.
    pub(crate) fn begin(&self, begun: Begun) {
        if self.begun.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.fail(|| format!("there are more than {} operations", self.limit));
        }
        self.append(&Line::Begun(begun));
    }

    /// Writes what became of an operation.
    pub(crate) fn end(&self, ended: Ended) {
        self.append(&Line::Ended(ended));
    }

    /// Why the log is not whole: once, to the first who asks.
    pub(crate) fn take_failure(&self) -> Option<String> {
        let why = self.failure.get()?;
        (!self.is_told.swap(true, Ordering::Relaxed)).then(|| why.clone())
    }

    /// Whether somebody has still to be told that the log is not whole.
    pub(crate) fn has_news(&self) -> bool {
        self.failure.get().is_some() && !self.is_told.load(Ordering::Relaxed)
    }

    /// After a failure nothing is written: what comes behind a torn line could not be read anyway.
    fn append(&self, line: &Line) {
        if self.failure.get().is_some() {
            return;
        }
        let bytes = line.to_bytes();
        let why = match (&self.file).write(&bytes) {
            Ok(written) if written == bytes.len() => return,
            Ok(written) => format!(
                "only {written} of {} bytes of a line could be written: is the disk full?",
                bytes.len()
            ),
            Err(error) => format!("a line could not be written: {error}"),
        };
        self.fail(|| why);
    }

    /// Of several failures the first stands.
    fn fail(&self, why: impl FnOnce() -> String) {
        self.failure.get_or_init(why);
    }
}

/// What the shopper knows about an operation whose request ended like this.
///
/// Refused is what was given up before its first byte was written, and what the target refused by a
/// 4xx. Of these 408 and 425 say that it may be asked again, 409 that something of the kind is
/// there, and 429 may come from what stands between: all four leave it open, and so does every
/// answer that did not come or was not as expected.
pub(crate) fn judge(
    outcome: Outcome,
    status: Option<StatusCode>,
    was_written: bool,
) -> OperationOutcome {
    match (outcome, status) {
        (Outcome::Ok, _) => OperationOutcome::Ok,
        (_, _) if !was_written => OperationOutcome::Fail,
        (Outcome::Failed(FailKind::Status | FailKind::Check | FailKind::Extract), Some(status))
            if status.is_client_error() && !leaves_open(status) =>
        {
            OperationOutcome::Fail
        }
        _ => OperationOutcome::Unknown,
    }
}

fn leaves_open(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT
            | StatusCode::CONFLICT
            | StatusCode::TOO_EARLY
            | StatusCode::TOO_MANY_REQUESTS
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(key: &str) -> Begun {
        Begun {
            key: key.to_owned(),
            journey: 0,
            step: 1,
            at: 7,
        }
    }

    fn failure_after(log: &OperationLog, operations: u64) -> Option<String> {
        for number in 0..operations {
            log.begin(begun(&number.to_string()));
        }
        let has_news = log.has_news();
        let why = log.take_failure();
        assert_eq!(has_news, why.is_some());
        assert_eq!(
            (log.has_news(), log.take_failure()),
            (false, None),
            "told once"
        );
        why
    }

    #[test]
    fn too_many_operations_fail_the_log() {
        let file = || tempfile::tempfile().expect("a file");
        assert_eq!(failure_after(&OperationLog::over(file(), 3), 3), None);
        let why = failure_after(&OperationLog::over(file(), 3), 9);
        assert!(why.is_some_and(|why| why.contains("more than 3 operations")));
    }

    #[test]
    fn a_write_that_fails_is_told() {
        let why = failure_after(&OperationLog::broken(), 2);
        assert!(why.is_some_and(|why| why.contains("could not be written")));
    }

    #[test]
    fn a_log_of_another_load_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("operations.jsonl");
        assert!(OperationLog::create(&path).is_ok());
        let error = OperationLog::create(&path).expect_err("it is there already");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_known_follows_from_how_the_request_ended() {
        use OperationOutcome::{Fail, Ok, Unknown};
        let check = |outcome, status: Option<u16>, was_written, expected| {
            let code = status.map(|status| StatusCode::from_u16(status).expect("a status"));
            assert_eq!(
                judge(outcome, code, was_written),
                expected,
                "{outcome:?} {status:?} written: {was_written}"
            );
        };
        check(Outcome::Ok, Some(201), true, Ok);
        check(Outcome::Ok, Some(409), true, Ok);
        for status in [400, 401, 402, 403, 404, 410, 422] {
            check(Outcome::Failed(FailKind::Status), Some(status), true, Fail);
        }
        for status in [408, 409, 425, 429, 302, 500, 502, 503, 504] {
            check(
                Outcome::Failed(FailKind::Status),
                Some(status),
                true,
                Unknown,
            );
        }
        check(Outcome::Failed(FailKind::Check), Some(404), true, Fail);
        for kind in [FailKind::Check, FailKind::Extract] {
            check(Outcome::Failed(kind), Some(200), true, Unknown);
        }
        for kind in [FailKind::Reset, FailKind::Timeout, FailKind::Protocol] {
            check(Outcome::Failed(kind), None, true, Unknown);
        }
        for outcome in [
            Outcome::Failed(FailKind::ConnectRefused),
            Outcome::Failed(FailKind::ConnectTimeout),
            Outcome::Failed(FailKind::Reset),
            Outcome::Shed,
            Outcome::Cancelled,
        ] {
            check(outcome, None, false, Fail);
        }
        for outcome in [Outcome::Shed, Outcome::Cancelled] {
            check(outcome, None, true, Unknown);
        }
    }
}
