//! What a target answers when it is asked what it holds: the lines of the audit contract, version 1.
//!
//! Invariant: a reader understands every kind of line or fails; extra fields are ignored. What was
//! read is kept as it was told, and judged only by [`crate::integrity`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One line of an answer, an object with one key that names its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditLine {
    /// The first line.
    Audit(AuditHead),
    Order(Order),
    Charge(Charge),
    Refund(Refund),
    Stock(Stock),
    Delivery(Delivery),
    /// The last line.
    End(AuditEnd),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditHead {
    /// Version of the contract: 1.
    pub version: u32,
}

/// An order, with every state it ever was in, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub id: String,
    /// The key the client made.
    pub key: String,
    /// In the smallest unit of money.
    pub amount: i64,
    pub states: Vec<String>,
    pub items: Vec<Item>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub quantity: i64,
}

/// Money that moved to the target, told by whoever moved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub id: String,
    pub order: String,
    /// In the smallest unit of money.
    pub amount: i64,
}

/// Money that moved back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    pub id: String,
    pub charge: String,
    pub order: String,
    /// In the smallest unit of money.
    pub amount: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    pub sku: String,
    /// Pieces that can be sold.
    pub available: i64,
    /// Pieces set aside for orders that are not decided yet.
    pub reserved: i64,
}

/// The event of a sold order has arrived where it should, or somebody was told of it; one for each time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub order: String,
    /// How long after the order was sold, in milliseconds, if the source knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEnd {
    /// Lines before this one.
    pub lines: u64,
}

/// When the target was asked.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Before the load.
    Before,
    /// After every fault was undone and the target had come to rest.
    After,
    /// After every instance was restarted.
    Restarted,
}

impl Reading {
    /// In plain words, fit for "the reading ...".
    pub fn words(self) -> &'static str {
        match self {
            Self::Before => "before the load",
            Self::After => "after the load",
            Self::Restarted => "after the restart",
        }
    }
}

/// One line of one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    pub reading: Reading,
    pub service: String,
    pub line: AuditLine,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_the_contract_writes_them() {
        let check = |text: &str| {
            let line: AuditLine = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&line).expect("plain data"), text);
        };
        check(r#"{"audit":{"version":1}}"#);
        check(
            r#"{"order":{"id":"o-1","key":"k","amount":1999,"states":["pending","paid"],"items":[{"sku":"p-2","quantity":1}]}}"#,
        );
        check(r#"{"charge":{"id":"c-1","order":"o-1","amount":1999}}"#);
        check(r#"{"refund":{"id":"r-1","charge":"c-1","order":"o-1","amount":1999}}"#);
        check(r#"{"stock":{"sku":"p-2","available":999990,"reserved":3}}"#);
        check(r#"{"delivery":{"order":"o-1"}}"#);
        check(r#"{"delivery":{"order":"o-1","after_ms":12}}"#);
        check(r#"{"end":{"lines":6}}"#);
    }

    #[test]
    fn an_unknown_kind_is_an_error_and_an_extra_field_is_not() {
        let read = serde_json::from_str::<AuditLine>;
        assert!(read(r#"{"voucher":{"id":"v-1"}}"#).is_err());
        assert!(read(r#"{"delivery":{"order":"o-1"},"end":{"lines":1}}"#).is_err());
        assert!(read(r#"{"delivery":{"order":"o-1","to":"x"}}"#).is_ok());
    }
}
