//! The planted bugs that write changes of orders late: all that was promised (`acknowledge_before_commit`),
//! or only that stock is set aside, over whatever was written since (`reorder_states`).
//!
//! Invariant: changes are written in the order of their promises, so that with the first bug a process that
//! lives on ends where a sound one does; without a bug nothing of this file runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Orders;
use super::order::Order;
use super::saga::Change;
use super::state::State;
use crate::bug::Bug;
use crate::bug::later::{self, Later, Promised};

/// How long after its promise a change is written.
const DELAY: Duration = Duration::from_millis(100);

/// Takes promises.
#[derive(Debug)]
pub(super) struct Late {
    bug: Bug,
    promises: Later<(Order, Change)>,
}

/// Keeps them.
#[derive(Debug)]
pub(super) struct Promises(Promised<(Order, Change)>);

/// The two ends of a queue of promises, with a bug that needs one.
pub(super) fn queue(bug: Option<Bug>) -> (Option<Late>, Option<Promises>) {
    match bug {
        Some(bug @ (Bug::AcknowledgeBeforeCommit | Bug::ReorderStates)) => {
            let (promises, promised) = later::queue(DELAY);
            (Some(Late { bug, promises }), Some(Promises(promised)))
        }
        _ => (None, None),
    }
}

impl Late {
    /// Whether a change to this state is promised and not written at once.
    pub(super) fn takes(&self, to: State) -> bool {
        self.bug == Bug::AcknowledgeBeforeCommit || to == State::Reserved
    }

    /// Promises to write a change; the order is as it will be then.
    pub(super) async fn promise(&self, order: Order, change: Change) -> bool {
        self.promises.promise((order, change)).await
    }
}

impl Promises {
    /// Writes what was promised until `stop` turns true, and then what is left.
    pub(super) async fn keep(mut self, orders: Arc<Orders>, mut stop: watch::Receiver<bool>) {
        while let Some((order, change)) = self.0.next(&mut stop).await {
            if let Err(error) = orders.commit(&order, &change).await {
                tracing::warn!(
                    order = order.id,
                    ?error,
                    "failed to write a change that was promised"
                );
            }
        }
    }
}
