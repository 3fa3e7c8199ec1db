//! Stores that do one thing wrong, and runs that lack one piece of evidence.
//!
//! Invariant: every wrong a rule names is found by that rule, whatever else happened.

#![cfg(test)]

use chaos_plan::plan::Rule;

use super::histories::{Books, Dice, History, base, sold};
use crate::audit::{AuditLine, Delivery, Item, Order, Reading};
use crate::event::Event;
use crate::operation::OperationOutcome;
use crate::record::Record;
use crate::verdict::{IntegrityVerdict, Status};

/// Histories each mutant is bred from.
const SEEDS: u64 = 200;

/// Makes a clean history wrong; false if it holds nothing to go wrong.
type Breed = fn(&mut History, &mut Dice) -> bool;

impl History {
    /// Does the same to both later readings, or to one of them.
    fn spoil(&mut self, dice: &mut Dice, mut act: impl FnMut(&mut Books)) -> bool {
        let which = dice.below(3);
        if which != 1 {
            act(&mut self.after);
        }
        if which != 0 {
            act(&mut self.restarted);
        }
        true
    }

    fn pick(&self, dice: &mut Dice, keep: impl Fn(&Order) -> bool) -> Option<Order> {
        let fit: Vec<&Order> = self
            .after
            .orders
            .iter()
            .filter(|order| keep(order))
            .collect();
        dice.pick(&fit).map(|order| (*order).clone())
    }

    /// An order whose answer was heard.
    fn acknowledged(&self, dice: &mut Dice) -> Order {
        let is_ok = |order: &Order| self.best(&order.key) == Some(OperationOutcome::Ok);
        self.pick(dice, is_ok).expect("every history has one")
    }

    fn new_sold(&self, dice: &mut Dice) -> Order {
        let is_new = |order: &Order| self.best(&order.key).is_some() && order.states == sold();
        self.pick(dice, is_new).expect("every history has one")
    }

    fn best(&self, key: &str) -> Option<OperationOutcome> {
        let own = self
            .operations
            .iter()
            .filter(|operation| operation.key == key);
        own.map(|operation| operation.outcome)
            .min_by_key(|outcome| match outcome {
                OperationOutcome::Ok => 0,
                OperationOutcome::Unknown => 1,
                OperationOutcome::Fail => 2,
            })
    }

    fn refused_key(&self, dice: &mut Dice) -> Option<String> {
        let is_free = |key: &String| {
            self.best(key) == Some(OperationOutcome::Fail)
                && !self.after.orders.iter().any(|order| order.key == *key)
        };
        let keys: Vec<String> = self
            .operations
            .iter()
            .map(|operation| operation.key.clone())
            .filter(is_free)
            .collect();
        dice.pick(&keys).cloned()
    }
}

fn item() -> Item {
    Item {
        sku: "p-0".to_owned(),
        quantity: 1,
    }
}

/// Tellings that the run itself brought about.
fn new_deliveries(history: &History) -> Vec<Delivery> {
    let new = history.restarted.deliveries.iter();
    new.filter(|delivery| !history.before.deliveries.contains(delivery))
        .cloned()
        .collect()
}

