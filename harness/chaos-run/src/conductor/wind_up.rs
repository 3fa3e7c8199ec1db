//! The end of a run: everything taken back, ended, removed, looked for and written down.
//!
//! Invariant: each part is tried whatever became of the one before, also if that panicked, and what
//! the ledger still lists is tried once more; what is not known to be gone is named as left.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chaos_load::clock::now_ns;
use chaos_platform::Reverted;
use chaos_platform::local::sweep;
use chaos_record::event::{Event, FaultChange, Stamped};
use chaos_record::record::Record;
use futures_util::FutureExt;
use tokio::time::Instant;

use super::waiting::beating;
use super::{Conductor, LOOK, ticking};
use crate::failpoint;
use crate::ledger::{Entry, LedgerHandle};
use crate::recover;
use crate::state::Input;
use crate::state_folder::RootLock;

/// Limit for the processes of the run to be gone after SIGKILL.
const SWEEP_LIMIT: Duration = Duration::from_secs(5);
/// How long a stopped load may take to account for itself.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// The same after a second wish to stop.
const HURRIED_DRAIN_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for the work folder to be removed.
const REMOVE_LIMIT: Duration = Duration::from_mins(1);

/// A run that is over.
#[derive(Debug)]
pub struct Finished {
    /// The whole account, also what the disk refused.
    pub record: Record,
    /// Why the record on disk is not whole, or lacks a part of this one.
    pub unwritten: Option<String>,
    /// What was found to be left after the record was closed.
    pub left: Vec<String>,
}

type Panic = Box<dyn Any + Send>;

/// Does a part to its end or to its panic.
async fn caught<T>(part: impl Future<Output = T>) -> Result<T, Panic> {
    AssertUnwindSafe(part).catch_unwind().await
}

