//! Rules of what is told of an order: its event arrives; its shopper is told once, in time.
//!
//! Invariant: only the last reading is judged, of a target at rest: what has not arrived by then never will.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos_plan::plan::Holding;

use super::Found;
use super::accounts::{Wrong, blame, times};
use super::evidence::Evidence;
use super::ledger::Ledger;
use crate::audit::Order;
use crate::facts::ns;
use crate::words;

const EVENTS: &[Holding] = &[Holding::Orders, Holding::Deliveries];

/// The event of each sold order has arrived by the last reading.
pub(super) fn delivered(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    let Some(last) = last(evidence, &mut found) else {
        return found;
    };
    let is_sold = |order: &&&Order| evidence.is_sold(order);
    found.checked = last.orders.iter().filter(is_sold).count() as u64;
    blame(evidence, &mut found, last, EVENTS, |ledger| {
        let sold = ledger.orders.iter().filter(is_sold);
        let missing = sold.filter(|order| !ledger.deliveries.contains_key(order.id.as_str()));
        missing
            .map(|order| Wrong::with(order, "is sold and its event has not arrived".to_owned()))
            .collect()
    });
    found
}

/// Of each order that was sold somebody was told exactly once, and in time where a time is told; of no other order
/// anybody was.
pub(super) fn once(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    let Some(limit) = evidence.audit.notified_within else {
        found.gap("the description does not say within what time".to_owned());
        return found;
    };
    let Some(last) = last(evidence, &mut found) else {
        return found;
    };
    found.checked = last.orders.len() as u64;
    blame(evidence, &mut found, last, EVENTS, |ledger| {
        let known = ledger.orders.iter();
        let mut wrongs: Vec<Wrong> = known
            .filter_map(|order| mistold(evidence, ledger, order, limit))
            .collect();
        wrongs.extend(of_nothing(ledger));
        wrongs
    });
    found
}

/// The last reading, if it can be judged.
fn last<'e, 'a>(evidence: &'e Evidence<'a>, found: &mut Found) -> Option<&'e Ledger<'a>> {
    let last = &evidence.restarted;
    if let Err(why) = last.is_settled(EVENTS) {
        found.gap(why);
        return None;
    }
    found.gap(last.trouble.clone());
    found.gap(evidence.after.trouble.clone());
    Some(last)
}

fn mistold(
    evidence: &Evidence<'_>,
    ledger: &Ledger<'_>,
    order: &Order,
    limit: Duration,
) -> Option<Wrong> {
    let arrivals = ledger.deliveries.get(order.id.as_str());
    let arrivals = arrivals.map_or(&[][..], Vec::as_slice);
    let told = i128::try_from(arrivals.len()).unwrap_or(i128::MAX);
    let what = match (evidence.was_sold(order), arrivals) {
        (false, []) => return None,
        (false, _) => format!(
            "was never sold, and its shopper was told so {}",
            times(told)
        ),
        (true, [after_ms]) => {
            let after = Duration::from_millis((*after_ms)?);
            if after <= limit {
                return None;
            }
            let (after, limit) = (words::duration(ns(after)), words::duration(ns(limit)));
            format!("was sold and its shopper told {after} later, at most {limit} may pass,")
        }
        (true, _) => format!("was sold and its shopper told {}", times(told)),
    };
    Some(Wrong::with(order, what))
}

/// Tellings of orders that are not there.
fn of_nothing(ledger: &Ledger<'_>) -> Vec<Wrong> {
    let told: BTreeSet<&str> = ledger.deliveries.keys().copied().collect();
    let missing = told
        .into_iter()
        .filter(|order| ledger.of_id(order).is_none());
    missing
        .map(|order| Wrong {
            subject: order.to_owned(),
            what: "is not there and somebody was told that it is sold".to_owned(),
            key: None,
        })
        .collect()
}