const MUTANTS: &[(&str, Rule, Breed)] = &[
    (
        "an acknowledged order is lost",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                books.orders.retain(|other| other.id != order.id);
            })
        },
    ),
    (
        "an acknowledged order costs something else",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.amount += 1;
                }
            })
        },
    ),
    (
        "an acknowledged order has another id",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.id.push('x');
                }
            })
        },
    ),
    (
        "an acknowledged order is stored under another key",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.key.push('x');
                }
            })
        },
    ),
    (
        "an acknowledged order is cancelled",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.states = vec!["pending".to_owned(), "cancelled".to_owned()];
                }
            })
        },
    ),
    (
        "an acknowledged order never gets further",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.states.truncate(2);
                }
            })
        },
    ),
    ("an order is invented", Rule::StoredIsKnown, |h, dice| {
        h.spoil(dice, |books| {
            books.put("o-made-up", "nobody", 100, sold(), item());
        })
    }),
    (
        "an order has a key of nobody",
        Rule::StoredIsKnown,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.key.push('x');
                }
            })
        },
    ),
    (
        "a refused order is sold",
        Rule::RefusedIsNotStored,
        |h, dice| {
            let Some(key) = h.refused_key(dice) else {
                return false;
            };
            h.spoil(dice, |books| {
                books.put("o-refused", &key, 100, sold(), item());
            })
        },
    ),
    (
        "an order is stored twice",
        Rule::OneOrderOneCharge,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                let mut twin = order.clone();
                twin.id.push_str("-twin");
                books.orders.push(twin);
            })
        },
    ),
    (
        "an order is told twice",
        Rule::OneOrderOneCharge,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| books.orders.push(order.clone()))
        },
    ),
    (
        "an order is charged twice",
        Rule::OneOrderOneCharge,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                books.charge("c-double", &order.id, order.amount);
            })
        },
    ),
    (
        "a sold order is never charged",
        Rule::OneOrderOneCharge,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                books.charges.retain(|charge| charge.order != order.id);
                books.refunds.retain(|refund| refund.order != order.id);
            })
        },
    ),
    (
        "a cancelled order is charged",
        Rule::OneOrderOneCharge,
        |h, dice| {
            let is_cancelled = |order: &Order| order.states != sold();
            let Some(order) = h.pick(dice, is_cancelled) else {
                return false;
            };
            h.spoil(dice, |books| {
                books.charge("c-late", &order.id, order.amount);
            })
        },
    ),
    ("a refund is lost", Rule::OneOrderOneCharge, |h, dice| {
        let Some(refund) = dice.pick(&h.after.refunds).cloned() else {
            return false;
        };
        h.spoil(dice, |books| books.refunds.retain(|other| *other != refund))
    }),
    ("stock is lost", Rule::StockConserved, |h, dice| {
        h.spoil(dice, |books| books.stock[1].available -= 1)
    }),
    ("stock appears", Rule::StockConserved, |h, dice| {
        h.spoil(dice, |books| books.stock[2].reserved += 1)
    }),
    (
        "what was sold stays on the shelf",
        Rule::StockConserved,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                let sku = &order.items[0].sku;
                let shelf = books.stock.iter_mut().find(|stock| stock.sku == *sku);
                shelf.expect("it was sold from there").available += order.items[0].quantity;
            })
        },
    ),
    (
        "stock falls below nothing",
        Rule::StockConserved,
        |h, dice| {
            h.spoil(dice, |books| {
                let stock = &mut books.stock[0];
                stock.reserved += stock.available + 1;
                stock.available = -1;
            })
        },
    ),
    (
        "a kind of piece vanishes",
        Rule::StockConserved,
        |h, dice| {
            h.spoil(dice, |books| {
                books.stock.pop();
            })
        },
    ),
    (
        "a charge is of another amount",
        Rule::MoneyConserved,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                let charge = books
                    .charges
                    .iter_mut()
                    .find(|charge| charge.order == order.id);
                charge.expect("it was charged").amount += 1;
            })
        },
    ),
    ("a charge is doubled", Rule::MoneyConserved, |h, dice| {
        let order = h.new_sold(dice);
        h.spoil(dice, |books| {
            books.charge("c-double", &order.id, order.amount);
        })
    }),
    ("a charge is lost", Rule::MoneyConserved, |h, dice| {
        let order = h.new_sold(dice);
        h.spoil(dice, |books| {
            let at = books
                .charges
                .iter()
                .position(|charge| charge.order == order.id);
            books.charges.remove(at.expect("it was charged"));
        })
    }),
    (
        "money is taken for no order",
        Rule::MoneyConserved,
        |h, dice| h.spoil(dice, |books| books.charge("c-astray", "o-nowhere", 100)),
    ),
    (
        "a refund gives back too much",
        Rule::MoneyConserved,
        |h, dice| {
            if h.after.refunds.is_empty() {
                return false;
            }
            h.spoil(dice, |books| books.refunds[0].amount += 1)
        },
    ),
    (
        "a refund is of no charge",
        Rule::MoneyConserved,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                books.refund("r-astray", "c-nowhere", &order.id, 0);
            })
        },
    ),
    (
        "a history runs backwards",
        Rule::StatesForward,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.states.reverse();
                }
            })
        },
    ),
    (
        "a state follows that may not",
        Rule::StatesForward,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.states.push("pending".to_owned());
                }
            })
        },
    ),
    ("a state is none", Rule::StatesForward, |h, dice| {
        let order = h.new_sold(dice);
        h.spoil(dice, |books| {
            if let Some(order) = books.order(&order.id) {
                order.states = vec!["void".to_owned()];
            }
        })
    }),
    ("a history is empty", Rule::StatesForward, |h, dice| {
        let order = h.new_sold(dice);
        h.spoil(dice, |books| {
            if let Some(order) = books.order(&order.id) {
                order.states.clear();
            }
        })
    }),
    (
        "the restart cuts a history",
        Rule::StatesForward,
        |h, dice| {
            let order = h.pick(dice, |_| true).expect("every history has one");
            let order = h.restarted.order(&order.id).expect("it was there");
            order.states.pop();
            true
        },
    ),
    (
        "the restart loses an order",
        Rule::StatesForward,
        |h, dice| {
            let order = h.pick(dice, |_| true).expect("every history has one");
            h.restarted.orders.retain(|other| other.id != order.id);
            true
        },
    ),
    (
        "the load loses an old order",
        Rule::StatesForward,
        |h, dice| {
            let Some(order) = dice.pick(&h.before.orders).cloned() else {
                return false;
            };
            h.spoil(dice, |books| {
                books.orders.retain(|other| other.id != order.id);
            })
        },
    ),
    (
        "an event never arrives",
        Rule::EventsDelivered,
        |h, dice| {
            let order = h.new_sold(dice);
            let own = |delivery: &Delivery| delivery.order != order.id;
            if dice.percent(50) {
                h.after.deliveries.retain(own);
            }
            h.restarted.deliveries.retain(own);
            true
        },
    ),
    ("all events are lost", Rule::EventsDelivered, |h, _| {
        h.restarted.deliveries.clear();
        true
    }),
    (
        "an order comes back that was never sold",
        Rule::AcknowledgedIsStored,
        |h, dice| {
            let order = h.acknowledged(dice);
            h.spoil(dice, |books| {
                if let Some(order) = books.order(&order.id) {
                    order.states = vec!["pending".to_owned(), "returned".to_owned()];
                }
            })
        },
    ),
    (
        "a refused order was sold and taken back",
        Rule::RefusedIsNotStored,
        |h, dice| {
            let Some(key) = h.refused_key(dice) else {
                return false;
            };
            let mut states = sold();
            states.extend(["returning".to_owned(), "returned".to_owned()]);
            h.spoil(dice, |books| {
                books.put("o-refused", &key, 100, states.clone(), item());
            })
        },
    ),
    (
        "an order is taken back and its money stays",
        Rule::OneOrderOneCharge,
        |h, dice| {
            let order = h.new_sold(dice);
            h.spoil(dice, |books| {
                let order = books.order(&order.id).expect("it was sold");
                order.states.push("returning".to_owned());
                order.states.push("returned".to_owned());
            })
        },
    ),
    (
        "an order is taken back and its pieces are gone",
        Rule::StockConserved,
        |h, dice| {
            let is_back = |order: &Order| order.states.len() == 5;
            let Some(order) = h.pick(dice, is_back) else {
                return false;
            };
            h.spoil(dice, |books| {
                let item = &order.items[0];
                let shelf = books.stock.iter_mut().find(|stock| stock.sku == item.sku);
                shelf.expect("it came back").available -= item.quantity;
            })
        },
    ),
    ("a shopper is never told", Rule::NotifiedOnce, |h, dice| {
        let order = h.new_sold(dice);
        let own = |delivery: &Delivery| delivery.order != order.id;
        h.restarted.deliveries.retain(own);
        true
    }),
    ("a shopper is told twice", Rule::NotifiedOnce, |h, dice| {
        let again = dice.pick(&new_deliveries(h)).cloned();
        let again = again.expect("every history has one");
        h.restarted.deliveries.push(again);
        true
    }),
    (
        "a shopper is told too late",
        Rule::NotifiedOnce,
        |h, dice| {
            let late = dice.pick(&new_deliveries(h)).cloned();
            let late = late.expect("every history has one").order;
            for delivery in &mut h.restarted.deliveries {
                if delivery.order == late {
                    delivery.after_ms = Some(30_001);
                }
            }
            true
        },
    ),
    (
        "a shopper is told of an order that was not sold",
        Rule::NotifiedOnce,
        |h, dice| {
            let is_unsold = |order: &Order| !order.states.contains(&"confirmed".to_owned());
            let Some(order) = h.pick(dice, is_unsold) else {
                return false;
            };
            h.restarted.deliveries.push(Delivery {
                order: order.id,
                after_ms: None,
            });
            true
        },
    ),
    (
        "somebody is told of no order",
        Rule::NotifiedOnce,
        |h, _| {
            h.restarted.deliveries.push(Delivery {
                order: "o-nowhere".to_owned(),
                after_ms: None,
            });
            true
        },
    ),
];

