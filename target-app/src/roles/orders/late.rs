//! The planted bug `acknowledge_before_commit`: changes of orders are promised at once and written later.
//!
//! What a process has promised is lost if it is killed before it has written it: the shopper was told
//! that the order is confirmed, and the database never heard of it.
//!
//! Invariant: changes are written in the order of their promises, so that a process that lives on ends
//! where a sound one does; without the bug nothing of this file runs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::Orders;
use super::order::Order;
use super::saga::Change;
use crate::serve::stopped;

/// How long after its promise a change is written.
const DELAY: Duration = Duration::from_millis(100);
/// The most promises not kept yet; then promising waits.
const PROMISES_MAX: usize = 1024;

/// A change that somebody was told of and that is not written yet.
#[derive(Debug)]
struct Promise {
    due: Instant,
    order: Order,
    change: Change,
}

/// Takes promises.
#[derive(Debug)]
pub(super) struct Late(mpsc::Sender<Promise>);

/// Keeps them.
#[derive(Debug)]
pub(super) struct Promises(mpsc::Receiver<Promise>);

/// The two ends of a queue of promises.
pub(super) fn queue() -> (Late, Promises) {
    let (sender, receiver) = mpsc::channel(PROMISES_MAX);
    (Late(sender), Promises(receiver))
}

impl Late {
    /// Promises to write a change; the order is as it will be then.
    pub(super) async fn promise(&self, order: Order, change: Change) -> bool {
        let due = Instant::now() + DELAY;
        self.0.send(Promise { due, order, change }).await.is_ok()
    }
}

impl Promises {
    /// Writes what was promised until `stop` turns true, and then what is left.
    pub(super) async fn keep(mut self, orders: Arc<Orders>, mut stop: watch::Receiver<bool>) {
        let mut stopping = false;
        loop {
            let promise = tokio::select! {
                promise = self.0.recv() => promise,
                () = stopped(&mut stop), if !stopping => {
                    stopping = true;
                    self.0.close();
                    continue;
                }
            };
            let Some(Promise { due, order, change }) = promise else {
                return;
            };
            if !stopping {
                tokio::time::sleep_until(due).await;
            }
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
