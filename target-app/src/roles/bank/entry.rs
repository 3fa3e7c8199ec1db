//! What stands in the bank's ledger, one JSON line each.
//!
//! Invariant: an entry says all that its answer needs, so that an old key is answered from the ledger
//! alone.

use serde::{Deserialize, Serialize};

use super::ChargeWish;
use crate::audit::Line;

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// Money went from a card to the shop.
    Charge(Charge),
    /// A card was asked and no money moved.
    Decline(Decline),
    /// The money of a charge went back.
    Refund(Refund),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Charge {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) order: String,
    pub(super) amount: i64,
    pub(super) card: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Decline {
    pub(super) key: String,
    pub(super) order: String,
    pub(super) amount: i64,
    pub(super) card: String,
    pub(super) reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refund {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) charge: String,
    pub(super) order: String,
    pub(super) amount: i64,
}

impl Charge {
    /// Whether this is what the wish asks for.
    pub(super) fn is_for(&self, wish: &ChargeWish) -> bool {
        (&self.order, self.amount, &self.card) == (&wish.order, wish.amount, &wish.card)
    }
}

impl Decline {
    /// Whether this is what the wish asks for.
    pub(super) fn is_for(&self, wish: &ChargeWish) -> bool {
        (&self.order, self.amount, &self.card) == (&wish.order, wish.amount, &wish.card)
    }
}

impl Entry {
    /// The key under which it was asked for.
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Charge(Charge { key, .. })
            | Self::Decline(Decline { key, .. })
            | Self::Refund(Refund { key, .. }) => key,
        }
    }

    /// The line of an audit, if money moved.
    pub(super) fn into_line(self) -> Option<Line> {
        match self {
            Self::Charge(charge) => Some(Line::Charge {
                id: charge.id,
                order: charge.order,
                amount: charge.amount,
            }),
            Self::Refund(refund) => Some(Line::Refund {
                id: refund.id,
                charge: refund.charge,
                order: refund.order,
                amount: refund.amount,
            }),
            Self::Decline(_) => None,
        }
    }
}
