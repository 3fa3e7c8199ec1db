//! Integrity: whether everything acknowledged is there, once, and nothing else.
//!
//! Invariant: an operation whose end is unknown is told as unknown, never as lost or kept.

use chaos_record::verdict::{IntegrityVerdict, RuleVerdict};
use serde::Serialize;

use super::faults::Fact;
use super::{Mark, Story};
use crate::clean::{clean, clean_composed};
use crate::words;

/// Most examples a report shows of one rule.
const EXAMPLES_MAX: usize = 5;

/// The section on integrity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IntegrityView {
    pub mark: Mark,
    /// Empty if held.
    pub why: String,
    /// Operations by how they ended.
    pub operations: Vec<Fact>,
    pub rules: Vec<RuleRow>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    pub mark: Mark,
    /// In plain words.
    pub rule: String,
    /// The word the scenario uses.
    pub name: &'static str,
    pub checked: String,
    pub violations: String,
    /// The first of them, in words with ids.
    pub examples: Vec<String>,
}

pub(super) fn integrity(story: &Story<'_>) -> Option<IntegrityView> {
    let verdict = story.verdict.integrity.as_ref()?;
    Some(IntegrityView {
        mark: Mark::of_status(verdict.status),
        why: clean_composed(&verdict.why),
        operations: operations(verdict),
        rules: verdict.rules.iter().map(rule).collect(),
    })
}

fn operations(verdict: &IntegrityVerdict) -> Vec<Fact> {
    let fact = |label: &str, value: String| Fact {
        label: label.to_owned(),
        value,
    };
    let reconciled = if verdict.unknown == 0 {
        "0".to_owned()
    } else {
        format!(
            "{}: {} found stored, {} not",
            words::count(verdict.unknown),
            words::count(verdict.unknown_stored),
            words::count(verdict.unknown_absent)
        )
    };
    vec![
        fact("Acknowledged", words::count(verdict.ok)),
        fact("Refused", words::count(verdict.failed)),
        fact("Answer lost, reconciled later", reconciled),
    ]
}

fn rule(rule: &RuleVerdict) -> RuleRow {
    RuleRow {
        mark: Mark::of_status(rule.status),
        rule: sentence(rule.rule.words()),
        name: rule.rule.name(),
        checked: words::count(rule.checked),
        violations: words::count(rule.violations),
        examples: rule
            .examples
            .iter()
            .take(EXAMPLES_MAX)
            .map(|example| clean(example))
            .collect(),
    }
}

/// With a capital letter at its start.
fn sentence(words: &str) -> String {
    let mut rest = words.chars();
    rest.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(rest).collect()
    })
}
