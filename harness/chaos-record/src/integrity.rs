//! Whether everything the target acknowledged is there, once, and nothing else.
//!
//! Operations are known by the key the shopper made. What became of one is ok, refused or unknown;
//! an unknown one may be stored or not. After Kingsbury's and Alvaro's *Elle* (VLDB 2020): what the
//! client cannot know is never held against the store.
//!
//! Invariant: a violation is only said where no missing evidence could explain it, and without a
//! violation a rule holds only if all the evidence it needs is there.

mod accounts;
mod evidence;
pub(crate) mod histories;
mod ledger;
mod mutants;
mod notices;
mod orders;
mod promises;

use std::collections::BTreeSet;

use chaos_plan::plan::{Expect, Rule};

use crate::facts::Facts;
use crate::operation::{Operation, OperationOutcome};
use crate::record::Record;
use crate::verdict::{IntegrityVerdict, RuleVerdict, Status};
use crate::words;
use evidence::Evidence;

/// Examples of violations that are told.
const EXAMPLES: usize = 5;

/// Checks the rules of the plan's integrity claims; `None` if it has no such claim.
pub fn check(record: &Record) -> Option<IntegrityVerdict> {
    examine(&Facts::of(record)).map(|examined| examined.verdict)
}

/// The verdict, with what stands in the way of each rule.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) verdict: IntegrityVerdict,
    /// For each rule of the verdict, why it is not held or unknown.
    pub(crate) whys: Vec<String>,
}

pub(crate) fn examine(facts: &Facts<'_>) -> Option<Examined> {
    let rules = claimed(facts)?;
    let examined = match Evidence::of(facts) {
        Ok(evidence) => {
            let found = rules.iter().map(|rule| (*rule, of_rule(*rule, &evidence)));
            let judged = found.map(|(rule, found)| found.judged(rule, &evidence.gaps));
            let (rules, whys) = judged.unzip();
            with_counts(&evidence, rules, whys)
        }
        Err(why) => blind(facts, &rules, &why),
    };
    Some(examined)
}

/// Rules that some claim names, in their order.
fn claimed(facts: &Facts<'_>) -> Option<Vec<Rule>> {
    let mut any = false;
    let mut named = BTreeSet::new();
    for claim in &facts.plan.claims {
        if let Expect::Integrity { rules } = &claim.expect {
            any = true;
            named.extend(rules.iter().copied());
        }
    }
    let rules = Rule::ALL.into_iter().filter(|rule| named.contains(rule));
    any.then(|| rules.collect())
}

fn of_rule(rule: Rule, evidence: &Evidence<'_>) -> Found {
    match rule {
        Rule::AcknowledgedIsStored => promises::acknowledged(evidence),
        Rule::StoredIsKnown => promises::known(evidence),
        Rule::RefusedIsNotStored => promises::refused(evidence),
        Rule::OneOrderOneCharge => accounts::one_charge(evidence),
        Rule::StockConserved => accounts::stock(evidence),
        Rule::MoneyConserved => accounts::money(evidence),
        Rule::StatesForward => orders::forward(evidence),
        Rule::EventsDelivered => notices::delivered(evidence),
        Rule::NotifiedOnce => notices::once(evidence),
    }
}

/// What the check of one rule found.
#[derive(Debug, Default)]
struct Found {
    checked: u64,
    /// What breaks the rule, one for each subject, in the order found.
    broken: Vec<String>,
    subjects: BTreeSet<String>,
    /// Evidence that is missing.
    gaps: Vec<String>,
}

impl Found {
    /// Notes a violation; a second one of the same subject adds nothing.
    fn broken(&mut self, subject: &str, text: String) {
        if self.subjects.insert(subject.to_owned()) {
            self.broken.push(text);
        }
    }

    /// Notes what evidence is missing, if it is.
    fn gap(&mut self, why: impl Into<Option<String>>) {
        self.gaps
            .extend(why.into().filter(|why| !self.gaps.contains(why)));
    }

    fn judged(mut self, rule: Rule, everywhere: &[String]) -> (RuleVerdict, String) {
        for why in everywhere {
            self.gap(why.clone());
        }
        let violations = self.broken.len() as u64;
        let (status, why) = match (self.broken.first(), self.gaps.is_empty()) {
            (Some(first), _) => (Status::NotHeld, told(violations, self.checked, first)),
            (None, false) => (Status::Unknown, self.gaps.join("; ")),
            (None, true) => (Status::Held, String::new()),
        };
        self.broken.truncate(EXAMPLES);
        let verdict = RuleVerdict {
            rule,
            status,
            checked: self.checked,
            violations,
            examples: self.broken,
        };
        (verdict, why)
    }
}

fn told(violations: u64, checked: u64, first: &str) -> String {
    let (many, checked) = (words::count(violations), words::count(checked));
    match violations {
        1 => format!("broken once, {checked} checked: {first}"),
        _ => format!("broken {many} times, {checked} checked: first {first}"),
    }
}

fn with_counts(evidence: &Evidence<'_>, rules: Vec<RuleVerdict>, whys: Vec<String>) -> Examined {
    let mut verdict = bare(evidence.operations, rules, &whys);
    if let Some(last) = evidence.last_orders() {
        let unknown = evidence
            .operations
            .iter()
            .filter(|operation| operation.outcome == OperationOutcome::Unknown);
        let stored = unknown.filter(|operation| !last.of_key(&operation.key).is_empty());
        verdict.unknown_stored = stored.count() as u64;
        verdict.unknown_absent = verdict.unknown - verdict.unknown_stored;
    }
    Examined { verdict, whys }
}

/// Nothing can be judged at all.
fn blind(facts: &Facts<'_>, rules: &[Rule], why: &str) -> Examined {
    let unknown = |rule: &Rule| {
        let found = Found::default();
        found.judged(*rule, &[why.to_owned()])
    };
    let (rules, whys): (Vec<_>, Vec<_>) = rules.iter().map(unknown).unzip();
    Examined {
        verdict: bare(&facts.record.operations, rules, &whys),
        whys,
    }
}

fn bare(operations: &[Operation], rules: Vec<RuleVerdict>, whys: &[String]) -> IntegrityVerdict {
    let count = |outcome| {
        let same = operations
            .iter()
            .filter(|operation| operation.outcome == outcome);
        same.count() as u64
    };
    let status = whole(&rules);
    IntegrityVerdict {
        status,
        ok: count(OperationOutcome::Ok),
        failed: count(OperationOutcome::Fail),
        unknown: count(OperationOutcome::Unknown),
        unknown_stored: 0,
        unknown_absent: 0,
        why: why(&rules, whys, status),
        rules,
    }
}

fn whole(rules: &[RuleVerdict]) -> Status {
    let any = |status| rules.iter().any(|rule| rule.status == status);
    if any(Status::NotHeld) {
        Status::NotHeld
    } else if rules.is_empty() || any(Status::Unknown) {
        Status::Unknown
    } else {
        Status::Held
    }
}

/// What decided, each reason once; a violation with the name of its rule.
fn why(rules: &[RuleVerdict], whys: &[String], status: Status) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for (rule, why) in rules
        .iter()
        .zip(whys)
        .filter(|(rule, _)| rule.status == status)
    {
        let reason = match status {
            Status::NotHeld => format!("{}: {why}", rule.rule.name()),
            _ => why.clone(),
        };
        if !reason.is_empty() && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.join("; ")
}
