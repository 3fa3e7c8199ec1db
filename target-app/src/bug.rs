//! The bugs that can be planted in the store, so that the checks of a run can be shown to find them.
//!
//! Invariant: no bug is planted unless `BUG` names it, and a role with one says so in its log at its start.

pub(crate) mod later;

use crate::role::Role;

/// A mistake that real stores have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The shopper hears of an order before the database does.
    AcknowledgeBeforeCommit,
    /// A charge that is asked for again is a new charge to the bank.
    ChargeTwiceOnRetry,
    /// Stock is read, reckoned with, and written back.
    StockRace,
    /// An order whose charge gets no answer is given up, and that is all.
    ForgetCompensation,
    /// The shopper is told of a sale before the database is, under a new name each time.
    PublishBeforeCommit,
    /// Events are taken before they are written.
    AcknowledgeBeforeProcessing,
    /// Products are sold at the price they had when it was first asked for.
    StalePrice,
    /// Events wait in memory instead of the database.
    LoseOutbox,
    /// A token is good for ever.
    AcceptExpiredToken,
    /// A check-out that is tried again is another check-out.
    RepeatCheckoutWithNewKey,
    /// A refund is promised, and kept in memory until it is asked for.
    LoseRefund,
    /// What happened first is written last, wherever the order stands by then.
    ReorderStates,
}

impl Bug {
    /// All of them.
    pub(crate) const ALL: [Self; 12] = [
        Self::AcknowledgeBeforeCommit,
        Self::ChargeTwiceOnRetry,
        Self::StockRace,
        Self::ForgetCompensation,
        Self::PublishBeforeCommit,
        Self::AcknowledgeBeforeProcessing,
        Self::StalePrice,
        Self::LoseOutbox,
        Self::AcceptExpiredToken,
        Self::RepeatCheckoutWithNewKey,
        Self::LoseRefund,
        Self::ReorderStates,
    ];

    /// The bug of a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bug| bug.name() == name)
    }

    /// The name, as `BUG` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AcknowledgeBeforeCommit => "acknowledge_before_commit",
            Self::ChargeTwiceOnRetry => "charge_twice_on_retry",
            Self::StockRace => "stock_race",
            Self::ForgetCompensation => "forget_compensation",
            Self::PublishBeforeCommit => "publish_before_commit",
            Self::AcknowledgeBeforeProcessing => "acknowledge_before_processing",
            Self::StalePrice => "stale_price",
            Self::LoseOutbox => "lose_outbox",
            Self::AcceptExpiredToken => "accept_expired_token",
            Self::RepeatCheckoutWithNewKey => "repeat_checkout_with_new_key",
            Self::LoseRefund => "lose_refund",
            Self::ReorderStates => "reorder_states",
        }
    }

    /// The only role that can have it.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::AcknowledgeBeforeCommit
            | Self::ForgetCompensation
            | Self::PublishBeforeCommit
            | Self::LoseOutbox
            | Self::ReorderStates => Role::Orders,
            Self::ChargeTwiceOnRetry | Self::LoseRefund => Role::Payments,
            Self::StockRace | Self::StalePrice => Role::Catalog,
            Self::AcknowledgeBeforeProcessing => Role::Notifications,
            Self::AcceptExpiredToken | Self::RepeatCheckoutWithNewKey => Role::Gateway,
        }
    }

    /// What a role with the bug does, to follow "it".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::AcknowledgeBeforeCommit => {
                "tells shoppers that their order is confirmed before it is written"
            }
            Self::ChargeTwiceOnRetry => "asks the bank under a fresh key at each try",
            Self::StockRace => "writes stock as it was a moment ago, less what was just sold",
            Self::ForgetCompensation => {
                "gives an order up whose charge gets no answer, and keeps its stock and its money"
            }
            Self::PublishBeforeCommit => {
                "tells shoppers of a sale before it is written, and again if it has to be written again"
            }
            Self::AcknowledgeBeforeProcessing => "says that it has recorded events before it has",
            Self::StalePrice => "sells at the price it heard first, whatever the price is now",
            Self::LoseOutbox => "keeps events in memory and forgets them when it ends",
            Self::AcceptExpiredToken => "lets shoppers in whose token has expired",
            Self::RepeatCheckoutWithNewKey => "tries a check-out again under a key of its own",
            Self::LoseRefund => "promises refunds before it has asked the bank for them",
            Self::ReorderStates => {
                "writes late that stock is set aside, over whatever was written since"
            }
        }
    }
}
