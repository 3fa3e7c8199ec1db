//! The view of a run: every text and number of it, formatted, in the order in which it is read.
//!
//! Invariant: a view is made from the story alone, and every foreign text in it is clean
//! ([`crate::clean`]), so an exporter only has to escape.

mod budget;
mod capacity;
mod claims;
mod context;
mod debrief;
mod evidence;
mod faults;
mod integrity;
mod numbers;
mod phases;
mod scaling;
mod tables;
mod usage;

use chaos_plan::Plan;
use chaos_record::event::Stamped;
use chaos_record::line::Header;
use chaos_record::verdict::{RunOutcome, Status, Verdict};
use chaos_record::window::Windows;
use jiff::Timestamp;
use serde::Serialize;

pub use self::budget::{Budget, budgets};
pub use self::capacity::{CapacityView, ProbeRow};
pub use self::claims::{ClaimRow, FindingRow, Margin};
pub(crate) use self::context::running_target;
pub use self::context::{EventRow, Reproduce, event_rows, platform, scenario, target};
pub use self::debrief::{Debrief, NoteRow};
pub use self::evidence::{Evidence, FailureRow};
pub use self::faults::{
    Fact, FaultCard, FaultLane, FaultSpan, fault_lanes, inject, spans, summary,
};
pub use self::integrity::{IntegrityView, RuleRow};
pub use self::numbers::{Number, tightest_limit, worst_second};
pub use self::phases::{PhaseCell, PhaseRow, Phases};
pub use self::scaling::scaled;
pub use self::tables::{SeriesRow, StageRow};
pub use self::usage::UsageRow;

use crate::clean::{clean, clean_composed};
use crate::timeline::Timeline;
use crate::words;

/// A finished run: what was to be done, what happened, and what it was judged to be.
#[derive(Debug, Clone, Copy)]
pub struct Story<'a> {
    pub header: &'a Header,
    pub events: &'a [Stamped],
    pub windows: &'a Windows,
    pub verdict: &'a Verdict,
}

impl Story<'_> {
    pub fn plan(&self) -> &Plan {
        &self.header.plan
    }
}

/// How a thing stands, for colour, icon and word; never for colour alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tone {
    Good,
    Bad,
    Unknown,
    /// Stopped, or neither good nor bad.
    Plain,
}

/// A word with its tone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mark {
    pub tone: Tone,
    pub word: String,
}

impl Mark {
    pub fn new(tone: Tone, word: impl Into<String>) -> Self {
        Self {
            tone,
            word: word.into(),
        }
    }

    /// The mark of a claim or of one part of it.
    pub fn of_status(status: Status) -> Self {
        match status {
            Status::Held => Self::new(Tone::Good, "held"),
            Status::NotHeld => Self::new(Tone::Bad, "not held"),
            Status::Unknown => Self::new(Tone::Unknown, "unknown"),
            Status::NotJudged => Self::new(Tone::Plain, "not judged"),
        }
    }
}

/// Everything a report says in words.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    pub name: String,
    pub question: String,
    pub run: String,
    /// Wall-clock start, such as `2026-11-21 09:30:12 UTC`.
    pub started: String,
    pub chaos: String,
    pub outcome: Mark,
    pub sentence: String,
    /// What limits the whole run: incomplete, scaled.
    pub notices: Vec<String>,
    pub numbers: Vec<Number>,
    pub chips: Vec<Mark>,
    /// Why the exit code is what it is, beside what the claims say for themselves; the reason that decided first.
    pub reasons: Vec<String>,
    pub exit: ExitView,
    pub claims: Vec<ClaimRow>,
    pub faults: Vec<FaultCard>,
    pub failures: Vec<FailureRow>,
    pub stages: Vec<StageRow>,
    pub series: Vec<SeriesRow>,
    /// Steps before, during and after the faults; absent if none took effect.
    pub phases: Option<Phases>,
    /// Absent if no claim is about it.
    pub integrity: Option<IntegrityView>,
    pub capacity: Option<CapacityView>,
    pub usage: Vec<UsageRow>,
    pub debrief: Debrief,
    pub evidence: Vec<Evidence>,
    /// What is wrong with the evidence, in words.
    pub complaints: Vec<String>,
    pub events: Vec<EventRow>,
    /// Events left out because there are too many.
    pub events_left_out: u64,
    pub reproduce: Reproduce,
}