fn status(verdict: &IntegrityVerdict, rule: Rule) -> Status {
    let own = verdict.rules.iter().find(|one| one.rule == rule);
    own.expect("every rule is claimed").status
}

#[test]
fn every_mutant_is_found_by_its_rule() {
    let base = base();
    for (name, rule, breed) in MUTANTS {
        let mut bred = 0;
        for seed in 0..SEEDS {
            let mut history = History::of(seed);
            if !breed(&mut history, &mut Dice::new(seed ^ 0xabc)) {
                continue;
            }
            bred += 1;
            let verdict = history.verdict(&base);
            assert_eq!(
                status(&verdict, *rule),
                Status::NotHeld,
                "{name}, seed {seed}"
            );
            assert_eq!(verdict.status, Status::NotHeld);
            let own = verdict.rules.iter().find(|one| one.rule == *rule);
            let own = own.expect("every rule is claimed");
            assert!(own.violations > 0 && !own.examples.is_empty() && own.examples.len() <= 5);
            assert!(verdict.why.contains(rule.name()), "{}", verdict.why);
        }
        assert!(bred > SEEDS / 3, "{name}: only {bred} bred");
    }
    for rule in Rule::ALL {
        assert!(
            MUTANTS.iter().any(|(_, own, _)| *own == rule),
            "{}",
            rule.name()
        );
    }
}

