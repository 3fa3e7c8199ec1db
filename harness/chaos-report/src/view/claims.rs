//! The claims of the hypothesis and what became of each.
//!
//! Invariant: claims stand in the order and in the words of the scenario.

use chaos_record::verdict::{ClaimVerdict, Finding, Verdict};
use serde::Serialize;

use super::Mark;
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
    pub findings: Vec<FindingRow>,
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
        findings: claim.findings.iter().map(finding).collect(),
    }
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
