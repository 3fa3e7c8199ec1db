//! Finds and ends whatever a run has left behind: by the mark in its environment and, where the work
//! folder is known, by the groups of the instances, which programs that erase their mark stay in.
//!
//! Only a process that erased its mark and left its group too, as a daemon does, is not found.
//! Invariant: what bears the mark of another run is not touched. "Nothing left" is said only after
//! two searches in a row found nothing; a search that failed counts as something left.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::mark::{self, Mark};
use super::process::{self, ProcessId};
use super::{group, signal};

/// Between two searches.
const LOOK: Duration = Duration::from_millis(20);

/// The processes that bear the mark of the run, except this one, with the names of their instances.
pub fn marked(run: &str) -> Vec<(ProcessId, String)> {
    found(search(run, None))
}

/// The processes that bear the mark of the run, and those without any mark in the groups that its
/// work folder lists; except this one, with the names of their instances.
pub fn known(run: &str, work: &Path) -> Vec<(ProcessId, String)> {
    found(search(run, Some(work)))
}

fn found(search: io::Result<Vec<(ProcessId, String)>>) -> Vec<(ProcessId, String)> {
    search.unwrap_or_else(|source| {
        tracing::error!(%source, "failed to search for processes of the run");
        Vec::new()
    })
}

fn search(run: &str, work: Option<&Path>) -> io::Result<Vec<(ProcessId, String)>> {
    let mut found = Vec::new();
    for (process, _) in process::all()? {
        if mark::look(&process, run)? == Mark::Ours {
            let name = process
                .variable(mark::INSTANCE)?
                .unwrap_or_else(|| "a process".to_owned());
            found.push((process, name));
        }
    }
    for (group, name) in work.map(group::listed).transpose()?.unwrap_or_default() {
        for process in group.members(run)? {
            if found.iter().all(|(known, _)| *known != process) {
                found.push((process, name.clone()));
            }
        }
    }
    found.retain(|(process, _)| process.pid != std::process::id());
    Ok(found)
}

/// Kills everything that bears the mark of the run, except the pids to `spare`, and names what is
/// still there after `grace`.
pub async fn sweep(run: &str, spare: &[u32], grace: Duration) -> Vec<String> {
    sweep_until_clear(run, None, spare, grace).await
}

/// As [`sweep`], and kills what is without a mark in the groups that the work folder lists. To be
/// called while that folder is still there; without it, it does what [`sweep`] does.
pub async fn sweep_with(run: &str, work: &Path, spare: &[u32], grace: Duration) -> Vec<String> {
    sweep_until_clear(run, Some(work), spare, grace).await
}

async fn sweep_until_clear(
    run: &str,
    work: Option<&Path>,
    spare: &[u32],
    grace: Duration,
) -> Vec<String> {
    let deadline = Instant::now() + grace;
    let mut clear = 0;
    loop {
        let left = match search(run, work) {
            Ok(found) => kill(
                found
                    .into_iter()
                    .filter(|(process, _)| !spare.contains(&process.pid)),
            ),
            Err(error) => vec![format!("processes of run {run}: no search: {error}")],
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
