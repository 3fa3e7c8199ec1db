//! What takes an act back: versioned plain data, written to the ledger before the act.
//!
//! Invariant: reverting is idempotent and compare-and-swap. It restores only what is still as we
//! set it and bears nobody else's mark; anything else is left and said so.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kubernetes::{Applied, Changed, Lost};
use crate::local::process::ProcessId;

/// Version of the data; a reader refuses any other.
pub const VERSION: u32 = 1;

/// How one act is taken back. Small enough for a Kubernetes annotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    pub version: u32,
    /// The run that acted: what bears the mark of another is not touched.
    pub mark: String,
    pub step: UndoStep,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoStep {
    /// A one-shot act: the platform's own restart policy repairs it.
    Nothing { instance: String },
    /// Let a stopped local process go on.
    Resume {
        instance: String,
        process: ProcessId,
    },
    /// Let an instance that is kept away start again.
    Release { instance: String },
    /// Remove from a cluster what was applied for a run.
    Remove(Applied),
    /// Give an object of a cluster the values back that it had.
    Restore(Changed),
    /// Make an object of a cluster again that was removed.
    Recreate(Lost),
}

/// Limit of an undo that only has to be asked for.
const ASKED: Duration = Duration::from_secs(5);

impl Undo {
    /// The instance it is about: undos of one target must run newest first.
    pub fn target(&self) -> &str {
        match &self.step {
            UndoStep::Nothing { instance }
            | UndoStep::Resume { instance, .. }
            | UndoStep::Release { instance } => instance,
            UndoStep::Remove(applied) => &applied.place.namespace,
            UndoStep::Restore(changed) => &changed.object.uid,
            UndoStep::Recreate(lost) => &lost.name,
        }
    }

    /// Whether it takes back a deploy, not a fault.
    pub fn is_of_deploy(&self) -> bool {
        matches!(self.step, UndoStep::Remove(_))
    }

    /// Longest time it may take.
    pub fn limit(&self) -> Duration {
        match &self.step {
            UndoStep::Remove(_) => crate::kubernetes::REMOVED_WITHIN,
            UndoStep::Restore(_) | UndoStep::Recreate(_) => crate::kubernetes::RESTORED_WITHIN,
            UndoStep::Nothing { .. } | UndoStep::Resume { .. } | UndoStep::Release { .. } => ASKED,
        }
    }
}

/// What reverting found and did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reverted {
    /// It was as we had set it and is restored; the proof was read from the world.
    Restored { proof: String },
    /// There was nothing to restore: the target is gone, or already as before.
    Clean { proof: String },
    /// Somebody else changed it since: left as it is.
    Foreign { why: String },
    /// It could not be restored, or the proof failed.
    Failed { why: String },
}

impl Reverted {
    /// Whether nothing of ours is left behind.
    pub fn is_clean(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }

    /// The proof or the reason, in words.
    pub fn words(&self) -> &str {
        match self {
            Self::Restored { proof } | Self::Clean { proof } => proof,
            Self::Foreign { why } | Self::Failed { why } => why,
        }
    }
}

/// Takes one act back. Works without the platform that acted, so that the guardian and a later
/// process can do it; bounded in time.
pub async fn revert(undo: &Undo) -> Reverted {
    if undo.version != VERSION {
        return Reverted::Failed {
            why: format!(
                "undo data has version {}, this program reads {VERSION}",
                undo.version
            ),
        };
    }
    match &undo.step {
        UndoStep::Nothing { instance } => Reverted::Clean {
            proof: format!("nothing to undo for {instance}"),
        },
        UndoStep::Resume { instance, process } => {
            crate::local::signal::resume(&undo.mark, instance, process).await
        }
        // Only the platform that holds it can let it go; where that has ended, nobody holds it.
        UndoStep::Release { instance } => Reverted::Clean {
            proof: format!("whoever kept {instance} away is gone"),
        },
        UndoStep::Remove(applied) => crate::kubernetes::remove(&undo.mark, applied).await,
        UndoStep::Restore(changed) => crate::kubernetes::restore(&undo.mark, changed).await,
        UndoStep::Recreate(lost) => crate::kubernetes::recreate(&undo.mark, lost).await,
    }
}
