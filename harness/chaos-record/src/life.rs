//! The life of one fault as its events tell it.
//!
//! Invariant: times count from the start of the load. An event that is missing stays absent; none
//! is inferred from another.

use chaos_plan::plan::Fault;

use crate::event::{Event, FaultChange, NotInjected};
use crate::facts::Facts;

/// What the record says of one fault.
#[derive(Debug)]
pub(crate) struct Life<'a> {
    pub(crate) fault: &'a Fault,
    pub(crate) targets: &'a [String],
    pub(crate) requested: Option<u64>,
    pub(crate) effective: Option<u64>,
    pub(crate) effect_proof: &'a [String],
    pub(crate) unproven: Option<&'a str>,
    pub(crate) not_injected: Option<(NotInjected, &'a str)>,
    pub(crate) undone: Option<u64>,
    pub(crate) undo_proof: &'a [String],
    pub(crate) undo_failed: Option<&'a str>,
}

impl<'a> Life<'a> {
    pub(crate) fn of(facts: &Facts<'a>, fault: &'a Fault) -> Self {
        let mut life = Self {
            fault,
            targets: &[],
            requested: None,
            effective: None,
            effect_proof: &[],
            unproven: None,
            not_injected: None,
            undone: None,
            undo_proof: &[],
            undo_failed: None,
        };
        let start = facts.load_started.unwrap_or(0);
        for event in &facts.record.events {
            if let Event::Fault {
                fault: name,
                change,
            } = &event.what
                && *name == fault.name
            {
                life.note(event.at.saturating_sub(start), change);
            }
        }
        life
    }

    fn note(&mut self, at: u64, change: &'a FaultChange) {
        match change {
            FaultChange::Requested { targets } => {
                (self.requested, self.targets) = (Some(at), targets);
            }
            FaultChange::Effective { proof } => {
                (self.effective, self.effect_proof) = (Some(at), proof);
            }
            FaultChange::Unproven { why } => self.unproven = Some(why),
            FaultChange::NotInjected { reason, why } => self.not_injected = Some((*reason, why)),
            FaultChange::Undone { proof } => (self.undone, self.undo_proof) = (Some(at), proof),
            FaultChange::UndoFailed { why } => self.undo_failed = Some(why),
        }
    }

    /// Whether there is nothing to undo, as after a kill.
    pub(crate) fn is_one_shot(&self) -> bool {
        self.fault.lasts.is_none()
    }

    /// Where recovery is counted from: `effective`, or `undone` for a fault that lasts.
    pub(crate) fn origin(&self) -> Option<u64> {
        let effective = self.effective?;
        if self.is_one_shot() {
            Some(effective)
        } else {
            self.undone
        }
    }

    /// Why nothing can be said about what it did, if so.
    pub(crate) fn no_evidence(&self) -> Option<String> {
        if let Some((reason, why)) = self.not_injected {
            return Some(format!("not injected: {}", because(reason, why)));
        }
        if let Some(why) = self.unproven {
            return Some(format!("its effect is not proven: {why}"));
        }
        if self.effective.is_none() {
            return Some("nothing shows that it was injected".to_owned());
        }
        if let Some(why) = self.undo_failed {
            return Some(format!("its undo is not proven: {why}"));
        }
        self.origin()
            .is_none()
            .then(|| "nothing shows that it was undone".to_owned())
    }
}

/// The reason in words, with what the conductor saw.
pub(crate) fn because(reason: NotInjected, why: &str) -> String {
    let words = match reason {
        NotInjected::NotSteady => "not steady before the fault",
        NotInjected::BlastRadius => "it would have gone beyond the blast radius",
        NotInjected::TooLate => "what it waits for had not happened in time",
        NotInjected::Failed => "it could not be applied",
        NotInjected::Stopping => "the run was winding down",
    };
    if why.is_empty() {
        words.to_owned()
    } else {
        format!("{words} ({why})")
    }
}
