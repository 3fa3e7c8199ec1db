//! What a run's judgement says: the one value every output is rendered from.
//!
//! Invariant: a verdict is made by [`crate::judge::judge`] alone, from the record alone. Missing
//! evidence is `Unknown`, never `Held`. Durations are nanoseconds; times count from the start of the
//! load unless a field says otherwise; what was not observed is absent, never 0.

mod generator;

use chaos_plan::plan::Rule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{NotInjected, NoteKind};
use crate::outcome::Counts;
use crate::search::SearchEnd;

pub use generator::{
    ACHIEVED_MIN_PERCENT, GeneratorHealth, Headroom, Hiccups, LATE_MAX_PERCENT, Stalls,
};

/// The whole judgement of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    pub outcome: RunOutcome,
    pub exit: Exit,
    /// One plain sentence for the banner: what was done, what shoppers felt, whether it held.
    pub sentence: String,
    /// Present if the record has no end: how far it goes, nanoseconds since the start of the run.
    pub incomplete_after: Option<u64>,
    /// Whether stages or rates were scaled, so that this is not the scenario as written.
    pub scaled: bool,
    /// Load start, nanoseconds since the start of the run.
    pub load_started: Option<u64>,
    /// How long load was offered.
    pub load_length: u64,
    pub claims: Vec<ClaimVerdict>,
    pub faults: Vec<FaultFinding>,
    pub conservation: Conservation,
    pub generator: GeneratorHealth,
    pub stages: Vec<StageSummary>,
    /// Each journey as a whole, then each of its steps.
    pub series: Vec<SeriesSummary>,
    pub cleanup: Cleanup,
    /// Present if the plan has an integrity claim.
    pub integrity: Option<IntegrityVerdict>,
    /// Each instance over the judged stages; empty if nothing was sampled.
    pub usage: Vec<UsageSummary>,
    /// In order of time.
    pub notes: Vec<NoteLine>,
    /// Present if the plan has a search.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<Capacity>,
    /// Each service with an autoscaler that was seen, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<Scaling>,
}

/// What an autoscaler made of a service. Times are of the load, nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scaling {
    pub service: String,
    /// Name of its autoscaler.
    pub autoscaler: String,
    /// Instances it wanted when it was first seen, and the most it wanted.
    pub wanted_first: Option<u32>,
    pub wanted_most: Option<u32>,
    /// Most instances that were ready at once.
    pub ready_most: Option<u32>,
    /// What was asked for and when it was ready, in words.
    pub sentence: String,
    /// Every time it wanted more, in order of time.
    pub raises: Vec<Raise>,
}

/// An autoscaler wanted more instances than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Raise {
    pub at: u64,
    pub was: u32,
    pub wanted: u32,
    /// What it went by, in words.
    pub metric: Option<String>,
    /// When so many were ready; absent if that was not seen.
    pub ready: Option<u64>,
}

/// What a search for the breakpoint found. Rates are journeys a second.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Capacity {
    /// Name of the search.
    pub search: String,
    /// The highest rate, below any that breaks, at which every deciding claim held; absent if none did.
    pub holds: Option<f64>,
    /// The lowest rate at which a deciding claim broke; absent if none did.
    pub breaks: Option<f64>,
    /// Why the search was over; absent if it was cut off.
    pub ended: Option<SearchEnd>,
    /// Both rates, why, and what kept it from finding more, in words.
    pub sentence: String,
    /// In order of time; one that was cut off before anything was certain is left out.
    pub probes: Vec<ProbeFinding>,
}

/// One rate, offered for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProbeFinding {
    /// Journeys a second.
    pub rate: f64,
    /// What is judged: without the second in which the rate settles.
    pub start: u64,
    pub end: u64,
    pub requests: u64,
    pub bad: u64,
    /// Response over all requests, failures as infinitely slow; absent where that is infinite.
    pub p50: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
    pub outcome: ProbeOutcome,
    /// The claim that broke.
    pub claim: Option<String>,
    /// Why it broke or is unclear; empty if it held.
    pub why: String,
    /// Ended as soon as it was certain that a claim broke.
    pub ended_early: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// Every deciding claim held.
    Held,
    /// A deciding claim did not hold.
    Broke,
    /// Nothing can be said: the generator was too slow, or the probe was cut off.
    Unclear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    Held,
    NotHeld,
    Inconclusive,
    Aborted,
}

impl RunOutcome {
    pub fn word(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "not-held",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
        }
    }
}

/// The exit code, and everything that called for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    pub code: u8,
    /// Stable name of the code, such as `not-held`.
    pub name: String,
    /// All reasons, the one that decided first.
    pub because: Vec<Because>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Because {
    pub code: u8,
    pub why: String,
}

/// What became of a claim, or of one part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    Held,
    NotHeld,
    Unknown,
    /// A journey with too few requests to be judged by itself; it does not influence the claim.
    NotJudged,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimVerdict {
    /// In the author's words.
    pub name: String,
    /// `latency`, `errors`, ...
    pub kind: String,
    /// Line of the scenario, from 1.
    pub line: usize,
    pub status: Status,
    /// What was claimed, such as `p95 <= 200ms (baseline, spike, calm)`.
    pub target: String,
    /// What was measured over all requests together, such as `p95 41.2 ms`.
    pub measured: String,
    /// Why it is not held or unknown; empty if held.
    pub why: String,
    /// All requests together, then each journey by itself, then for recovery each fault.
    pub findings: Vec<Finding>,
}

