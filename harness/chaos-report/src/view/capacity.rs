//! What the search found, probe by probe.
//!
//! Invariant: a rate is called one that holds only where the verdict calls it so.

use chaos_plan::units::Rate;
use chaos_record::verdict::{Capacity, ProbeFinding, ProbeOutcome};
use serde::Serialize;

use super::{Mark, Story, Tone};
use crate::clean::{clean, clean_composed};
use crate::words;

/// The section of a run with a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapacityView {
    /// Both rates and why, in one sentence.
    pub sentence: String,
    pub probes: Vec<ProbeRow>,
}

/// One rate, offered for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeRow {
    pub rate: String,
    pub at: String,
    pub requests: String,
    pub p95: String,
    pub bad: String,
    pub mark: Mark,
    /// The claim that broke, or why nothing can be said.
    pub why: String,
}

pub(super) fn capacity(story: &Story<'_>) -> Option<CapacityView> {
    let capacity: &Capacity = story.verdict.capacity.as_ref()?;
    Some(CapacityView {
        sentence: clean_composed(&capacity.sentence),
        probes: capacity.probes.iter().map(row).collect(),
    })
}

fn row(probe: &ProbeFinding) -> ProbeRow {
    let claim = probe.claim.as_deref().map(clean);
    let early = if probe.ended_early {
        ", so it was ended early"
    } else {
        ""
    };
    ProbeRow {
        rate: Rate::new(probe.rate).to_string(),
        at: words::clock_seconds(probe.start),
        requests: words::count(probe.requests),
        p95: words::duration_or(probe.p95, "no answer"),
        bad: words::percent_of(probe.bad, probe.requests),
        mark: mark(probe.outcome),
        why: match claim {
            Some(claim) => format!("{claim}: {}{early}", clean(&probe.why)),
            None => clean(&probe.why),
        },
    }
}

fn mark(outcome: ProbeOutcome) -> Mark {
    let tone = match outcome {
        ProbeOutcome::Held => Tone::Good,
        ProbeOutcome::Broke => Tone::Bad,
        ProbeOutcome::Unclear => Tone::Unknown,
    };
    Mark::new(tone, outcome.word())
}