/// Takes one piece of evidence away.
type Hide = fn(&mut Record);

fn fails(record: &mut Record, which: Reading) {
    for event in &mut record.events {
        if matches!(&event.what, Event::AuditRead { reading, .. } if *reading == which) {
            event.what = Event::AuditFailed {
                reading: which,
                why: "connection refused".to_owned(),
            };
        }
    }
    record.audits.retain(|line| line.reading != which);
}

fn restless(record: &mut Record, which: Reading) {
    for event in &mut record.events {
        if let Event::AuditRead { reading, quiet, .. } = &mut event.what
            && *reading == which
        {
            *quiet = false;
        }
    }
}

/// Loses the first line of a kind in a reading.
fn loses(record: &mut Record, which: Reading, is_it: impl Fn(&AuditLine) -> bool) {
    let at = record
        .audits
        .iter()
        .position(|line| line.reading == which && is_it(&line.line));
    record.audits.remove(at.expect("it was there"));
}

const HIDDEN: &[(&str, Hide)] = &[
    ("no reading before", |record| fails(record, Reading::Before)),
    ("no reading after", |record| fails(record, Reading::After)),
    ("no reading restarted", |record| {
        fails(record, Reading::Restarted);
    }),
    ("restless before", |record| {
        restless(record, Reading::Before);
    }),
    ("restless after", |record| restless(record, Reading::After)),
    ("restless restarted", |record| {
        restless(record, Reading::Restarted);
    }),
    ("an order's line is cut", |record| {
        loses(record, Reading::After, |line| {
            matches!(line, AuditLine::Order(_))
        });
    }),
    ("a charge's line is cut", |record| {
        loses(record, Reading::Restarted, |line| {
            matches!(line, AuditLine::Charge(_))
        });
    }),
    ("a head is missing", |record| {
        loses(record, Reading::Before, |line| {
            matches!(line, AuditLine::Audit(_))
        });
    }),
    ("an end is missing", |record| {
        loses(record, Reading::Restarted, |line| {
            matches!(line, AuditLine::End(_))
        });
    }),
    ("an answer came twice", |record| {
        let again = record.audits.clone();
        record.audits.extend(again);
    }),
    ("another version", |record| {
        for line in &mut record.audits {
            if let AuditLine::Audit(head) = &mut line.line {
                head.version = 2;
            }
        }
    }),
    ("the log failed", |record| {
        let what = Event::OperationLogFailed {
            why: "no space left".to_owned(),
        };
        let at = record.events.len() as u64;
        record.events.push(crate::event::Stamped { at, what });
    }),
    ("the log was not read", |record| {
        let is_log = |event: &Event| matches!(event, Event::OperationsLogged { .. });
        record.events.retain(|event| !is_log(&event.what));
    }),
    ("an operation is missing", |record| {
        record.operations.remove(0);
    }),
    ("nothing was acknowledged", |record| {
        let is_ok = |outcome| outcome == OperationOutcome::Ok;
        for operation in &mut record.operations {
            if is_ok(operation.outcome) {
                operation.outcome = OperationOutcome::Unknown;
            }
        }
    }),
    ("no restart", |record| {
        record.events.retain(|event| event.what != Event::Restarted);
    }),
    ("no end", |record| record.end = None),
    ("no audit in the description", |record| {
        let mut plan = serde_json::to_value(&record.header.plan).expect("plain data");
        plan["target"]["deploy"]["audit"] = serde_json::Value::Null;
        record.header.plan = serde_json::from_value(plan).expect("still a plan");
    }),
];