impl Conductor<'_> {
    /// Plays and winds up, whatever happens.
    pub(super) async fn play_and_finish(mut self) -> Finished {
        let played = caught(Box::pin(self.play())).await;
        self.survive(played);
        let read = caught(Box::pin(self.gather_evidence())).await;
        self.survive(read);
        Box::pin(self.finish()).await
    }

    /// Undoes what is still applied, tears down, verifies, closes record and ledger. Runs after every
    /// way out of [`Conductor::play`].
    async fn finish(mut self) -> Finished {
        self.ending = true;
        self.stopping.cancel();
        self.stop_load();
        self.take_all_back().await;
        let drained = caught(self.drain()).await;
        self.survive(drained);
        let left = self.end_and_verify().await;
        drop(self.state.next(&Input::TornDown));
        let cleaned_up = Event::CleanedUp {
            verified: left.is_empty(),
            left: left.clone(),
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.event_now(cleaned_up.clone()))) {
            self.panicked(panic.as_ref());
            self.untold.push(self.stamped(cleaned_up));
        }
        Box::pin(self.close(left)).await
    }

    /// Every fault that is known to be applied, and after a panic what the ledger lists.
    async fn take_all_back(&mut self) {
        // One that panics is not among them any more; what it left the ledger lists.
        for _ in 0..self.undoing.len() {
            let taken = caught(Box::pin(self.all_taken_back())).await;
            self.survive(taken);
        }
        self.undoing.clear();
        while let Some(fault) = self.active.last().map(|active| active.fault) {
            let undone = caught(Box::pin(self.take_back(fault))).await;
            self.survive(undone);
        }
        if self.panics > 0 {
            let reverted = caught(Box::pin(self.revert_outstanding())).await;
            // What failed is tried again after everything was ended.
            self.survive(reverted);
        }
    }

    /// Ends everything and looks for what is left; each part for itself.
    async fn end_and_verify(&mut self) -> Vec<String> {
        let mut left = Vec::new();
        let torn_down = caught(Box::pin(self.tear_down())).await;
        left.extend(self.survive(torn_down).unwrap_or_default());
        let swept = caught(Box::pin(self.sweep())).await;
        left.extend(
            self.survive(swept)
                .unwrap_or_else(|| not_known("processes")),
        );
        let removed = caught(Box::pin(self.remove_work())).await;
        left.extend(
            self.survive(removed)
                .unwrap_or_else(|| not_known("folders")),
        );
        let reverted = caught(Box::pin(self.revert_outstanding())).await;
        left.extend(
            self.survive(reverted)
                .unwrap_or_else(|| not_known("faults")),
        );
        left
    }

    /// After a panic or a second wish to stop the engine may still run: hear what it has to say.
    pub(super) async fn drain(&mut self) {
        let begun = Instant::now();
        let mut look = ticking(LOOK);
        while self.engine.is_some() {
            let limit = if self.interrupts > 1 {
                HURRIED_DRAIN_LIMIT
            } else {
                DRAIN_LIMIT
            };
            let heard = tokio::select! {
                heard = self.hear(&mut look) => heard,
                () = tokio::time::sleep_until(begun + limit) => return,
            };
            self.follow(heard).await;
        }
    }

    /// Ends what was deployed; a second Ctrl-C cuts the grace short, the sweep does the rest.
    async fn tear_down(&mut self) -> Vec<String> {
        failpoint::reach("teardown.started");
        let Some(mut platform) = self.platform.take() else {
            return Vec::new();
        };
        let only = Arc::get_mut(&mut platform).expect("whoever borrowed it has ended");
        let left = self
            .meanwhile_if(only.teardown(), |conductor| conductor.interrupts < 2)
            .await;
        left.unwrap_or_default()
    }

    async fn sweep(&mut self) -> Vec<String> {
        let run = self.run.clone();
        let own = [std::process::id()];
        let work = self.folder.join("work");
        self.meanwhile(sweep::sweep_with(&run, &work, &own, SWEEP_LIMIT))
            .await
    }

    async fn remove_work(&mut self) -> Vec<String> {
        let work = self.folder.join("work");
        let remove = {
            let work = work.clone();
            tokio::task::spawn_blocking(move || recover::remove_work(&work))
        };
        match self
            .meanwhile(tokio::time::timeout(REMOVE_LIMIT, remove))
            .await
        {
            Ok(Ok(left)) => left.into_iter().collect(),
            Ok(Err(error)) => vec![format!("folder {}: {error}", work.display())],
            Err(late) => vec![format!("folder {}: not removed: {late}", work.display())],
        }
    }

    /// Tries everything that the ledger lists as not undone; names what stays so.
    async fn revert_outstanding(&mut self) -> Vec<String> {
        let content = match self.ledger.read() {
            Ok(content) => content,
            Err(error) => {
                return vec![recover::unknown(
                    &self.folder,
                    &format!("failed to {error}"),
                )];
            }
        };
        let mut left: Vec<String> = content
            .damage
            .iter()
            .map(|why| recover::unknown(&self.folder, why))
            .collect();
        let reverted = self
            .meanwhile(recover::revert_all(content.outstanding))
            .await;
        let mut untried: BTreeMap<String, Vec<Reverted>> = BTreeMap::new();
        for (item, how) in reverted {
            if !how.is_clean() {
                left.push(format!("{}: {}", item.fault, how.words()));
            }
            // What was deployed is no fault of the plan.
            if !item.tried && !item.undo.is_of_deploy() {
                untried.entry(item.fault).or_default().push(how.clone());
            }
            let note = Entry::Reverted { id: item.id, how };
            let ledger = self.ledger.clone();
            // The undo is done; who reads the ledger without this note does it again, which is harmless.
            drop(self.meanwhile(ledger.write(note)).await);
        }
        for (fault, undos) in untried {
            let change = change(&undos);
            self.event_now(Event::Fault { fault, change });
        }
        left
    }

    /// Closes record, ledger and lease, in this order: a death in between is finished by the guardian.
    async fn close(self, left: Vec<String>) -> Finished {
        let at = now_ns().saturating_sub(self.zero_ns);
        let Self {
            writer,
            ledger,
            mut lease,
            folder,
            out,
            untold,
            ..
        } = self;
        let closed = beating(&mut lease, writer.close(at)).await;
        failpoint::reach("record.closed");
        let mut record = closed.record;
        let panics_untold = untold.first().map(|_| "chaos itself failed".to_owned());
        record.events.extend(untold);
        if let Some(what) = closed.failure.clone().filter(|_| !closed.told) {
            record.events.push(Stamped {
                at,
                what: Event::EnvironmentFailed { what },
            });
        }
        // From here on the record is whole; what the ledger cannot say any more, the folder's presence says.
        let clean = left.is_empty();
        let entry = Entry::Closed { left };
        drop(beating(&mut lease, ledger.write(entry)).await);
        lease.finish().await;
        recover::keep_log(&folder, &out);
        let late = if clean {
            forget(&ledger, &folder).await
        } else {
            None
        };
        Finished {
            record,
            unwritten: closed.failure.or(panics_untold),
            left: late.into_iter().collect(),
        }
    }

    /// What came of a part; its panic is noted.
    fn survive<T>(&mut self, part: Result<T, Panic>) -> Option<T> {
        match part {
            Ok(result) => Some(result),
            Err(panic) => {
                self.panicked(panic.as_ref());
                None
            }
        }
    }

    /// Notes a panic, without the audience and whatever the record does: either may be its cause.
    fn panicked(&mut self, panic: &(dyn Any + Send)) {
        self.audience = None;
        self.panics += 1;
        let message = panic
            .downcast_ref::<&str>()
            .map(ToString::to_string)
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned());
        let stamped = self.stamped(Event::Panicked { message });
        let Stamped { at, what } = stamped.clone();
        if catch_unwind(AssertUnwindSafe(|| self.writer.event(at, what))).is_err() {
            self.untold.push(stamped);
        }
    }

    fn stamped(&self, what: Event) -> Stamped {
        Stamped {
            at: self.run_ns(now_ns()),
            what,
        }
    }
}

/// What the undos of one fault, of which the record does not tell yet, come to.
fn change(undos: &[Reverted]) -> FaultChange {
    let words = |clean: bool| {
        let those = undos.iter().filter(move |how| how.is_clean() == clean);
        those.map(|how| how.words().to_owned()).collect::<Vec<_>>()
    };
    let failures = words(false);
    if failures.is_empty() {
        FaultChange::Undone { proof: words(true) }
    } else {
        FaultChange::UndoFailed {
            why: failures.join("; "),
        }
    }
}

fn not_known(what: &str) -> Vec<String> {
    vec![format!("{what} of the run: the search for them failed")]
}

/// Removes the state of a run that left nothing; in words, why not.
async fn forget(ledger: &LedgerHandle, folder: &std::path::Path) -> Option<String> {
    let root: PathBuf = folder.parent().unwrap_or(folder).to_owned();
    let removed = match RootLock::take(&root).await {
        Ok(root) => ledger.remove(&root),
        Err(error) => Err(error.into()),
    };
    removed
        .err()
        .map(|error| format!("the run's state: failed to {error}"))
}
