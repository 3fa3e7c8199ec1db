//! Rules of the books: one charge for an order, pieces of stock, money.
//!
//! Invariant: what several services tell is only compared while the target is at rest, and what was
//! wrong before the load is not blamed on the run.

use std::collections::{BTreeMap, BTreeSet};

use chaos_plan::plan::Holding;

use super::Found;
use super::evidence::Evidence;
use super::ledger::Ledger;
use crate::audit::Order;

const BOOKS: &[Holding] = &[Holding::Orders, Holding::Charges];
/// Orders of one key that are named.
const NAMED: usize = 3;
const PIECES: &[Holding] = &[Holding::Orders, Holding::Stock];

/// Something that is wrong in one reading: the subject, what is wrong with it, the key of its order if it has one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wrong {
    pub(super) subject: String,
    pub(super) what: String,
    pub(super) key: Option<String>,
}

impl Wrong {
    pub(super) fn with(order: &Order, what: String) -> Self {
        Self {
            subject: format!("{} (key {})", order.id, order.key),
            what,
            key: Some(order.key.clone()),
        }
    }
}

/// Notes what is wrong in a later reading unless it was wrong in the same way before the load.
/// Without a reading from before, only orders that this run's shoppers asked for are surely its own.
pub(super) fn blame(
    evidence: &Evidence<'_>,
    found: &mut Found,
    ledger: &Ledger<'_>,
    holdings: &[Holding],
    wrongs: impl Fn(&Ledger<'_>) -> Vec<Wrong>,
) {
    let before = evidence.before.has(holdings).map(|()| {
        let old = wrongs(&evidence.before);
        old.into_iter().collect::<BTreeSet<Wrong>>()
    });
    for wrong in wrongs(ledger) {
        let is_ours = wrong
            .key
            .as_deref()
            .is_some_and(|key| evidence.outcome(key).is_some());
        match &before {
            Ok(old) if old.contains(&wrong) => {}
            Err(why) if !is_ours => found.gap(why.clone()),
            _ => {
                let when = ledger.reading.words();
                let text = format!("{} {} {when}", wrong.subject, wrong.what);
                found.broken(&wrong.subject, text);
            }
        }
    }
}

/// At most one order for a key; for each order exactly one net charge if it is sold, none if it
/// will never be, at most one as long as that is open.
pub(super) fn one_charge(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    for ledger in evidence.later() {
        found.gap(ledger.trouble.clone());
        match ledger.has(&[Holding::Orders]) {
            Ok(()) => {
                found.checked = ledger.orders.len() as u64;
                blame(evidence, &mut found, ledger, &[Holding::Orders], doubled);
            }
            Err(why) => found.gap(why),
        }
        match ledger.is_settled(BOOKS) {
            Ok(()) => blame(evidence, &mut found, ledger, BOOKS, |ledger| {
                miscounted(evidence, ledger)
            }),
            Err(why) => found.gap(why),
        }
    }
    found
}

fn doubled(ledger: &Ledger<'_>) -> Vec<Wrong> {
    let several = ledger.by_key().filter(|(_, orders)| orders.len() > 1);
    several
        .map(|(key, orders)| {
            let ids = orders.iter().map(|order| order.id.as_str());
            let ids: Vec<&str> = ids.take(NAMED).collect();
            Wrong {
                subject: format!("key {key}"),
                what: format!("has {} orders ({})", orders.len(), ids.join(", ")),
                key: Some(key.to_owned()),
            }
        })
        .collect()
}

/// Charges and money of one order.
#[derive(Debug, Default, Clone, Copy)]
struct Account {
    charges: i128,
    refunds: i128,
    money: i128,
}

fn accounts<'a>(ledger: &Ledger<'a>) -> BTreeMap<&'a str, Account> {
    let mut accounts: BTreeMap<&str, Account> = BTreeMap::new();
    for charge in &ledger.charges {
        let account = accounts.entry(&charge.order).or_default();
        account.charges += 1;
        account.money += i128::from(charge.amount);
    }
    for refund in &ledger.refunds {
        let account = accounts.entry(&refund.order).or_default();
        account.refunds += 1;
        account.money -= i128::from(refund.amount);
    }
    accounts
}

fn miscounted(evidence: &Evidence<'_>, ledger: &Ledger<'_>) -> Vec<Wrong> {
    let accounts = accounts(ledger);
    let wrong = |order: &&Order| {
        let account = accounts.get(order.id.as_str()).copied().unwrap_or_default();
        let net = account.charges - account.refunds;
        let allowed = match (evidence.is_sold(order), evidence.is_final(order)) {
            (true, _) => 1..=1,
            (false, true) => 0..=0,
            (false, false) => 0..=1,
        };
        let state = order
            .states
            .last()
            .map_or("without a state", String::as_str);
        let what = format!(
            "is {state} and was charged {} and refunded {}",
            times(account.charges),
            times(account.refunds)
        );
        (!allowed.contains(&net)).then(|| Wrong::with(order, what))
    };
    ledger.orders.iter().filter_map(wrong).collect()
}

