//! What integrity is judged by: the operation log and three readings.
//!
//! Invariant: operations of one key are judged together, by the most that is known of them; whether
//! an order was there before the load is asked here and nowhere else.

use std::collections::BTreeMap;

use chaos_plan::plan::{Audit, Holding, Target};

use super::ledger::Ledger;
use crate::audit::{Order, Reading};
use crate::event::Event;
use crate::facts::Facts;
use crate::operation::{Operation, OperationOutcome};
use crate::record::Record;
use crate::words;

/// Everything the rules look at.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) audit: &'a Audit,
    pub(super) operations: &'a [Operation],
    pub(super) before: Ledger<'a>,
    pub(super) after: Ledger<'a>,
    pub(super) restarted: Ledger<'a>,
    /// Why the operation log is not whole, if it is not.
    pub(super) log_gap: Option<String>,
    /// What stands in the way of every rule.
    pub(super) gaps: Vec<String>,
    /// By key, the best of its outcomes: what one request of a key was refused, another may have done.
    keys: BTreeMap<&'a str, OperationOutcome>,
}

impl<'a> Evidence<'a> {
    /// Puts it together, or says why nothing can be judged.
    pub(super) fn of(facts: &Facts<'a>) -> Result<Self, String> {
        let Target::Deploy(description) = &facts.plan.target else {
            return Err("a target given by its address cannot be audited".to_owned());
        };
        let audit = description
            .audit
            .as_ref()
            .ok_or("the target's description does not say how to audit it")?;
        let record = facts.record;
        let ledger = |reading| {
            let mut ledger = Ledger::of(reading, audit, facts);
            let unheld = Holding::ALL.into_iter().filter(|one| !audit.holds(*one));
            unheld.for_each(|holding| ledger.lacks(holding));
            ledger
        };
        let mut keys = BTreeMap::new();
        for operation in &record.operations {
            let best = keys
                .entry(operation.key.as_str())
                .or_insert(operation.outcome);
            *best = (*best).min_by_rank(operation.outcome);
        }
        Ok(Self {
            audit,
            operations: &record.operations,
            before: ledger(Reading::Before),
            after: ledger(Reading::After),
            restarted: ledger(Reading::Restarted),
            log_gap: log_gap(record),
            gaps: gaps(facts),
            keys,
        })
    }

    /// The readings that the load and the faults can have spoilt.
    pub(super) fn later(&self) -> [&Ledger<'a>; 2] {
        [&self.after, &self.restarted]
    }

    /// The latest reading that tells of all orders.
    pub(super) fn last_orders(&self) -> Option<&Ledger<'a>> {
        let mut latest_first = self.later().into_iter().rev();
        latest_first.find(|ledger| ledger.has(&[Holding::Orders]).is_ok())
    }

    /// What is known of the operations of a key.
    pub(super) fn outcome(&self, key: &str) -> Option<OperationOutcome> {
        self.keys.get(key).copied()
    }

    /// Operations, one for each key, with the best outcome of the key.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&'a str, OperationOutcome)> {
        self.keys.iter().map(|(key, outcome)| (*key, *outcome))
    }

    pub(super) fn is_sold(&self, order: &Order) -> bool {
        order.states.last() == Some(&self.audit.sold)
    }

    /// Whether the order was sold, whatever became of it afterwards.
    pub(super) fn was_sold(&self, order: &Order) -> bool {
        order.states.contains(&self.audit.sold)
    }

    /// Whether the order was sold and taken back.
    pub(super) fn is_returned(&self, order: &Order) -> bool {
        let is_back = |state| self.audit.returned.contains(state);
        self.was_sold(order) && order.states.last().is_some_and(is_back)
    }

    /// Whether the order will change no more.
    pub(super) fn is_final(&self, order: &Order) -> bool {
        order
            .states
            .last()
            .is_some_and(|state| self.audit.is_final(state))
    }
}

impl OperationOutcome {
    /// The one that says more for the store having done it.
    fn min_by_rank(self, other: Self) -> Self {
        let rank = |outcome| match outcome {
            Self::Ok => 0,
            Self::Unknown => 1,
            Self::Fail => 2,
        };
        if rank(other) < rank(self) {
            other
        } else {
            self
        }
    }
}

fn log_gap(record: &Record) -> Option<String> {
    let mut logged = None;
    for event in &record.events {
        match &event.what {
            Event::OperationLogFailed { why } => {
                return Some(format!("the operation log is not whole: {why}"));
            }
            Event::OperationsLogged { count } => logged = Some(*count),
            _ => {}
        }
    }
    let found = record.operations.len() as u64;
    match logged {
        None => Some("the operation log was not read back".to_owned()),
        Some(count) if count != found => Some(format!(
            "the operation log has {}, the record {}",
            words::counted(count, "operation"),
            words::count(found)
        )),
        Some(_) => None,
    }
}

fn gaps(facts: &Facts<'_>) -> Vec<String> {
    let mut gaps = Vec::new();
    if !facts.complete {
        gaps.push("the record is incomplete".to_owned());
    }
    let is_ok = |operation: &Operation| operation.outcome == OperationOutcome::Ok;
    if !facts.record.operations.iter().any(is_ok) {
        gaps.push("no operation was acknowledged".to_owned());
    }
    gaps
}
