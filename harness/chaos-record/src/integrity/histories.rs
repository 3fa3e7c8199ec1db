//! Made-up histories: a store that does everything right, shoppers, and kills that lose answers.
//!
//! Invariant: a history is clean by construction: it is what a right store would hold, whatever
//! was answered.

#![cfg(test)]

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_plan::plan::{Audit, AuditSource, Expect, Holding, Rule};

use super::check;
use crate::audit::{
    AuditEnd, AuditHead, AuditLine, Audited, Charge, Delivery, Item, Order, Reading, Refund, Stock,
};
use crate::event::{Event, Stamped};
use crate::fixture::{Run, SEC};
use crate::line::End;
use crate::operation::{Operation, OperationOutcome};
use crate::record::Record;
use crate::verdict::{IntegrityVerdict, Status};

/// Chance from a seed: `SplitMix64` (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `n`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % n as u64).expect("below a usize")
    }

    pub(crate) fn percent(&mut self, share: usize) -> bool {
        self.below(100) < share
    }

    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        (!items.is_empty()).then(|| &items[self.below(items.len())])
    }
}

/// What the store holds at one time.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Books {
    pub(crate) orders: Vec<Order>,
    pub(crate) charges: Vec<Charge>,
    pub(crate) refunds: Vec<Refund>,
    pub(crate) stock: Vec<Stock>,
    pub(crate) deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone)]
pub(crate) struct History {
    pub(crate) operations: Vec<Operation>,
    pub(crate) before: Books,
    pub(crate) after: Books,
    pub(crate) restarted: Books,
    pub(crate) events: Vec<Event>,
    pub(crate) complete: bool,
}

pub(crate) fn audit() -> Audit {
    let source = |service: &str, holding| AuditSource {
        service: service.to_owned(),
        path: "/audit".to_owned(),
        holds: vec![holding],
    };
    let states: [(&str, &[&str]); 6] = [
        ("pending", &["paid", "cancelled"]),
        ("paid", &["confirmed", "cancelled"]),
        ("confirmed", &["returning"]),
        ("returning", &["returned"]),
        ("returned", &[]),
        ("cancelled", &[]),
    ];
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Audit {
        sources: vec![
            source("api", Holding::Orders),
            source("bank", Holding::Charges),
            source("shelf", Holding::Stock),
            source("post", Holding::Deliveries),
        ],
        states: states
            .iter()
            .map(|(state, next)| ((*state).to_owned(), owned(next)))
            .collect::<BTreeMap<_, _>>(),
        sold: "confirmed".to_owned(),
        returned: vec!["returned".to_owned()],
        quiet_within: Duration::from_secs(10),
        notified_within: Some(Duration::from_secs(30)),
    }
}

/// A record of which only the header is written, with a claim on every rule.
pub(crate) fn base() -> Record {
    Run::calm()
        .rate(1)
        .claims(vec![Expect::Integrity {
            rules: Rule::ALL.to_vec(),
        }])
        .audit(audit())
        .header_only()
}