pub(super) fn times(n: i128) -> String {
    match n {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// For each kind of piece: those before, less what was sold since, are those after; never fewer than none.
pub(super) fn stock(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    for ledger in evidence.later() {
        found.gap(ledger.trouble.clone());
        if ledger.has(&[Holding::Stock]).is_ok() {
            blame(evidence, &mut found, ledger, &[Holding::Stock], negative);
        }
        let settled = evidence.before.is_settled(PIECES);
        match settled.and_then(|()| ledger.is_settled(PIECES)) {
            Ok(()) => unbalanced(evidence, ledger, &mut found),
            Err(why) => found.gap(why),
        }
    }
    found
}

fn negative(ledger: &Ledger<'_>) -> Vec<Wrong> {
    let below = ledger
        .stock
        .iter()
        .filter(|stock| stock.available < 0 || stock.reserved < 0);
    below
        .map(|stock| Wrong {
            subject: stock.sku.clone(),
            what: format!(
                "has {} available and {} reserved",
                stock.available, stock.reserved
            ),
            key: None,
        })
        .collect()
}

fn pieces<'a>(ledger: &Ledger<'a>) -> BTreeMap<&'a str, i128> {
    let mut pieces = BTreeMap::new();
    for stock in &ledger.stock {
        *pieces.entry(stock.sku.as_str()).or_default() +=
            i128::from(stock.available) + i128::from(stock.reserved);
    }
    pieces
}

fn unbalanced(evidence: &Evidence<'_>, ledger: &Ledger<'_>, found: &mut Found) {
    let before = pieces(&evidence.before);
    let after = pieces(ledger);
    let sold = sold_since(evidence, ledger);
    let skus: BTreeSet<&str> = [&before, &after, &sold]
        .into_iter()
        .flat_map(|pieces| pieces.keys().copied())
        .collect();
    found.checked = skus.len() as u64;
    for sku in skus {
        let of = |pieces: &BTreeMap<&str, i128>| pieces.get(sku).copied().unwrap_or(0);
        let (had, has, gone) = (of(&before), of(&after), of(&sold));
        if had - gone != has {
            let when = ledger.reading.words();
            let text = format!("{sku} had {had} pieces, {gone} were sold, and it has {has} {when}");
            found.broken(sku, text);
        }
    }
}

/// By kind of piece, how many more of it are sold than before the load: fewer where orders were taken back.
fn sold_since<'a>(evidence: &Evidence<'a>, ledger: &Ledger<'a>) -> BTreeMap<&'a str, i128> {
    let mut sold: BTreeMap<&str, i128> = BTreeMap::new();
    for order in &ledger.orders {
        let old = evidence.before.of_id(&order.id);
        let was_sold = old.is_some_and(|old| evidence.is_sold(old));
        let more = i128::from(evidence.is_sold(order)) - i128::from(was_sold);
        for item in &order.items {
            *sold.entry(&item.sku).or_default() += more * i128::from(item.quantity);
        }
    }
    sold
}

/// For each order, money taken less money given back is its amount if it is sold, and nothing if it
/// will never be; no money without an order. That all sums agree follows from it.
pub(super) fn money(evidence: &Evidence<'_>) -> Found {
    let mut found = Found::default();
    for ledger in evidence.later() {
        match ledger.is_settled(BOOKS) {
            Ok(()) => {
                found.gap(ledger.trouble.clone());
                found.checked = ledger.orders.len() as u64;
                blame(evidence, &mut found, ledger, BOOKS, |ledger| {
                    let mut wrongs = mispaid(evidence, ledger);
                    wrongs.extend(astray(ledger));
                    wrongs
                });
            }
            Err(why) => found.gap(why),
        }
    }
    found
}

fn mispaid(evidence: &Evidence<'_>, ledger: &Ledger<'_>) -> Vec<Wrong> {
    let accounts = accounts(ledger);
    let wrong = |order: &&Order| {
        let paid = accounts
            .get(order.id.as_str())
            .map_or(0, |account| account.money);
        let (due, is_open) = match (evidence.is_sold(order), evidence.is_final(order)) {
            (true, _) => (i128::from(order.amount), false),
            (false, is_final) => (0, !is_final),
        };
        let is_right = paid == due || (is_open && paid == i128::from(order.amount));
        (!is_right).then(|| Wrong::with(order, format!("was paid {paid}, {due} are due,")))
    };
    ledger.orders.iter().filter_map(wrong).collect()
}

/// Charges without an order, refunds without their charge.
fn astray(ledger: &Ledger<'_>) -> Vec<Wrong> {
    let charges: BTreeSet<(&str, &str)> = ledger
        .charges
        .iter()
        .map(|charge| (charge.id.as_str(), charge.order.as_str()))
        .collect();
    let of_nothing = ledger
        .charges
        .iter()
        .filter(|charge| ledger.of_id(&charge.order).is_none())
        .map(|charge| Wrong {
            subject: charge.id.clone(),
            what: format!(
                "is a charge of {} for {}, which is not there",
                charge.amount, charge.order
            ),
            key: None,
        });
    let of_no_charge = ledger
        .refunds
        .iter()
        .filter(|refund| !charges.contains(&(refund.charge.as_str(), refund.order.as_str())))
        .map(|refund| Wrong {
            subject: refund.id.clone(),
            what: format!(
                "is a refund of {} for {}, whose charge {} is not there",
                refund.amount, refund.order, refund.charge
            ),
            key: None,
        });
    of_nothing.chain(of_no_charge).collect()
}
