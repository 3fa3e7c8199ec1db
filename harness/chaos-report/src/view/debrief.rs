//! Room for the talk after the run: notes that were taken, what needs an owner, and blank rows.
//!
//! Invariant: only what the record holds is filled in; owner, ticket and date are for people.

use chaos_record::event::NoteKind;
use chaos_record::verdict::{NoteLine, Status};
use serde::Serialize;

use super::Story;
use super::context::{scenario, wall};
use crate::clean::clean;
use crate::words;

/// Most notes, and most findings that are filled in.
const NOTES_MAX: usize = 60;
const FINDINGS_MAX: usize = 10;

/// The section for the debrief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Debrief {
    pub notes: Vec<NoteRow>,
    pub notes_left_out: u64,
    /// What asks for an action.
    pub findings: Vec<String>,
    /// The command that shows whether an action helped.
    pub retest: String,
}

/// One note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NoteRow {
    /// As on the timeline, from 1.
    pub number: usize,
    pub at: String,
    pub clock: String,
    pub kind: &'static str,
    pub text: String,
    pub by: String,
}

pub(super) fn debrief(story: &Story<'_>) -> Debrief {
    let notes = &story.verdict.notes;
    Debrief {
        notes: (1..)
            .zip(notes.iter().take(NOTES_MAX))
            .map(|(number, note)| row(story, number, note))
            .collect(),
        notes_left_out: notes.len().saturating_sub(NOTES_MAX) as u64,
        findings: words::at_most(FINDINGS_MAX, findings(story)),
        retest: format!("chaos run {} --seed {}", scenario(story), story.plan().seed),
    }
}

fn row(story: &Story<'_>, number: usize, note: &NoteLine) -> NoteRow {
    let zero = story.verdict.load_started.unwrap_or(0);
    NoteRow {
        number,
        at: note.at.checked_sub(zero).map_or_else(
            || format!("-{}", words::clock(zero - note.at)),
            words::clock,
        ),
        clock: wall(story, note.at),
        kind: note.kind.name(),
        text: clean(&note.text),
        by: clean(&note.by),
    }
}

/// Claims that do not hold or are not known, faults with trouble, what was left behind, and actions that were noted.
fn findings(story: &Story<'_>) -> Vec<String> {
    let verdict = story.verdict;
    let claim = |status: Status, word: &'static str| {
        let claims = verdict
            .claims
            .iter()
            .filter(move |claim| claim.status == status);
        claims.map(move |claim| {
            let measured = clean(&claim.measured);
            let of = if measured.is_empty() {
                clean(&claim.why)
            } else {
                format!("{measured}, claimed {}", clean(&claim.target))
            };
            format!("{} {word}: {of}", clean(&claim.name))
        })
    };
    let trouble = verdict.faults.iter().filter_map(|fault| {
        let trouble = fault.trouble.as_deref()?;
        Some(format!("fault {}: {}", clean(&fault.name), clean(trouble)))
    });
    let left = (!verdict.cleanup.verified).then(|| {
        format!(
            "clean-up not verified: {}",
            clean(&verdict.cleanup.left.join(", "))
        )
    });
    let noted = verdict
        .notes
        .iter()
        .filter(|note| note.kind == NoteKind::Action);
    left.into_iter()
        .chain(claim(Status::NotHeld, "did not hold"))
        .chain(claim(Status::Unknown, "is not known"))
        .chain(trouble)
        .chain(noted.map(|note| clean(&note.text)))
        .collect()
}
