//! Finishing what a run left: undo what is outstanding, end its processes, remove its work folder.
//!
//! Used by the guardian and by `chaos recover`. Invariant: idempotent, bounded in time, stopped by no
//! error on the way, and the ledger goes only when nothing is left. What cannot be known, because the
//! ledger cannot be read, counts as left.

mod epilogue;

use std::path::Path;
use std::time::Duration;

use chaos_platform::local::sweep;
use chaos_platform::{Reverted, undo};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::ledger::{self, Content, Entry, Ledger, LedgerError, Outstanding, Standing};
use crate::state_folder::{self, RootLock};

pub(crate) use epilogue::keep_log;

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
    /// Its harness is gone and its guardian is at work; nothing was touched.
    CleanedByGuardian {
        run: String,
    },
    /// It could not be taken over; something of it may be left.
    Failed {
        run: String,
        why: String,
    },
}

/// A run that a new one must not start over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    pub run: String,
    /// Its guardian is at work; otherwise nobody is.
    pub guardian: bool,
}

/// Finishes every run under `root`, or only `run`.
pub async fn recover(root: &Path, run: Option<&str>) -> Result<Vec<Recovered>, LedgerError> {
    let runs = match run {
        Some(run) => vec![run.to_owned()],
        None => state_folder::runs(root)?,
    };
    let mut found = Vec::new();
    for run in runs {
        found.extend(recover_one(root, run).await);
    }
    Ok(found)
}

/// `None` if somebody else removed it meanwhile.
async fn recover_one(root: &Path, run: String) -> Option<Recovered> {
    match take_over(root, &run).await {
        Ok(ledger) => Some(Recovered::Finished(finish(ledger).await)),
        Err(LedgerError::Alive { run }) => Some(match ledger::standing(&root.join(&run)) {
            Ok(Standing::CleanedByGuardian) => Recovered::CleanedByGuardian { run },
            _ => Recovered::Alive { run },
        }),
        Err(_) if !root.join(&run).exists() => None,
        Err(error) => Some(Recovered::Failed {
            run,
            why: format!("failed to {error}"),
        }),
    }
}

async fn take_over(root: &Path, run: &str) -> Result<Ledger, LedgerError> {
    let root = RootLock::take(root).await?;
    Ledger::take_over(&root, run)
}

/// Runs that have state under `root` and whose harness is gone: a new run must not start over them.
pub fn unfinished(root: &RootLock) -> Result<Vec<Unfinished>, LedgerError> {
    let mut unfinished = Vec::new();
    for run in state_folder::runs(root.root())? {
        let guardian = match ledger::standing(&root.root().join(&run))? {
            Standing::NotThere | Standing::Alive => continue,
            Standing::Abandoned => false,
            Standing::CleanedByGuardian => true,
        };
        unfinished.push(Unfinished { run, guardian });
    }
    Ok(unfinished)
}

/// Undoes what the ledger holds and removes what is left of its run.
pub async fn finish(mut ledger: Ledger) -> Report {
    let folder = ledger.folder().to_owned();
    let run = folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let (content, mut left) = read(&ledger);
    let (mut undone, failed) = undo_all(&mut ledger, content.outstanding).await;
    let work = folder.join("work");
    left.extend(sweep::sweep_with(&run, &work, &[std::process::id()], SWEEP_LIMIT).await);
    // What was swept away needs no undo any more.
    let (again, failed) = undo_all(&mut ledger, failed).await;
    undone.extend(again);
    left.extend(failed.into_iter().map(|item| {
        let why = undone.iter().rev().find(|(fault, _)| *fault == item.fault);
        let why = why.map_or("it failed", |(_, how)| how.words());
        format!("{}: {why}", item.fault)
    }));
    left.extend(remove_work(&folder.join("work")));
    tracing::info!(?undone, ?left, "cleaned up");
    if let Some(opened) = &content.opened {
        epilogue::tell(opened, &left);
        keep_log(&folder, &opened.out);
    }
    note(&mut ledger, &Entry::Closed { left: left.clone() });
    if left.is_empty() {
        left.extend(forget(&ledger).await);
    }
    Report { run, undone, left }
}

/// What the ledger says; what it cannot say any more is left.
fn read(ledger: &Ledger) -> (Content, Vec<String>) {
    match ledger.read() {
        Ok(content) => {
            let left = content
                .damage
                .iter()
                .map(|why| unknown(ledger.folder(), why));
            let left = left.collect();
            (content, left)
        }
        Err(error) => {
            let left = vec![unknown(ledger.folder(), &format!("failed to {error}"))];
            (Content::default(), left)
        }
    }
}

/// In words, that a ledger does not tell everything.
pub(crate) fn unknown(folder: &Path, why: &str) -> String {
    format!(
        "what the ledger in `{}` said: {why}; look what its faults changed, then remove the folder",
        folder.display()
    )
}

/// Reverts everything and notes it; what failed comes back.
async fn undo_all(
    ledger: &mut Ledger,
    outstanding: Vec<Outstanding>,
) -> (Vec<(String, Reverted)>, Vec<Outstanding>) {
    let mut undone = Vec::new();
    let mut failed = Vec::new();
    for (item, how) in revert_all(outstanding).await {
        let (id, fault, clean) = (item.id, item.fault.clone(), how.is_clean());
        note(
            ledger,
            &Entry::Reverted {
                id,
                how: how.clone(),
            },
        );
        undone.push((fault, how));
        if !clean {
            failed.push(item);
        }
    }
    (undone, failed)
}

