//! The mark that every process of a run is started with in its environment.
//!
//! A process cannot lose it by forking, but a program may overwrite its environment (`setproctitle`
//! does, in many servers) or start a child with an empty one. So an absent mark
//! says nothing, and whoever acts on such a process must know it by something else: by its start time
//! and boot, or by its group.
//! Invariant: what bears the mark of another run is never signalled by a clean-up or an undo.

use std::io;

use super::process::ProcessId;

/// Variable that holds the id of the run.
pub const RUN: &str = "CHAOS_RUN";
/// Variable that holds the name of the instance.
pub const INSTANCE: &str = "CHAOS_INSTANCE";

/// What the environment of a process tells about who started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mark {
    Ours,
    /// It bears the mark of this other run.
    Other(String),
    /// There is none: never set, erased, not readable, or the process is gone.
    Absent,
}

/// Looks for the mark of `run`.
pub(crate) fn look(process: &ProcessId, run: &str) -> io::Result<Mark> {
    match process.variable(RUN) {
        Ok(value) => Ok(Mark::from_value(value, run)),
        // Of other people's processes, and of those that changed their user, nobody may read it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Mark::Absent),
        Err(error) => Err(error),
    }
}

/// The instance whose mark, of `run`, a process bears.
pub(crate) fn instance(process: &ProcessId, run: &str) -> io::Result<Option<String>> {
    if look(process, run)? != Mark::Ours {
        return Ok(None);
    }
    match process.variable(INSTANCE) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        name => name,
    }
}

impl Mark {
    fn from_value(value: Option<String>, run: &str) -> Self {
        match value {
            Some(value) if value.is_empty() => Self::Absent,
            Some(value) if value == run => Self::Ours,
            Some(value) => Self::Other(value),
            None => Self::Absent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: Option<&str>, run: &str, expected: &Mark) {
        assert_eq!(
            &Mark::from_value(value.map(str::to_owned), run),
            expected,
            "{value:?}"
        );
    }

    #[test]
    fn a_mark_is_ours_another_s_or_absent() {
        check(Some("r1"), "r1", &Mark::Ours);
        check(Some("r2"), "r1", &Mark::Other("r2".to_owned()));
        check(None, "r1", &Mark::Absent);
        check(Some(""), "r1", &Mark::Absent);
        check(Some(""), "", &Mark::Absent);
    }
}
