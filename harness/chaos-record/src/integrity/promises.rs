//! Rules that hold what was answered against what is stored: acknowledged, known, refused.
//!
//! Invariant: an answer that was lost is held against nobody.

use chaos_plan::plan::Holding;

use super::Found;
use super::evidence::Evidence;
use super::ledger::Ledger;
use crate::audit::Order;
use crate::operation::{Operation, OperationOutcome};
use crate::words;

const ORDERS: &[Holding] = &[Holding::Orders];

/// Looks at each later reading that tells of all orders; unrest is a gap, and the look goes on.
fn in_later<'e, 'a>(
    evidence: &'e Evidence<'a>,
    found: &mut Found,
) -> impl Iterator<Item = &'e Ledger<'a>> + use<'e, 'a> {
    let mut told = Vec::new();
    for ledger in evidence.later() {
        found.gap(ledger.trouble.clone());
        match ledger.has(ORDERS) {
            Ok(()) => told.push(ledger),
            Err(why) => found.gap(why),
        }
    }
    told.into_iter()
}

/// An acknowledged operation's order is in the last two readings, sold, or taken back after it was, with the
/// acknowledged id and amount.
pub(super) fn acknowledged(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    found.gap(evidence.log_gap.clone());
    let is_ok = |operation: &&Operation| operation.outcome == OperationOutcome::Ok;
    found.checked = evidence.operations.iter().filter(is_ok).count() as u64;
    for ledger in in_later(evidence, &mut found) {
        for operation in evidence.operations.iter().filter(is_ok) {
            if let Some(what) = broken_promise(evidence, ledger, operation) {
                let (when, at) = (ledger.reading.words(), words::duration(operation.at));
                let order = operation.order.as_deref().unwrap_or("an order");
                let text = format!(
                    "{order} (key {}), acknowledged to a request sent at {at}, {what} {when}",
                    operation.key
                );
                found.broken(&operation.key, text);
            }
        }
    }
    found
}

/// What became of an acknowledged order instead of being sold as promised.
fn broken_promise(
    evidence: &Evidence<'_>,
    ledger: &Ledger<'_>,
    operation: &Operation,
) -> Option<String> {
    let stored = ledger.of_key(&operation.key);
    let Some(first) = stored.first() else {
        return Some("is not there".to_owned());
    };
    let is_it = |id: &String| stored.iter().find(|order| order.id == *id);
    let order = match &operation.order {
        None => first,
        Some(id) => match is_it(id) {
            None => return Some(format!("is stored as {}", first.id)),
            Some(order) => order,
        },
    };
    match operation.amount {
        Some(amount) if amount != order.amount => {
            return Some(format!("costs {} instead of {amount}", order.amount));
        }
        _ => {}
    }
    // While the target is not at rest, an order on its way may still be sold.
    let is_decided = ledger.quiet || evidence.is_final(order);
    let state = now(order);
    let is_kept = evidence.is_sold(order) || evidence.is_returned(order);
    (is_decided && !is_kept).then(|| format!("is {state}"))
}

fn now(order: &Order) -> &str {
    let last = order.states.last();
    last.map_or("without a state", String::as_str)
}

/// Every order that was not there before the load has a key some shopper made. (One that was
/// refused and is there all the same is [`refused`]'s to judge: a cancelled order is no harm.)
pub(super) fn known(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    let explained = [
        evidence.log_gap.clone(),
        evidence.before.is_settled(ORDERS).err(),
    ];
    for why in explained.into_iter().flatten() {
        // A key that is missing in the log, or an order that was there before, is no invention.
        found.gap(why);
    }
    if !found.gaps.is_empty() {
        return found;
    }
    for ledger in in_later(evidence, &mut found) {
        let is_new = |id: &str| evidence.before.of_id(id).is_none();
        let new = ledger.orders.iter().filter(|order| is_new(&order.id));
        found.checked = new.clone().count() as u64;
        for order in new.filter(|order| evidence.outcome(&order.key).is_none()) {
            let when = ledger.reading.words();
            let text = format!(
                "{} (key {}) is there {when}, asked for by nobody",
                order.id, order.key
            );
            found.broken(&order.id, text);
        }
    }
    found
}

/// What was refused is not sold, and never was.
pub(super) fn refused(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    found.gap(evidence.log_gap.clone());
    let refused = || {
        evidence
            .keys()
            .filter(|(_, outcome)| *outcome == OperationOutcome::Fail)
    };
    found.checked = refused().count() as u64;
    for ledger in in_later(evidence, &mut found) {
        for (key, _) in refused() {
            let sold = ledger
                .of_key(key)
                .iter()
                .find(|order| evidence.was_sold(order));
            if let Some(order) = sold {
                let (when, is) = (ledger.reading.words(), now(order));
                let text = format!(
                    "{} (key {key}) was refused and yet sold: it is {is} {when}",
                    order.id
                );
                found.broken(key, text);
            }
        }
    }
    found
}
