//! The search for the highest rate at which the claims still hold.
//!
//! Invariant: what a probe showed is what the judge reads from the record, while the run goes on and
//! afterwards; no rate is called one that holds unless it was offered and every deciding claim held.

mod ladder;

use std::ops::Range;

use chaos_plan::plan::Role;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::CELL_NS;
use crate::facts::Facts;
use crate::judge::probe;
use crate::record::Record;
use crate::steady;
use crate::verdict::{ProbeFinding, ProbeOutcome};

pub use ladder::{Next, Tried, bracket, next};

/// Cells in a row in which answers must be in band before the next probe.
const CALM_CELLS: u64 = 10;

/// Why a search was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchEnd {
    /// The highest rate that holds and the lowest that breaks are as near as was asked.
    Found,
    /// The highest rate that may be tried holds.
    Top,
    /// The lowest rate that may be tried breaks.
    Bottom,
    /// Twice in a row the generator, not the target, decided how a probe went.
    Generator,
    /// The target did not answer as before within the longest rest.
    NotRecovered,
    /// The probes there may be were used up before the bracket was as narrow as was asked.
    Spent,
}

/// Every probe of which it is certain what it shows, in their order.
pub fn probes(record: &Record, now_load_ns: u64) -> Vec<ProbeFinding> {
    let facts = Facts::of(record);
    let settled = steady::settled(&facts, now_load_ns);
    certain(&facts, settled).collect()
}

/// The same, where cells below `settled` are accounted for.
pub(crate) fn certain(facts: &Facts<'_>, settled: u64) -> impl Iterator<Item = ProbeFinding> {
    let segments = facts.record.segments.iter();
    let probes = segments.filter(|(_, segment)| segment.role == Role::Probe);
    probes.filter_map(move |(stage, segment)| probe::look(facts, *stage, segment, settled))
}

/// The last probe, once what it shows is certain: before its end only if it broke for sure.
pub fn last_probe(record: &Record, now_load_ns: u64) -> Option<ProbeFinding> {
    let facts = Facts::of(record);
    let (stage, segment) = record
        .segments
        .iter()
        .rev()
        .find(|(_, segment)| segment.role == Role::Probe)?;
    let settled = steady::settled(&facts, now_load_ns);
    probe::look(&facts, *stage, segment, settled)
}

/// What each probe of the record showed, in their order.
pub fn tried(probes: &[ProbeFinding]) -> Vec<Tried> {
    let tried = |probe: &ProbeFinding| Tried {
        rate: probe.rate,
        outcome: probe.outcome,
    };
    probes.iter().map(tried).collect()
}

/// Whether the deciding claims were met in the last second of the rest that is known.
pub fn is_calm(record: &Record, now_load_ns: u64) -> bool {
    let facts = Facts::of(record);
    let Some((_, rest)) = record.segments.last() else {
        return false;
    };
    let until = steady::settled(&facts, now_load_ns).min(now_load_ns / CELL_NS);
    let from = rest.from.div_ceil(CELL_NS);
    let cells = until.saturating_sub(CALM_CELLS)..until;
    rest.role == Role::Rest && cells.start >= from && is_met(&facts, &cells)
}

fn is_met(facts: &Facts<'_>, cells: &Range<u64>) -> bool {
    facts.requests(cells).counts.judged() > 0
        && steady::unmet(facts, facts.plan.deciding(), cells).is_none()
}

impl ProbeOutcome {
    /// The word reports use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Broke => "broke",
            Self::Unclear => "unclear",
        }
    }
}
