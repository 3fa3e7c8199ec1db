//! The bugs that can be planted in the store, so that the checks of a run can be shown to find them.
//!
//! Invariant: no bug is planted unless `BUG` names it, and a role with one says so in its log at its start.

use crate::role::Role;

/// A mistake that real stores have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The shopper hears of an order before the database does.
    AcknowledgeBeforeCommit,
    /// A charge that is asked for again is a new charge to the bank.
    ChargeTwiceOnRetry,
    /// Events wait in memory instead of the database.
    LoseOutbox,
}

impl Bug {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [
        Self::AcknowledgeBeforeCommit,
        Self::ChargeTwiceOnRetry,
        Self::LoseOutbox,
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
            Self::LoseOutbox => "lose_outbox",
        }
    }

    /// The only role that can have it.
    pub(crate) fn role(self) -> Role {
        match self {
            Self::AcknowledgeBeforeCommit | Self::LoseOutbox => Role::Orders,
            Self::ChargeTwiceOnRetry => Role::Payments,
        }
    }

    /// What a role with the bug does, to follow "it".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::AcknowledgeBeforeCommit => {
                "tells shoppers that their order is confirmed before it is written"
            }
            Self::ChargeTwiceOnRetry => "asks the bank under a fresh key at each try",
            Self::LoseOutbox => "keeps events in memory and forgets them when it ends",
        }
    }
}