/// The exit code with its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExitView {
    pub code: u8,
    pub name: String,
    pub meaning: String,
}

impl View {
    pub fn new(story: &Story<'_>, timeline: &Timeline) -> Self {
        let (header, verdict) = (story.header, story.verdict);
        let (events, events_left_out) = event_rows(story);
        let evidence = evidence::evidence(verdict);
        Self {
            name: clean(&header.plan.name),
            question: clean(&header.plan.question),
            run: clean(&header.run),
            started: wall_clock(&header.started),
            chaos: clean(&header.chaos),
            outcome: outcome(verdict.outcome),
            sentence: clean_composed(&verdict.sentence),
            notices: notices(story),
            numbers: numbers::numbers(story, timeline),
            chips: numbers::chips(story, &evidence),
            reasons: reasons(verdict),
            exit: exit(verdict),
            claims: claims::claims(verdict),
            faults: faults::cards(story),
            failures: evidence::failures(verdict),
            stages: tables::stages(story),
            series: tables::series(verdict),
            phases: phases::phases(story),
            integrity: integrity::integrity(story),
            capacity: capacity::capacity(story),
            usage: usage::usage(story),
            debrief: debrief::debrief(story),
            evidence,
            complaints: evidence::complaints(verdict),
            events,
            events_left_out,
            reproduce: context::reproduce(story),
        }
    }
}

/// The word of an outcome and how it looks.
pub fn outcome(outcome: RunOutcome) -> Mark {
    match outcome {
        RunOutcome::Held => Mark::new(Tone::Good, "held"),
        RunOutcome::NotHeld => Mark::new(Tone::Bad, "not held"),
        RunOutcome::Inconclusive => Mark::new(Tone::Unknown, "inconclusive"),
        RunOutcome::Aborted => Mark::new(Tone::Plain, "aborted"),
    }
}

/// The exit code of a verdict with the meaning it has everywhere.
pub fn exit(verdict: &Verdict) -> ExitView {
    let known = chaos_record::exit::by_code(verdict.exit.code);
    ExitView {
        code: verdict.exit.code,
        name: clean(&verdict.exit.name),
        meaning: known.map_or_else(
            || "a code of another version of chaos".to_owned(),
            |code| code.meaning.to_owned(),
        ),
    }
}

fn reasons(verdict: &Verdict) -> Vec<String> {
    let told = |why: &str| {
        verdict
            .claims
            .iter()
            .any(|claim| !claim.why.is_empty() && why.contains(&claim.why))
    };
    verdict
        .exit
        .because
        .iter()
        .filter(|because| !told(&because.why))
        .map(|because| clean_composed(&because.why))
        .collect()
}

fn notices(story: &Story<'_>) -> Vec<String> {
    let scale = story.plan().scale;
    let incomplete = story.verdict.incomplete_after.map(|at| {
        format!("The record is incomplete: it ends {} after the start of the run. What came later is not known.", words::duration(at))
    });
    let scaled = (story.verdict.scaled || scale.is_scaled()).then(|| {
        format!(
            "Scaled: stage lengths x {}, rates x {}. This is not the scenario as written.",
            scale.time, scale.rate
        )
    });
    incomplete.into_iter().chain(scaled).collect()
}

/// An RFC 3339 instant as `2026-11-21 09:30:12 UTC`; any other text as it stands.
fn wall_clock(instant: &str) -> String {
    let parsed: Result<Timestamp, _> = instant.parse();
    parsed.map_or_else(
        |_| clean(instant),
        |instant| instant.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
    )
}
