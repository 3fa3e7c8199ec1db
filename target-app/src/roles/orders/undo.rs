//! Takes an order back: stock and, if it may have moved, money; and `POST /orders/{id}/cancel`.
//!
//! Invariant: what was taken is given back before the order is said to be at its end, save for an order
//! that never asked for money: its stock comes back right after. Each giving back can be asked for any
//! number of times, so whoever drives the order on does no harm.

use std::sync::Arc;

use ::http::StatusCode;
use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};

use super::Orders;
use super::order::{Order, UNDECIDED};
use super::saga::Change;
use super::state::State;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::extract::{Ids, Shopper};
use crate::roles::CURRENCY;

/// `POST /orders/{id}/cancel`
pub(super) async fn cancel(
    Shared(orders): Shared<Arc<Orders>>,
    Shopper(shopper): Shopper,
    context: Context,
    ids: Ids,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let id = ids.get("id");
    let mut order = Order::of_shopper(&orders.database, id, &shopper)
        .await?
        .ok_or_else(|| ApiError::not_found(format!("you have no order `{id}`")).field("id"))?;
    if order.state == State::Confirmed {
        let change = Change::new(&order, State::Cancelling, true);
        order = match orders.write(&order, change).await? {
            Some(order) => order,
            None => Order::by_id(&orders.database, id).await?,
        };
    }
    match order.state {
        State::Cancelling | State::Refunded => Ok(orders.take_back(order, &context).await),
        State::Pending | State::Reserved | State::Confirmed => {
            Err(ApiError::busy("the order is still being worked on"))
        }
        State::Voiding | State::Refused | State::Cancelled => {
            let state = order.state;
            Err(
                ApiError::conflict(format!("the order was never sold: it is {state}"))
                    .field("id")
                    .help("there is nothing to cancel; nothing stays charged"),
            )
        }
    }
}

impl Orders {
    // The wish to cancel is written, so it will be done, by the sweep if not here.
    async fn take_back(&self, order: Order, context: &Context) -> (StatusCode, Json<Value>) {
        let order = match self.drive(order.clone(), context).await {
            Ok(order) => order,
            Err(error) => {
                tracing::warn!(
                    order = order.id,
                    correlation = context.correlation(),
                    ?error,
                    "failed to take an order back at once; trying again later"
                );
                order
            }
        };
        let status = if order.state == State::Refunded {
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        let told = json!({
            "order_id": order.id, "status": order.state.name(), "amount": order.amount, "currency": CURRENCY,
        });
        (status, Json(told))
    }

    /// Gives back money and stock of a sold order.
    pub(super) async fn refund(
        &self,
        order: &Order,
        context: &Context,
    ) -> Result<Option<Order>, ApiError> {
        let key = format!("refund-{}", order.id);
        let charge = json!({ "order_id": order.id, "charge_id": order.charge_id });
        let answer = self
            .payments
            .post_json("/refunds", &key, &charge, context)
            .await?;
        self.payments
            .document::<Value>(&answer, &[StatusCode::OK])?;
        self.release(&order.id, context).await?;
        self.write(order, Change::new(order, State::Refunded, false))
            .await
    }

    /// Gives up an order whose payment nobody could tell of for too long.
    pub(super) async fn call_off(&self, order: &Order) -> Result<Option<Order>, ApiError> {
        self.write(order, Change::new(order, State::Voiding, true))
            .await
    }

    /// Has payments see to it that the order is not charged, and gives its stock back.
    pub(super) async fn void(
        &self,
        order: &Order,
        context: &Context,
    ) -> Result<Option<Order>, ApiError> {
        let answer = self
            .payments
            .post_json("/voids", &order.id, &order.payment(), context)
            .await?;
        self.payments
            .document::<Value>(&answer, &[StatusCode::OK])?;
        self.release(&order.id, context).await?;
        let reason = "the payment was not decided in time".to_owned();
        let change = Change::refused(order, false, UNDECIDED, Some(reason));
        self.write(order, change).await
    }

    /// Gives up an order that has not asked for money; what it may hold is given back afterwards.
    pub(super) async fn give_up(&self, order: &Order) -> Result<Option<Order>, ApiError> {
        self.write(order, Change::new(order, State::Cancelled, true))
            .await
    }

    /// Gives back the stock that an order at its end may hold, and marks it as done.
    pub(super) async fn give_back(
        &self,
        order_id: &str,
        context: &Context,
    ) -> Result<(), ApiError> {
        self.release(order_id, context).await?;
        sqlx::query(
            "UPDATE orders SET due = 0 WHERE id = $1 AND state IN ('refused', 'cancelled')",
        )
        .bind(order_id)
        .execute(self.database.writer())
        .await?;
        Ok(())
    }

    async fn release(&self, order_id: &str, context: &Context) -> Result<(), ApiError> {
        let path = format!("/reservations/{order_id}/release");
        let answer = self
            .catalog
            .post_json(&path, order_id, &json!({}), context)
            .await?;
        self.catalog.document::<Value>(&answer, &[StatusCode::OK])?;
        Ok(())
    }
}