/// What was done is done; whoever reads the ledger without this note does it again, which is harmless.
fn note(ledger: &mut Ledger, entry: &Entry) {
    if let Err(error) = ledger.write(entry) {
        tracing::warn!(%error, "the ledger takes no note");
    }
}

/// Removes the run's folder; in words, why not.
async fn forget(ledger: &Ledger) -> Option<String> {
    let root = ledger.folder().parent().unwrap_or(ledger.folder());
    let removed = match RootLock::take(root).await {
        Ok(root) => ledger.remove(&root),
        Err(error) => Err(error.into()),
    };
    removed
        .err()
        .map(|error| format!("the run's state: failed to {error}"))
}

/// Targets in parallel, newest first within one; each undo has its limit.
/// What faults changed comes before what a deploy made: that may be what it stands on.
pub(crate) async fn revert_all(outstanding: Vec<Outstanding>) -> Vec<(Outstanding, Reverted)> {
    let (deploys, faults): (Vec<_>, Vec<_>) = outstanding
        .into_iter()
        .partition(|item| item.undo.is_of_deploy());
    let mut results = revert_targets(faults).await;
    results.extend(revert_targets(deploys).await);
    results
}

async fn revert_targets(outstanding: Vec<Outstanding>) -> Vec<(Outstanding, Reverted)> {
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
                let limit = item.undo.limit();
                let late = || Reverted::Failed {
                    why: format!("not done within {} s", limit.as_secs()),
                };
                let how = tokio::time::timeout(limit, undo::revert(&item.undo))
                    .await
                    .unwrap_or_else(|_| late());
                results.push((item, how));
            }
            results
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

/// Removes a work folder; in words, why not.
pub(crate) fn remove_work(work: &Path) -> Option<String> {
    match std::fs::remove_dir_all(work) {
        Ok(()) => None,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(format!("folder {}: {error}", work.display())),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use chaos_platform::local::process::ProcessId;

    use super::*;
    use crate::ledger::Opened;

    /// A run whose harness is gone, with `ledger` written behind its first entry.
    async fn abandoned(root: &Path, run: &str, ledger: &[u8]) {
        let harness = ProcessId {
            pid: 4_121,
            start: 99,
            boot: "another".to_owned(),
        };
        let held = RootLock::take(root).await.expect("nobody holds it");
        let opened = Opened::new(root, run, harness, &root.join("out"));
        drop(Ledger::create(&held, opened).expect("a new ledger"));
        append(&root.join(run).join("ledger"), ledger);
    }

    fn append(path: &Path, bytes: &[u8]) {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        file.and_then(|mut file| file.write_all(bytes))
            .expect("ours");
    }

    fn left(recovered: &Recovered) -> usize {
        match recovered {
            Recovered::Finished(report) => report.left.len(),
            other => unreachable!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_run_that_started_nothing_is_forgotten() {
        let root = tempfile::tempdir().expect("a folder");
        abandoned(root.path(), "r", b"").await;
        std::fs::write(root.path().join("r/ledger"), b"").expect("ours");
        let found = recover(root.path(), None).await.expect("readable");
        assert_eq!(found.iter().map(left).collect::<Vec<_>>(), [0]);
        assert!(!root.path().join("r").exists());
    }

    #[tokio::test]
    async fn a_damaged_ledger_is_left_and_kept() {
        let root = tempfile::tempdir().expect("a folder");
        abandoned(root.path(), "r", b"\xff\xfe no line of ours\n").await;
        let found = recover(root.path(), None).await.expect("readable");
        assert_eq!(found.iter().map(left).collect::<Vec<_>>(), [1], "{found:?}");
        assert!(root.path().join("r/ledger").exists());
    }

    #[tokio::test]
    async fn one_run_that_fails_hinders_no_other() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("a folder");
        for run in ["a", "b", "c"] {
            abandoned(root.path(), run, b"").await;
        }
        let others_may_enter = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(root.path().join("b"), others_may_enter).expect("ours");
        let found = recover(root.path(), None).await.expect("readable");
        assert!(
            matches!(
                &found[..],
                [
                    Recovered::Finished(_),
                    Recovered::Failed { .. },
                    Recovered::Finished(_)
                ]
            ),
            "{found:?}"
        );
    }

    #[tokio::test]
    async fn only_runs_without_a_harness_are_unfinished() {
        let root = tempfile::tempdir().expect("a folder");
        abandoned(root.path(), "gone", b"").await;
        std::fs::create_dir(root.path().join("half-made")).expect("ours");
        let held = RootLock::take(root.path()).await.expect("nobody holds it");
        let own = ProcessId::of(std::process::id()).expect("it runs");
        let opened = Opened::new(root.path(), "alive", own, Path::new("/out"));
        let _alive = Ledger::create(&held, opened).expect("a new ledger");
        let found = unfinished(&held).expect("readable");
        let expected = Unfinished {
            run: "gone".to_owned(),
            guardian: false,
        };
        assert_eq!(found, [expected]);
    }
}