/// One part of a claim.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `all requests`, `journey checkout`, `fault kill-api`, with the limit it is about if there are several.
    pub of: String,
    pub status: Status,
    /// Requests, windows or faults it is judged on.
    pub n: u64,
    pub bad: u64,
    /// Most bad that would have held.
    pub allowed: u64,
    pub measured: String,
    /// Why not held, unknown, or not judged alone.
    pub why: String,
}

/// What a fault did, from its card in the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultFinding {
    pub name: String,
    /// `kill`, `pause`.
    pub kind: String,
    pub targets: Vec<String>,
    pub requested: Option<u64>,
    pub effective: Option<u64>,
    pub undone: Option<u64>,
    /// What was read from the world: effect, then undo.
    pub effect_proof: Vec<String>,
    pub undo_proof: Vec<String>,
    pub not_injected: Option<(NotInjected, String)>,
    /// Set if it was applied and nothing shows an effect, or its undo failed.
    pub trouble: Option<String>,
    /// Reference before the fault.
    pub reference: Option<Reference>,
    /// First out-of-band cell, from `effective`.
    pub symptom_after: Option<u64>,
    /// First signal of store or platform (readiness, restart), from `effective`, and which.
    pub detected_after: Option<(u64, String)>,
    pub recovery: Recovery,
    /// All instances of the target's service ready again, from `effective`.
    pub capacity_after: Option<u64>,
    /// Bad requests beyond the reference from `effective` until recovery (or the end of what was seen).
    pub excess_bad: u64,
    /// Requests caught in flight at `effective`: ended as expected, bad.
    pub caught: [u64; 2],
    /// Highest share of requests over the tightest limit in one second after `effective`, and that second's p95 if finite.
    pub worst_p95: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reference {
    pub from: u64,
    pub until: u64,
    pub requests: u64,
    pub bad: u64,
    /// Response p95 of the reference; absent if failures push it beyond any answer.
    pub p95: Option<u64>,
    /// Good requests a second.
    pub goodput: f64,
}

/// How the shop came back, as shoppers felt it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Recovery {
    /// The effect is proven and nothing left the band: shoppers felt nothing.
    Absorbed,
    /// Back in band, counted from `effective` for one-shot faults and from `undone` for the others.
    Recovered { after: u64, relapses: u64 },
    /// Not back in band when the run ended, which was this long after.
    NotRecovered { longer_than: u64 },
    /// Nothing can be said, and why.
    Unknown { why: String },
}

/// What was planned against what is accounted for; exact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conservation {
    /// Whether both sides agree for every journey and step.
    pub exact: bool,
    /// Cells that count: all, or the closed ones of an incomplete record.
    pub cells: u64,
    /// Journeys by the closed-form schedule.
    pub planned_journeys: u64,
    /// Requests: planned journeys times their steps.
    pub planned_requests: u64,
    pub journeys: Counts,
    pub requests: Counts,
    /// What does not agree, in words.
    pub differences: Vec<String>,
}

/// One stage, all requests together, by intended instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageSummary {
    pub name: String,
    pub start: u64,
    pub end: u64,
    /// Journeys the schedule holds.
    pub offered: u64,
    /// Journeys dispatched in time.
    pub achieved: u64,
    pub counts: Counts,
    /// Response over all requests, failures as infinitely slow; absent where that is infinite or nothing was asked.
    pub p50: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
    /// Share of requests dispatched late.
    pub late: f64,
}

/// One journey or step over the judged stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SeriesSummary {
    pub journey: String,
    pub step: Option<String>,
    pub counts: Counts,
    pub p50: Option<u64>,
    pub p95: Option<u64>,
    pub p99: Option<u64>,
    /// Slowest answer as expected.
    pub max: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cleanup {
    pub verified: bool,
    pub left: Vec<String>,
}

/// Whether everything the target acknowledged is there, once, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IntegrityVerdict {
    pub status: Status,
    /// Operations that were acknowledged.
    pub ok: u64,
    /// Operations that were refused.
    pub failed: u64,
    /// Operations of which the shopper does not know what became of them.
    pub unknown: u64,
    /// Of the unknown ones: found stored at the end.
    pub unknown_stored: u64,
    /// Of the unknown ones: not found at the end.
    pub unknown_absent: u64,
    /// The rules the claim names, in the order of [`Rule::ALL`].
    pub rules: Vec<RuleVerdict>,
    /// Why it is not held or unknown; empty if held.
    pub why: String,
}

/// One rule of an integrity claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RuleVerdict {
    pub rule: Rule,
    pub status: Status,
    /// Operations, orders or stock lines it was checked on.
    pub checked: u64,
    /// How many of them break it.
    pub violations: u64,
    /// The first five, in words with ids.
    pub examples: Vec<String>,
}

/// What one instance used over the judged stages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UsageSummary {
    pub service: String,
    pub instance: String,
    /// Mean CPU use over its limit, or over the machine's cores without one; 1 is all of it.
    pub cpu_share: Option<f64>,
    /// Highest CPU use between two samples, over the same.
    pub cpu_peak: Option<f64>,
    /// Most resident bytes.
    pub memory_max: u64,
    /// Those over its limit, or over the machine's memory without one.
    pub memory_share: Option<f64>,
    pub descriptors_max: u32,
    pub connections_max: u32,
}

/// What someone who watched had to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NoteLine {
    /// Nanoseconds since the start of the run.
    pub at: u64,
    pub kind: NoteKind,
    pub text: String,
    pub by: String,
}
