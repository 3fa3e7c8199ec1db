//! Finds and ends whatever a run has left behind, by the mark in its environment.
//!
//! Invariant: only what bears the mark of the run is ended. "Nothing left" is said only after two
//! searches in a row found nothing; a search that failed counts as something left.

use std::io;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::process::{self, ProcessId};
use super::{mark, signal};

/// Between two searches.
const LOOK: Duration = Duration::from_millis(20);

/// The processes that bear the mark of the run, except this one, with the names of their instances.
pub fn marked(run: &str) -> Vec<(ProcessId, String)> {
    search(run).unwrap_or_else(|source| {
        tracing::error!(%source, "failed to search for processes of the run");
        Vec::new()
    })
}

fn search(run: &str) -> io::Result<Vec<(ProcessId, String)>> {
    let mut found = Vec::new();
    for process in process::all()? {
        if process.pid != std::process::id() && mark::bears(&process, run)? {
            let name = process
                .variable(mark::INSTANCE)?
                .unwrap_or_else(|| "a process".to_owned());
            found.push((process, name));
        }
    }
    Ok(found)
}

/// Kills everything that bears the mark of the run, except the pids to `spare`, and names what is
/// still there after `grace`.
pub async fn sweep(run: &str, spare: &[u32], grace: Duration) -> Vec<String> {
    let deadline = Instant::now() + grace;
    let mut clear = 0;
    loop {
        let left = match search(run) {
            Ok(found) => kill(
                found
                    .into_iter()
                    .filter(|(process, _)| !spare.contains(&process.pid)),
            ),
            Err(error) => vec![format!(
                "processes of run {run}: no search in /proc: {error}"
            )],
        };
        clear = if left.is_empty() { clear + 1 } else { 0 };
        if clear == 2 || (Instant::now() >= deadline && !left.is_empty()) {
            return left;
        }
        sleep(LOOK).await;
    }
}

/// SIGKILL ends stopped processes too; nothing has to be continued first.
fn kill(found: impl Iterator<Item = (ProcessId, String)>) -> Vec<String> {
    found
        .map(
            |(process, name)| match signal::send(&process, Signal::KILL) {
                Ok(_) => format!("{process} ({name})"),
                Err(error) => format!("{process} ({name}): {error}"),
            },
        )
        .collect()
}
