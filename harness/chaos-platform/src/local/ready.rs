//! Whether an instance is ready: asked over HTTP or for a connection, decided over several answers.
//!
//! Invariant: each question has a connection of its own, so an answer never comes from a life that
//! has ended, and it is bounded in time and size.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http;

/// Most bytes read of an answer; what it says is its status.
const MAX_BODY: usize = 64 * 1024;

/// Asks once, without a path only for a connection; an error tells in words why the instance is not ready.
pub(super) async fn ask(
    address: SocketAddr,
    path: Option<&str>,
    within: Duration,
) -> Result<(), String> {
    let Some(path) = path else {
        return connect(address, within).await;
    };
    // A body that is too long or broken off does not change the status.
    match timeout(within, http::get(address, path, MAX_BODY)).await {
        Ok(Ok(answer)) if answer.status.is_success() => Ok(()),
        Ok(Ok(answer)) => Err(format!("`{path}` answered {}", answer.status.as_u16())),
        Ok(Err(why)) => Err(why),
        Err(_) => Err(format!("`{path}` gave no answer within {within:?}")),
    }
}

async fn connect(address: SocketAddr, within: Duration) -> Result<(), String> {
    match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("no connection: {error}")),
        Err(_) => Err(format!("no connection within {within:?}")),
    }
}

/// What the answers so far amount to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Readiness {
    ready: bool,
    /// Failed in a row.
    failed: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    Ready,
    Unready,
}

impl Readiness {
    /// One success makes ready, `failures` failures in a row make unready.
    pub(super) fn hear(&mut self, succeeded: bool, failures: u32) -> Option<Change> {
        self.failed = if succeeded {
            0
        } else {
            self.failed.saturating_add(1)
        };
        let ready = succeeded || (self.ready && self.failed < failures.max(1));
        let changed = ready != self.ready;
        self.ready = ready;
        changed.then_some(if ready {
            Change::Ready
        } else {
            Change::Unready
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a success, `-` a failure; `R` ready, `U` unready, `.` no change.
    fn check(failures: u32, answers: &str, expected: &str) {
        let mut readiness = Readiness::default();
        let changes: String = answers
            .chars()
            .map(|answer| match readiness.hear(answer == '+', failures) {
                None => '.',
                Some(Change::Ready) => 'R',
                Some(Change::Unready) => 'U',
            })
            .collect();
        assert_eq!(changes, expected, "{failures} {answers}");
    }

    #[test]
    fn one_success_is_enough_and_failures_must_be_in_a_row() {
        check(3, "--+++", "..R..");
        check(3, "+--+---", "R.....U");
        check(3, "+---+", "R..UR");
        check(3, "------", "......");
        check(1, "+-+-", "RURU");
        check(0, "+-", "RU");
    }
}
