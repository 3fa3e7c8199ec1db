//! Finds orders that were left behind, by a driver that died or a callee that did not answer, and
//! brings them to their end.
//!
//! Invariant: an order is swept by one instance at a time, and only after nobody touched it for
//! [`LEFT_BEHIND_MS`]. Whoever may still be working on it then does no harm: both get the same decisions,
//! and the first to write wins.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Orders;
use super::order::Order;
use super::state::State;
use crate::clock;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::serve::stopped;
use crate::trouble::Trouble;

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After how long an order counts as left behind: longer than a step of a driver that lives takes.
const LEFT_BEHIND_MS: i64 = 3000;
/// How long after its making an order may wait for word of its payment.
const DECIDE_WITHIN_MS: i64 = 15_000;
/// The most orders swept together.
const BATCH: i64 = 20;

/// Sweeps until `stop` turns true.
pub(super) async fn run(orders: Arc<Orders>, mut stop: watch::Receiver<bool>) {
    if !orders.database.prepared(&mut stop).await {
        return;
    }
    let mut trouble = Trouble::default();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        match sweep(&orders, LEFT_BEHIND_MS).await {
            Ok(_) => drop(trouble.is_over()),
            Err(error) => {
                if trouble.is_news(&format!("{error:?}")) {
                    tracing::warn!(?error, "failed to look for orders left behind");
                }
            }
        }
    }
}

/// Sweeps once, all orders untouched for so long; says how many it took up.
pub(super) async fn sweep(orders: &Arc<Orders>, untouched_ms: i64) -> Result<usize, ApiError> {
    let before = clock::now_ms() - untouched_ms;
    if !anything_due(orders, before).await? {
        return Ok(0);
    }
    let mut sweeping = JoinSet::new();
    for id in claim(orders, before).await? {
        let orders = Arc::clone(orders);
        sweeping.spawn(async move {
            let context = Context::background("sweep");
            let finishing = async {
                if let Err(error) = finish(&orders, &id, &context).await {
                    tracing::warn!(order = id, ?error, "failed to finish an order");
                }
            };
            context.clone().scope(finishing).await;
        });
    }
    Ok(sweeping.join_all().await.len())
}

async fn finish(orders: &Orders, id: &str, context: &Context) -> Result<(), ApiError> {
    let mut order = Order::by_id(&orders.database, id).await?;
    if order.state == State::Pending {
        order = match orders.give_up(&order).await? {
            Some(order) => order,
            None => Order::by_id(&orders.database, id).await?,
        };
    }
    order = decide(orders, order, context).await?;
    tracing::info!(
        order = id,
        state = order.state.name(),
        "finished an order that was left behind"
    );
    match order.state {
        State::Refused | State::Cancelled => orders.give_back(id, context).await,
        _ => Ok(()),
    }
}

// To its end, or for want of an answer about its money to calling it off. A driver that hears of the
// charge at this very moment writes first or not at all, and what it then moved is given back.
async fn decide(orders: &Orders, order: Order, context: &Context) -> Result<Order, ApiError> {
    let is_overdue = clock::now_ms() - order.created_at > DECIDE_WITHIN_MS;
    match orders.drive(order.clone(), context).await {
        Err(error) if is_overdue && order.state == State::Reserved => {
            tracing::warn!(
                order = order.id,
                ?error,
                "calling off an order: nobody tells of its payment"
            );
            let order = match orders.call_off(&order).await? {
                Some(order) => order,
                None => Order::by_id(&orders.database, &order.id).await?,
            };
            orders.drive(order, context).await
        }
        driven => driven,
    }
}

// A look through a reader, so that idle processes do not take the write lock.
async fn anything_due(orders: &Orders, before: i64) -> Result<bool, sqlx::Error> {
    let due: Option<i64> =
        sqlx::query_scalar("SELECT 1 FROM orders WHERE due = 1 AND updated_at <= $1 LIMIT 1")
            .bind(before)
            .fetch_optional(orders.database.reader())
            .await?;
    Ok(due.is_some())
}

// Touching an order claims it: no other instance finds it untouched for a while. One that waits for a
// callee that is not asked now is left alone, unless it has waited for too long.
async fn claim(orders: &Orders, before: i64) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(orders.database.dialect().pick(
        "UPDATE orders SET updated_at = $2 WHERE id IN
           (SELECT id FROM orders WHERE due = 1 AND updated_at <= $1
              AND ((state = 'reserved' AND created_at <= $6)
                OR (state IN ('reserved', 'cancelling', 'voiding') AND $4 = 1)
                OR (state IN ('pending', 'refused', 'cancelled') AND $5 = 1))
            ORDER BY updated_at LIMIT $3)
         RETURNING id",
        "WITH left_behind AS MATERIALIZED
           (SELECT id FROM orders WHERE due = 1 AND updated_at <= $1
              AND ((state = 'reserved' AND created_at <= $6)
                OR (state IN ('reserved', 'cancelling', 'voiding') AND CAST($4 AS BIGINT) = 1)
                OR (state IN ('pending', 'refused', 'cancelled') AND CAST($5 AS BIGINT) = 1))
            ORDER BY updated_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         UPDATE orders SET updated_at = $2 FROM left_behind WHERE orders.id = left_behind.id
         RETURNING orders.id",
    ))
    .bind(before)
    .bind(clock::now_ms())
    .bind(BATCH)
    .bind(i64::from(orders.payments.refuses().is_none()))
    .bind(i64::from(orders.catalog.refuses().is_none()))
    .bind(clock::now_ms() - DECIDE_WITHIN_MS)
    .fetch_all(orders.database.writer())
    .await
}
