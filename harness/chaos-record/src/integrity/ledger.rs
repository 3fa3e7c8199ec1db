//! One reading of everything the target holds, put together from the answers of its services.
//!
//! Invariant: what a holding tells counts only if every service that holds it answered in full:
//! from its head to an end that counts its lines, or, where the record keeps neither, by the word
//! of whoever read it and a record of which no line is missing.

use std::collections::BTreeMap;

use chaos_plan::plan::{Audit, Holding};

use crate::audit::{AuditLine, Audited, Charge, Order, Reading, Refund, Stock};
use crate::event::{Event, Stamped};
use crate::facts::{Facts, ns};
use crate::words;

/// Version of the contract that is understood.
const VERSION: u32 = 1;

/// What the target told in one reading.
#[derive(Debug)]
pub(super) struct Ledger<'a> {
    pub(super) reading: Reading,
    pub(super) orders: Vec<&'a Order>,
    pub(super) charges: Vec<&'a Charge>,
    pub(super) refunds: Vec<&'a Refund>,
    pub(super) stock: Vec<&'a Stock>,
    /// By order, every arrival of its event, with the milliseconds since the sale if they were told.
    pub(super) deliveries: BTreeMap<&'a str, Vec<Option<u64>>>,
    ids: BTreeMap<&'a str, &'a Order>,
    keys: BTreeMap<&'a str, Vec<&'a Order>>,
    /// Whether the target had come to rest.
    pub(super) quiet: bool,
    /// What is wrong with the reading, if anything.
    pub(super) trouble: Option<String>,
    /// Holdings that were not told in full, and why.
    missing: BTreeMap<Holding, String>,
}

impl<'a> Ledger<'a> {
    pub(super) fn of(reading: Reading, audit: &Audit, facts: &Facts<'a>) -> Self {
        let lines = &facts.record.audits;
        let mut ledger = Self {
            reading,
            orders: Vec::new(),
            charges: Vec::new(),
            refunds: Vec::new(),
            stock: Vec::new(),
            deliveries: BTreeMap::new(),
            ids: BTreeMap::new(),
            keys: BTreeMap::new(),
            quiet: false,
            trouble: None,
            missing: BTreeMap::new(),
        };
        let own = |line: &&Audited| line.reading == reading;
        let is_order = |line: &&Audited| matches!(line.line, AuditLine::Order(_));
        let orders = lines.iter().filter(own).filter(is_order).count() as u64;
        let counted = ledger.hear(audit, &facts.record.events);
        let vouched = facts.complete && counted == Some(orders);
        for source in &audit.sources {
            let told: Vec<&AuditLine> = lines
                .iter()
                .filter(own)
                .filter(|line| line.service == source.service)
                .map(|line| &line.line)
                .collect();
            if let Some(why) = cut(&told, vouched) {
                let why = format!("{} {why} {}", source.service, reading.words());
                for holding in &source.holds {
                    ledger.missing.entry(*holding).or_insert(why.clone());
                }
            }
            for line in told {
                ledger.take(line, &source.holds);
            }
        }
        ledger
    }

    /// What the events tell of the reading, and how many orders were read; the last word counts.
    fn hear(&mut self, audit: &Audit, events: &[Stamped]) -> Option<u64> {
        let mut counted = None;
        let when = self.reading.words();
        self.trouble = Some(format!("there is no reading {when}"));
        let mut restarted = self.reading != Reading::Restarted;
        for event in events {
            match &event.what {
                Event::Restarted => restarted = true,
                Event::AuditRead {
                    reading,
                    quiet,
                    orders,
                } if *reading == self.reading => {
                    (self.quiet, counted) = (*quiet, Some(*orders));
                    let within = words::duration(ns(audit.quiet_within));
                    self.trouble = if !restarted {
                        Some("nothing shows that every instance was restarted".to_owned())
                    } else if !quiet {
                        Some(format!(
                            "{when} the target had not come to rest within {within}"
                        ))
                    } else {
                        None
                    };
                }
                Event::AuditFailed { reading, why } if *reading == self.reading => {
                    (self.quiet, counted) = (false, None);
                    self.trouble = Some(format!("the reading {when} failed: {why}"));
                }
                _ => {}
            }
        }
        counted
    }

    fn take(&mut self, line: &'a AuditLine, holds: &[Holding]) {
        let is_told = |holding| holds.contains(&holding);
        match line {
            AuditLine::Order(order) if is_told(Holding::Orders) => {
                self.orders.push(order);
                self.ids.entry(&order.id).or_insert(order);
                self.keys.entry(&order.key).or_default().push(order);
            }
            AuditLine::Charge(charge) if is_told(Holding::Charges) => self.charges.push(charge),
            AuditLine::Refund(refund) if is_told(Holding::Charges) => self.refunds.push(refund),
            AuditLine::Stock(stock) if is_told(Holding::Stock) => self.stock.push(stock),
            AuditLine::Delivery(delivery) if is_told(Holding::Deliveries) => {
                let arrivals = self.deliveries.entry(&delivery.order).or_default();
                arrivals.push(delivery.after_ms);
            }
            // A service speaks only of what its description says it holds.
            _ => {}
        }
    }

    /// Whether these holdings were told in full; why not.
    pub(super) fn has(&self, holdings: &[Holding]) -> Result<(), String> {
        let missing = holdings
            .iter()
            .find_map(|holding| self.missing.get(holding));
        match (missing, &self.trouble) {
            (None, _) => Ok(()),
            // A failed reading says more than the answer that is missing because of it.
            (Some(_), Some(trouble)) => Err(trouble.clone()),
            (Some(why), None) => Err(why.clone()),
        }
    }

    /// Whether these holdings were told in full of a target at rest; why not.
    pub(super) fn is_settled(&self, holdings: &[Holding]) -> Result<(), String> {
        self.has(holdings)?;
        match (&self.trouble, self.quiet) {
            (Some(trouble), false) => Err(trouble.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn of_id(&self, id: &str) -> Option<&'a Order> {
        self.ids.get(id).copied()
    }

    pub(super) fn of_key(&self, key: &str) -> &[&'a Order] {
        self.keys.get(key).map_or(&[], Vec::as_slice)
    }

    /// Every key with its orders.
    pub(super) fn by_key(&self) -> impl Iterator<Item = (&'a str, &[&'a Order])> {
        self.keys
            .iter()
            .map(|(key, orders)| (*key, orders.as_slice()))
    }

    /// Notes that no source tells of a holding.
    pub(super) fn lacks(&mut self, holding: Holding) {
        let why = format!("no audited service tells of {}", holding.name());
        self.missing.entry(holding).or_insert(why);
    }
}

/// What is wrong with an answer as a whole, completing "the service ...". `vouched`: somebody read
/// it in full and nothing of the record is missing since.
fn cut(told: &[&AuditLine], vouched: bool) -> Option<&'static str> {
    let is_end = |line: &&&AuditLine| matches!(line, AuditLine::End(_));
    let is_head = |line: &&&AuditLine| matches!(line, AuditLine::Audit(_));
    let heads = told.iter().filter(is_head).count();
    match (told, heads) {
        (bare, 0) if !bare.iter().any(|line| is_end(&line)) => {
            (!vouched).then_some("did not answer in full")
        }
        (_, 2..) => Some("answered more than once"),
        ([AuditLine::Audit(head), ..], _) if head.version != VERSION => {
            Some("answered in another version of the contract")
        }
        ([AuditLine::Audit(_), .., AuditLine::End(end)], _)
            if end.lines == told.len() as u64 - 1 =>
        {
            None
        }
        _ => Some("did not answer in full"),
    }
}
