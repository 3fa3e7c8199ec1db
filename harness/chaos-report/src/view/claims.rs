//! The claims of the hypothesis and what became of each.
//!
//! Invariant: claims stand in the order and in the words of the scenario.

use chaos_record::verdict::{ClaimVerdict, Finding, Verdict};
use serde::Serialize;

use super::Mark;
use super::budget::times;
use crate::clean::{clean, clean_composed};
use crate::words;

/// One claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClaimRow {
    pub mark: Mark,
    pub name: String,
    pub kind: String,
    /// Line of the scenario, from 1.
    pub line: usize,
    pub target: String,
    pub measured: String,
    pub why: String,
    /// Section or chart that shows it.
    pub anchor: &'static str,
    /// How much of what is allowed was used; absent if that cannot be said.
    pub margin: Option<Margin>,
    pub findings: Vec<FindingRow>,
}

/// How much of what a claim allows was used, as a bar of 100 units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Margin {
    pub text: String,
    /// Length of the bar.
    pub used: u64,
    /// Where all that is allowed ends.
    pub allowed: u64,
}

/// One part of a claim: all requests together, a journey, or a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    pub mark: Mark,
    pub of: String,
    /// Bad, allowed and judged, such as `12 bad of 9,850, 492 allowed`.
    pub counts: String,
    pub measured: String,
    pub why: String,
}

pub(super) fn claims(verdict: &Verdict) -> Vec<ClaimRow> {
    verdict.claims.iter().map(claim).collect()
}

fn claim(claim: &ClaimVerdict) -> ClaimRow {
    ClaimRow {
        mark: Mark::of_status(claim.status),
        name: clean(&claim.name),
        kind: clean(&claim.kind),
        line: claim.line,
        target: clean_composed(&claim.target),
        measured: clean_composed(&claim.measured),
        why: clean_composed(&claim.why),
        anchor: anchor(&claim.kind),
        margin: margin(claim),
        findings: claim.findings.iter().map(finding).collect(),
    }
}

fn anchor(kind: &str) -> &'static str {
    match kind {
        "errors" => "errors",
        "availability" => "budget",
        "recovery" => "faults",
        "integrity" => "integrity",
        "resources" => "usage",
        "goodput" => "load",
        "scale_out" => "replicas",
        _ => "latency",
    }
}

/// Of the first finding, which is all that is judged together.
fn margin(claim: &ClaimVerdict) -> Option<Margin> {
    let counted = matches!(claim.kind.as_str(), "latency" | "errors" | "availability");
    let finding = claim.findings.first().filter(|_| counted)?;
    if finding.n == 0 || finding.allowed == 0 {
        return None;
    }
    let whole = finding.bad.max(finding.allowed);
    let share = finding.bad as f64 / finding.allowed as f64;
    Some(Margin {
        text: format!("{} of what is allowed", times(share)),
        used: finding.bad * 100 / whole,
        allowed: finding.allowed * 100 / whole,
    })
}

fn finding(finding: &Finding) -> FindingRow {
    FindingRow {
        mark: Mark::of_status(finding.status),
        of: clean(&finding.of),
        counts: format!(
            "{} bad of {}, {} allowed",
            words::count(finding.bad),
            words::count(finding.n),
            words::count(finding.allowed)
        ),
        measured: clean_composed(&finding.measured),
        why: clean_composed(&finding.why),
    }
}