#[test]
fn without_any_piece_of_evidence_nothing_is_held_and_nothing_is_blamed() {
    let base = base();
    for (name, hide) in HIDDEN {
        for seed in 0..SEEDS {
            let mut record = History::of(seed).record(&base);
            hide(&mut record);
            let verdict = super::check(&record).expect("the plan claims it");
            assert_eq!(
                verdict.status,
                Status::Unknown,
                "{name}, seed {seed}: {}",
                verdict.why
            );
            assert!(!verdict.why.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_violation_stands_whatever_else_is_missing_unless_that_explains_it() {
    let base = base();
    let check = |name: &str, hidden: &str, expected: Status| {
        let (_, rule, breed) = MUTANTS.iter().find(|(own, ..)| *own == name).expect(name);
        let (_, hide) = HIDDEN.iter().find(|(own, _)| *own == hidden).expect(hidden);
        for seed in 0..SEEDS {
            let mut history = History::of(seed);
            // Both later readings are spoilt in the same way.
            if !breed(&mut history, &mut Dice::new(seed))
                || history.after.orders != history.restarted.orders
            {
                continue;
            }
            let mut record = history.record(&base);
            hide(&mut record);
            let verdict = super::check(&record).expect("the plan claims it");
            assert_eq!(
                status(&verdict, *rule),
                expected,
                "{name}, {hidden}, seed {seed}"
            );
        }
    };
    let lost = "an acknowledged order is lost";
    for hidden in [
        "no reading before",
        "no reading after",
        "no reading restarted",
        "restless after",
        "no end",
    ] {
        check(lost, hidden, Status::NotHeld);
    }
    check("an order is invented", "no reading after", Status::NotHeld);
    check("an order is invented", "no reading before", Status::Unknown);
    check("an order is invented", "the log failed", Status::Unknown);
    check(
        "an event never arrives",
        "no reading restarted",
        Status::Unknown,
    );
    check(
        "an event never arrives",
        "restless restarted",
        Status::Unknown,
    );
    check(
        "a shopper is told twice",
        "no reading restarted",
        Status::Unknown,
    );
    check("a shopper is told twice", "no end", Status::NotHeld);
    check(
        "an order is stored twice",
        "restless after",
        Status::NotHeld,
    );
    check(
        "an order is stored twice",
        "no reading before",
        Status::NotHeld,
    );
    check(
        "a refused order is sold",
        "restless restarted",
        Status::NotHeld,
    );
    check(
        "a history runs backwards",
        "restless after",
        Status::NotHeld,
    );
}

/// Keeps only what stands between heads and ends, as somebody may who has checked them.
fn bare(record: &mut Record) {
    record
        .audits
        .retain(|line| !matches!(line.line, AuditLine::Audit(_) | AuditLine::End(_)));
}

#[test]
fn without_heads_and_ends_the_word_of_the_reader_and_a_whole_record_count() {
    let base = base();
    let verdict = |history: &History, hide: Hide| {
        let mut record = history.record(&base);
        bare(&mut record);
        hide(&mut record);
        super::check(&record).expect("the plan claims it")
    };
    for seed in 0..SEEDS {
        let mut history = History::of(seed);
        let clean = verdict(&history, |_| {});
        assert_eq!(clean.status, Status::Held, "seed {seed}: {}", clean.why);
        let cut = verdict(&history, |record| {
            loses(record, Reading::After, |line| {
                matches!(line, AuditLine::Order(_))
            });
        });
        assert_eq!(cut.status, Status::Unknown, "seed {seed}: {}", cut.why);
        let unvouched = verdict(&history, |record| fails(record, Reading::After));
        assert_eq!(unvouched.status, Status::Unknown, "seed {seed}");
        history.restarted.orders.clear();
        assert_eq!(
            verdict(&history, |_| {}).status,
            Status::NotHeld,
            "seed {seed}"
        );
        // The rest of the answer may be what is missing.
        let incomplete = verdict(&history, |record| record.end = None);
        assert_eq!(incomplete.status, Status::Unknown, "seed {seed}");
    }
}

#[test]
fn what_a_service_says_beyond_what_it_holds_does_not_count() {
    let base = base();
    let mut record = History::of(3).record(&base);
    let end = record
        .audits
        .iter()
        .position(|line| {
            line.service == "api"
                && line.reading == Reading::After
                && matches!(line.line, AuditLine::End(_))
        })
        .expect("it answered in full");
    let mut own_books = record.audits[end].clone();
    own_books.line = AuditLine::Delivery(Delivery {
        order: "o-nowhere".to_owned(),
        after_ms: None,
    });
    if let AuditLine::End(end) = &mut record.audits[end].line {
        end.lines += 1;
    }
    record.audits.insert(end, own_books);
    let verdict = super::check(&record).expect("the plan claims it");
    assert_eq!(verdict.status, Status::Held, "{}", verdict.why);
}

/// A target may promise arrivals only, and not say how often or how soon.
#[test]
fn events_that_arrive_again_or_late_are_no_harm_where_arrivals_are_all_that_is_promised() {
    let base = base();
    for seed in 0..SEEDS {
        let mut history = History::of(seed);
        let mut again = history.restarted.deliveries.clone();
        again[0].after_ms = Some(1_000_000);
        history.restarted.deliveries.extend(again);
        let verdict = history.verdict(&base);
        assert_eq!(status(&verdict, Rule::NotifiedOnce), Status::NotHeld);
        assert_eq!(
            status(&verdict, Rule::EventsDelivered),
            Status::Held,
            "seed {seed}: {}",
            verdict.why
        );
        let mut record = history.record(&base);
        let mut plan = serde_json::to_value(&record.header.plan).expect("plain data");
        plan["target"]["deploy"]["audit"]["notified_within"] = serde_json::Value::Null;
        record.header.plan = serde_json::from_value(plan).expect("still a plan");
        let verdict = super::check(&record).expect("the plan claims it");
        assert_eq!(status(&verdict, Rule::NotifiedOnce), Status::Unknown);
        assert_eq!(status(&verdict, Rule::EventsDelivered), Status::Held);
    }
}
