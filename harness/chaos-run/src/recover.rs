//! Finishing what a run left: undo what is outstanding, end its processes, remove its work folder.
//!
//! Used by the guardian and by `chaos recover`. Invariant: idempotent, bounded in time, and the
//! ledger goes only when nothing is left.

use std::path::Path;
use std::time::Duration;

use chaos_platform::local::sweep;
use chaos_platform::{Reverted, undo};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::ledger::{Entry, Ledger, LedgerError, Outstanding};
use crate::state_folder;

/// Limit of one undo.
const UNDO_LIMIT: Duration = Duration::from_secs(5);
/// Limit for the processes of the run to be gone after SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);

/// What was done for one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    pub run: String,
    /// Each outstanding undo and what became of it.
    pub undone: Vec<(String, Reverted)>,
    /// What remains, in words; empty if clean.
    pub left: Vec<String>,
}

/// What `chaos recover` found for one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Recovered {
    Finished(Report),
    /// It lives; nothing was touched.
    Alive {
        run: String,
    },
}

/// Finishes every run under `root`, or only `run`.
pub async fn recover(root: &Path, run: Option<&str>) -> Result<Vec<Recovered>, LedgerError> {
    let runs = match run {
        Some(run) => vec![run.to_owned()],
        None => state_folder::runs(root)?,
    };
    let mut reports = Vec::new();
    for run in runs {
        reports.push(match Ledger::take_over(root, &run) {
            Ok(ledger) => Recovered::Finished(finish(ledger).await?),
            Err(LedgerError::Alive { run }) => Recovered::Alive { run },
            Err(error) => return Err(error),
        });
    }
    Ok(reports)
}

/// Runs that have state under `root` and nobody alive: a new run must not start over them.
pub fn unfinished(root: &Path) -> Result<Vec<String>, LedgerError> {
    let mut unfinished = Vec::new();
    for run in state_folder::runs(root)? {
        if !crate::ledger::is_alive(root, &run)? {
            unfinished.push(run);
        }
    }
    Ok(unfinished)
}

/// Undoes what the ledger holds and removes what is left of its run.
pub async fn finish(mut ledger: Ledger) -> Result<Report, LedgerError> {
    let run = ledger
        .folder()
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    // A ledger without a readable beginning was killed before anything was started: only the mark and the folder can be looked for.
    let outstanding = ledger
        .read()
        .map(|content| content.outstanding)
        .unwrap_or_default();
    let mut undone = Vec::new();
    for (outstanding, how) in revert_all(outstanding).await {
        ledger.write(&Entry::Reverted {
            id: outstanding.id,
            how: how.clone(),
        })?;
        undone.push((outstanding.fault, how));
    }
    let mut left: Vec<String> = undone
        .iter()
        .filter(|(_, how)| !how.is_clean())
        .map(|(fault, how)| format!("{fault}: {}", how.words()))
        .collect();
    left.extend(sweep::sweep(&run, &[std::process::id()], SWEEP_LIMIT).await);
    left.extend(remove_work(&ledger.folder().join("work")));
    ledger.write(&Entry::Closed { left: left.clone() })?;
    if left.is_empty() {
        ledger.remove()?;
    }
    Ok(Report { run, undone, left })
}

/// Targets in parallel, newest first within one; each undo has its limit.
async fn revert_all(outstanding: Vec<Outstanding>) -> Vec<(Outstanding, Reverted)> {
    let mut by_target: std::collections::BTreeMap<String, Vec<Outstanding>> =
        std::collections::BTreeMap::new();
    for item in outstanding {
        by_target
            .entry(item.undo.target().to_owned())
            .or_default()
            .push(item);
    }
    let mut tasks = JoinSet::new();
    for items in by_target.into_values() {
        tasks.spawn(async move {
            let mut results = Vec::new();
            for item in items {
                let limit = || Reverted::Failed {
                    why: format!("not done within {} s", UNDO_LIMIT.as_secs()),
                };
                let how = tokio::time::timeout(UNDO_LIMIT, undo::revert(&item.undo))
                    .await
                    .unwrap_or_else(|_| limit());
                results.push((item, how));
            }
            results
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

fn remove_work(work: &Path) -> Option<String> {
    match std::fs::remove_dir_all(work) {
        Ok(()) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("folder {}: {error}", work.display())),
    }
}