fn states(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub(crate) fn sold() -> Vec<String> {
    states(&["pending", "paid", "confirmed"])
}

impl Books {
    /// An order that is sold: paid once, delivered, taken off the shelf.
    fn sell(&mut self, dice: &mut Dice, id: &str, key: &str) -> i64 {
        let amount = i64::try_from(100 * (1 + dice.below(50))).expect("small");
        let shelf = dice.below(self.stock.len());
        let quantity = i64::try_from(1 + dice.below(3)).expect("small");
        self.stock[shelf].available -= quantity;
        let item = Item {
            sku: self.stock[shelf].sku.clone(),
            quantity,
        };
        self.put(id, key, amount, sold(), item);
        self.charge(&format!("c-{id}"), id, amount);
        if dice.percent(10) {
            // A retry that was noticed and paid back.
            self.charge(&format!("d-{id}"), id, amount);
            self.refund(&format!("r-{id}"), &format!("d-{id}"), id, amount);
        }
        // Not every source knows when.
        let after_ms = dice.percent(80).then(|| dice.below(30_001) as u64);
        let order = id.to_owned();
        self.deliveries.push(Delivery { order, after_ms });
        amount
    }

    /// A sold order is taken back: its money, whichever charge it was, and its pieces.
    fn take_back(&mut self, id: &str) {
        let order = self.order(id).expect("it was sold");
        order.states.extend(states(&["returning", "returned"]));
        let (amount, items) = (order.amount, order.items.clone());
        for item in items {
            let shelf = self.stock.iter_mut().find(|stock| stock.sku == item.sku);
            shelf.expect("it was sold from there").available += item.quantity;
        }
        self.refund(&format!("b-{id}"), &format!("c-{id}"), id, amount);
    }

    /// An order that was cancelled, before or after it was paid.
    fn cancel(&mut self, dice: &mut Dice, id: &str, key: &str) {
        let item = Item {
            sku: "p-0".to_owned(),
            quantity: 1,
        };
        if dice.percent(50) {
            self.put(
                id,
                key,
                700,
                states(&["pending", "paid", "cancelled"]),
                item,
            );
            self.charge(&format!("c-{id}"), id, 700);
            self.refund(&format!("r-{id}"), &format!("c-{id}"), id, 700);
        } else {
            self.put(id, key, 700, states(&["pending", "cancelled"]), item);
        }
    }

    pub(crate) fn put(
        &mut self,
        id: &str,
        key: &str,
        amount: i64,
        states: Vec<String>,
        item: Item,
    ) {
        self.orders.push(Order {
            id: id.to_owned(),
            key: key.to_owned(),
            amount,
            states,
            items: vec![item],
        });
    }

    pub(crate) fn charge(&mut self, id: &str, order: &str, amount: i64) {
        self.charges.push(Charge {
            id: id.to_owned(),
            order: order.to_owned(),
            amount,
        });
    }

    pub(crate) fn refund(&mut self, id: &str, charge: &str, order: &str, amount: i64) {
        self.refunds.push(Refund {
            id: id.to_owned(),
            charge: charge.to_owned(),
            order: order.to_owned(),
            amount,
        });
    }

    pub(crate) fn order(&mut self, id: &str) -> Option<&mut Order> {
        self.orders.iter_mut().find(|order| order.id == id)
    }

    fn told(&self, reading: Reading, into: &mut Vec<Audited>) {
        let own: [(&str, Vec<AuditLine>); 4] = [
            (
                "api",
                self.orders.iter().cloned().map(AuditLine::Order).collect(),
            ),
            (
                "bank",
                self.charges
                    .iter()
                    .cloned()
                    .map(AuditLine::Charge)
                    .chain(self.refunds.iter().cloned().map(AuditLine::Refund))
                    .collect(),
            ),
            (
                "shelf",
                self.stock.iter().cloned().map(AuditLine::Stock).collect(),
            ),
            (
                "post",
                self.deliveries
                    .iter()
                    .cloned()
                    .map(AuditLine::Delivery)
                    .collect(),
            ),
        ];
        for (service, own) in own {
            let end = AuditLine::End(AuditEnd {
                lines: own.len() as u64 + 1,
            });
            let head = AuditLine::Audit(AuditHead { version: 1 });
            let all = std::iter::once(head).chain(own).chain([end]);
            into.extend(all.map(|line| Audited {
                reading,
                service: service.to_owned(),
                line,
            }));
        }
    }
}

/// Shoppers at work, with the answers they got.
struct Shopping {
    operations: Vec<Operation>,
    books: Books,
}

impl Shopping {
    fn operate(&mut self, key: &str, outcome: OperationOutcome, order: Option<(&str, i64)>) {
        let at = self.operations.len() as u64 * 1_000_000;
        self.operations.push(Operation {
            key: key.to_owned(),
            journey: 1,
            step: 0,
            at,
            ended: (outcome != OperationOutcome::Unknown).then_some(at + 5_000),
            outcome,
            order: order.map(|(id, _)| id.to_owned()),
            amount: order.map(|(_, amount)| amount),
        });
    }

    /// One purchase, whatever becomes of it.
    fn shop(&mut self, dice: &mut Dice, number: usize) {
        let (id, key) = (format!("o-{number}"), format!("k-{number}"));
        // A kill or a timeout loses one answer in four.
        let lost = dice.percent(25);
        let heard = |outcome| {
            if lost {
                OperationOutcome::Unknown
            } else {
                outcome
            }
        };
        match dice.below(100) {
            0..60 => {
                let amount = self.books.sell(dice, &id, &key);
                let told = (!lost).then_some((id.as_str(), amount));
                self.operate(&key, heard(OperationOutcome::Ok), told);
                if dice.percent(20) {
                    self.again(dice, &key, &id, amount);
                }
                if dice.percent(15) {
                    self.books.take_back(&id);
                }
            }
            60..75 => {
                self.books.cancel(dice, &id, &key);
                self.operate(&key, heard(OperationOutcome::Fail), None);
            }
            _ => self.operate(&key, heard(OperationOutcome::Fail), None),
        }
    }

    /// The same purchase asked for again under its key.
    fn again(&mut self, dice: &mut Dice, key: &str, id: &str, amount: i64) {
        let was_lost = self
            .operations
            .last()
            .is_some_and(|operation| operation.outcome == OperationOutcome::Unknown);
        match dice.below(3) {
            0 => self.operate(key, OperationOutcome::Ok, Some((id, amount))),
            1 => self.operate(key, OperationOutcome::Unknown, None),
            // Once it was answered the second time may well be refused.
            _ if !was_lost => self.operate(key, OperationOutcome::Fail, None),
            _ => {}
        }
    }
}

impl History {
    /// A clean history with at least one acknowledged operation.
    pub(crate) fn of(seed: u64) -> Self {
        let dice = &mut Dice::new(seed);
        let mut books = Books::default();
        for shelf in 0..3 {
            books.stock.push(Stock {
                sku: format!("p-{shelf}"),
                available: 500,
                reserved: i64::try_from(dice.below(3)).expect("small"),
            });
        }
        for old in 0..dice.below(4) {
            let (id, key) = (format!("old-{old}"), format!("old-key-{old}"));
            if dice.percent(70) {
                books.sell(dice, &id, &key);
            } else {
                books.cancel(dice, &id, &key);
            }
            if dice.percent(10) {
                // Wrong before the run, and none of its doing.
                books.charge(&format!("x-{id}"), &id, 5);
            }
        }
        let mut shopping = Shopping {
            operations: Vec::new(),
            books: books.clone(),
        };
        let amount = shopping.books.sell(dice, "o-first", "k-first");
        shopping.operate("k-first", OperationOutcome::Ok, Some(("o-first", amount)));
        for number in 0..dice.below(12) {
            shopping.shop(dice, number);
        }
        for old in &books.orders {
            // One whose account was wrong before is wrong in another way once it is taken back.
            let is_wrong = books
                .charges
                .iter()
                .any(|charge| charge.amount == 5 && charge.order == old.id);
            if old.states == sold() && !is_wrong && dice.percent(20) {
                shopping.books.take_back(&old.id);
            }
        }
        let after = shopping.books;
        let mut restarted = after.clone();
        if dice.percent(30) {
            // What had been told too late for the first reading.
            restarted.deliveries.reverse();
        }
        let count = shopping.operations.len() as u64;
        Self {
            operations: shopping.operations,
            before: books,
            after,
            restarted,
            events: events(count),
            complete: true,
        }
    }

    pub(crate) fn record(&self, base: &Record) -> Record {
        let mut record = base.clone();
        record.operations.clone_from(&self.operations);
        self.before.told(Reading::Before, &mut record.audits);
        self.after.told(Reading::After, &mut record.audits);
        self.restarted.told(Reading::Restarted, &mut record.audits);
        let stamped = self.events.iter().map(|event| self.counted(event));
        record.events = stamped.map(|what| Stamped { at: SEC, what }).collect();
        record.end = self.complete.then_some(End {
            at: 60 * SEC,
            lines: 1,
        });
        record
    }

    /// The event with the number of orders that were read.
    fn counted(&self, event: &Event) -> Event {
        let books = |reading| match reading {
            Reading::Before => &self.before,
            Reading::After => &self.after,
            Reading::Restarted => &self.restarted,
        };
        match event {
            Event::AuditRead { reading, quiet, .. } => Event::AuditRead {
                reading: *reading,
                quiet: *quiet,
                orders: books(*reading).orders.len() as u64,
            },
            other => other.clone(),
        }
    }

    pub(crate) fn verdict(&self, base: &Record) -> IntegrityVerdict {
        check(&self.record(base)).expect("the plan claims it")
    }
}

/// What the conductor tells of a run that went well.
fn events(operations: u64) -> Vec<Event> {
    let read = |reading| Event::AuditRead {
        reading,
        quiet: true,
        orders: 0,
    };
    vec![
        Event::AuditStarted {
            reading: Reading::Before,
        },
        read(Reading::Before),
        Event::LoadStarted { workers: 1 },
        Event::LoadStopped {
            until: 30 * SEC,
            cut_short: false,
        },
        Event::OperationsLogged { count: operations },
        read(Reading::After),
        Event::Restarting,
        Event::Restarted,
        read(Reading::Restarted),
    ]
}

#[test]
fn ten_thousand_clean_histories_give_no_alarm() {
    let base = base();
    let mut unknown = 0;
    for seed in 0..10_000 {
        let history = History::of(seed);
        let verdict = history.verdict(&base);
        assert_eq!(verdict.status, Status::Held, "seed {seed}: {}", verdict.why);
        assert_eq!(
            verdict.unknown,
            verdict.unknown_stored + verdict.unknown_absent
        );
        unknown += verdict.unknown_stored.min(1) + verdict.unknown_absent.min(1);
    }
    assert!(unknown > 5_000, "answers were lost both ways: {unknown}");
}

#[test]
fn a_lost_answer_is_unknown_and_no_loss() {
    let base = base();
    let mut history = History::of(1);
    let last = history.operations.len() as u64;
    let lost = Operation {
        key: "k-lost".to_owned(),
        ended: None,
        outcome: OperationOutcome::Unknown,
        order: None,
        amount: None,
        ..history.operations[0].clone()
    };
    history.operations.push(lost);
    history.events = events(last + 1);
    let before = History::of(1).verdict(&base);
    let verdict = history.verdict(&base);
    assert_eq!(verdict.status, Status::Held, "{}", verdict.why);
    assert_eq!(
        (verdict.unknown, verdict.unknown_absent),
        (before.unknown + 1, before.unknown_absent + 1)
    );
}
