//! The rule of an order's life: states only forward.
//!
//! Invariant: what has once been told of an order stays told in every later reading.

use std::collections::BTreeSet;

use chaos_plan::plan::Holding;

use super::Found;
use super::accounts::{Wrong, blame};
use super::evidence::Evidence;
use super::ledger::Ledger;
use crate::audit::Order;

const ORDERS: &[Holding] = &[Holding::Orders];

/// Each history begins in a listed state and follows allowed steps; a later reading's history
/// begins with the earlier one.
pub(super) fn forward(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    let known = known_states(evidence);
    let mut earlier = told(&evidence.before, &mut found);
    for ledger in evidence.later() {
        found.gap(ledger.trouble.clone());
        let Some(ledger) = told(ledger, &mut found) else {
            continue;
        };
        found.checked = ledger.orders.len() as u64;
        blame(evidence, &mut found, ledger, ORDERS, |ledger| {
            let strays = ledger
                .orders
                .iter()
                .filter_map(|order| stray(evidence, &known, order));
            strays.collect()
        });
        if let Some(earlier) = earlier {
            rewritten(earlier, ledger, &mut found);
        }
        earlier = Some(ledger);
    }
    found
}

fn told<'e, 'a>(ledger: &'e Ledger<'a>, found: &mut Found) -> Option<&'e Ledger<'a>> {
    match ledger.has(ORDERS) {
        Ok(()) => Some(ledger),
        Err(why) => {
            found.gap(why);
            None
        }
    }
}

fn known_states<'a>(evidence: &Evidence<'a>) -> BTreeSet<&'a str> {
    let audit = evidence.audit;
    let listed = audit.states.iter().flat_map(|(state, next)| {
        std::iter::once(state.as_str()).chain(next.iter().map(String::as_str))
    });
    listed.chain([audit.sold.as_str()]).collect()
}

/// What is wrong with a history by itself.
fn stray(evidence: &Evidence<'_>, known: &BTreeSet<&str>, order: &Order) -> Option<Wrong> {
    if order.states.is_empty() {
        return Some(Wrong::with(order, "has no state".to_owned()));
    }
    let is_known = |state: &&String| known.contains(state.as_str());
    if let Some(state) = order.states.iter().find(|state| !is_known(state)) {
        return Some(Wrong::with(
            order,
            format!("was {state}, which is no state of an order,"),
        ));
    }
    let is_allowed = |from: &String, to: &String| {
        let next = evidence.audit.states.get(from);
        next.is_some_and(|next| next.contains(to))
    };
    let step = order.states.windows(2).find_map(|step| match step {
        [from, to] if !is_allowed(from, to) => Some(format!("went from {from} to {to}")),
        _ => None,
    });
    step.map(|what| Wrong::with(order, what))
}

fn rewritten(earlier: &Ledger<'_>, later: &Ledger<'_>, found: &mut Found) {
    let (then, now) = (earlier.reading.words(), later.reading.words());
    for order in &earlier.orders {
        let what = match later.of_id(&order.id) {
            None => format!("was there {then} and is gone {now}"),
            Some(same) if same.states.starts_with(&order.states) => continue,
            Some(same) => format!(
                "was {} {then} and is {} {now}",
                order.states.join(" > "),
                same.states.join(" > ")
            ),
        };
        let Wrong { subject, what, .. } = Wrong::with(order, what);
        found.broken(&subject, format!("{subject} {what}"));
    }
}
