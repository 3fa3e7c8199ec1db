//! Drives an order from where it stands to its end.
//!
//! Invariant: every step reads its decision from the role that owns it, writes it here only if the
//! order still stands where the step began, and can be taken by any number of drivers at once: they
//! get the same decisions, one of them writes, and the others read what it wrote.

use ::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;
use sqlx::AnyConnection;

use super::Orders;
use super::order::{BY_CATALOG, BY_PAYMENTS, Order};
use super::state::State;
use crate::clock;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::outbox;

/// Steps from the first state to the last, and one more for each time another driver was faster.
const STEPS_MAX: u32 = 6;
/// The kind of the event of a sold order.
const EVENT: &str = "order-confirmed";

/// Orders brought to their end, by how they ended.
#[derive(Debug, Clone)]
pub(super) struct Outcomes(Family<OutcomeLabels, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

impl Outcomes {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family = Family::default();
        registry.register(
            "orders_ended",
            "Orders this instance brought to their end",
            family.clone(),
        );
        Self(family)
    }

    fn count(&self, state: State) {
        self.0
            .get_or_create(&OutcomeLabels {
                outcome: state.name(),
            })
            .inc();
    }
}

/// One change of an order's state, written only if the order still stands at `from`.
#[derive(Debug, Clone)]
pub(super) struct Change {
    from: State,
    to: State,
    /// Whether somebody still has to act afterwards.
    due: bool,
    amount: i64,
    lines: String,
    refusal: Option<&'static str>,
    reason: Option<String>,
    charge_id: Option<String>,
}

impl Change {
    fn new(order: &Order, to: State, due: bool) -> Self {
        Self {
            from: order.state,
            to,
            due,
            amount: order.amount,
            lines: order.lines.clone(),
            refusal: None,
            reason: None,
            charge_id: None,
        }
    }

    // The order as it is afterwards.
    fn applied_to(&self, order: &Order) -> Order {
        Order {
            state: self.to,
            amount: self.amount,
            lines: self.lines.clone(),
            refusal: self.refusal.map(str::to_owned),
            reason: self.reason.clone(),
            ..order.clone()
        }
    }
}

#[derive(Debug, Deserialize)]
struct Reservation {
    state: String,
    reason: Option<String>,
    amount: i64,
    lines: Box<RawValue>,
}

#[derive(Debug, Deserialize)]
struct Payment {
    charge_id: String,
    state: String,
    reason: Option<String>,
}

impl Orders {
    /// Takes step after step until the order is at its end; fails if a callee cannot be asked.
    pub(super) async fn drive(
        &self,
        mut order: Order,
        context: &Context,
    ) -> Result<Order, ApiError> {
        for _ in 0..STEPS_MAX {
            let written = match order.state {
                State::Pending => self.reserve(&order, context).await?,
                State::Reserved => self.charge(&order, context).await?,
                State::Confirmed | State::Refused | State::Cancelled => return Ok(order),
            };
            order = match written {
                Some(order) => order,
                // Another driver was faster: go on from what it wrote.
                None => Order::by_id(&self.database, &order.id).await?,
            };
        }
        Ok(order)
    }

    async fn reserve(&self, order: &Order, context: &Context) -> Result<Option<Order>, ApiError> {
        #[derive(Serialize)]
        struct Wish<'a> {
            order_id: &'a str,
            lines: &'a RawValue,
        }
        let lines = serde_json::from_str(&order.lines)
            .map_err(|error| ApiError::internal(error.to_string()))?;
        let wish = Wish {
            order_id: &order.id,
            lines,
        };
        let answer = self
            .catalog
            .post_json("/reservations", &order.id, &wish, context)
            .await?;
        let reservation: Reservation = self
            .catalog
            .document(&answer, &[StatusCode::OK, StatusCode::CONFLICT])?;
        let change = if reservation.state == "reserved" {
            let change = Change::new(order, State::Reserved, true);
            Change {
                amount: reservation.amount,
                lines: reservation.lines.get().to_owned(),
                ..change
            }
        } else {
            let change = Change::new(order, State::Refused, false);
            Change {
                refusal: Some(BY_CATALOG),
                reason: reservation.reason,
                ..change
            }
        };
        self.write(order, change).await
    }

    async fn charge(&self, order: &Order, context: &Context) -> Result<Option<Order>, ApiError> {
        let wish = json!({
            "order_id": order.id, "shopper_id": order.shopper_id, "amount": order.amount, "card": order.card,
        });
        let answer = self
            .payments
            .post_json("/charges", &order.id, &wish, context)
            .await?;
        let payment: Payment = self
            .payments
            .document(&answer, &[StatusCode::OK, StatusCode::PAYMENT_REQUIRED])?;
        if payment.state == "charged" {
            let change = Change::new(order, State::Confirmed, false);
            return self
                .write(
                    order,
                    Change {
                        charge_id: Some(payment.charge_id),
                        ..change
                    },
                )
                .await;
        }
        // Due until the stock is given back, which the sweep does if this process does not get to it.
        let change = Change::new(order, State::Refused, true);
        let change = Change {
            refusal: Some(BY_PAYMENTS),
            reason: payment.reason,
            ..change
        };
        let written = self.write(order, change).await?;
        if let Err(error) = self.give_back(&order.id, context).await {
            tracing::warn!(
                order = order.id,
                ?error,
                "failed to give stock back; trying again later"
            );
        }
        Ok(written)
    }

    /// Gives up an order that has not asked for money; what it may hold is given back afterwards.
    pub(super) async fn cancel(&self, order: &Order) -> Result<Option<Order>, ApiError> {
        self.write(order, Change::new(order, State::Cancelled, true))
            .await
    }

    /// Gives back what an order at its end may hold, and marks it as done.
    pub(super) async fn give_back(
        &self,
        order_id: &str,
        context: &Context,
    ) -> Result<(), ApiError> {
        let path = format!("/reservations/{order_id}/release");
        let answer = self
            .catalog
            .post_json(&path, order_id, &json!({}), context)
            .await?;
        self.catalog
            .document::<serde_json::Value>(&answer, &[StatusCode::OK])?;
        sqlx::query(
            "UPDATE orders SET due = 0 WHERE id = $1 AND state IN ('refused', 'cancelled')",
        )
        .bind(order_id)
        .execute(self.database.writer())
        .await?;
        Ok(())
    }

    // The order as changed, or nothing if it no longer stood where the change begins.
    async fn write(&self, order: &Order, change: Change) -> Result<Option<Order>, ApiError> {
        debug_assert!(
            change.from.may_become(change.to),
            "{} to {}",
            change.from,
            change.to
        );
        let changed = change.applied_to(order);
        let written = match &self.late {
            None => self.commit(&changed, &change).await?,
            Some(late) => late.promise(changed.clone(), change).await,
        };
        Ok(written.then_some(changed))
    }

    /// Writes a change of an order, given as it is afterwards; says whether the order still stood where
    /// the change begins.
    pub(super) async fn commit(&self, order: &Order, change: &Change) -> Result<bool, ApiError> {
        let mut transaction = self.database.begin().await?;
        let written = change.update(&mut transaction, &order.id).await?;
        if !written {
            transaction.rollback().await?;
            return Ok(false);
        }
        let event = json!({
            "order_id": order.id, "shopper_id": order.shopper_id, "amount": order.amount,
        });
        let event_id = format!("e-{}", order.id);
        match change.to {
            State::Confirmed if self.memory_outbox.is_none() => {
                outbox::put(&mut transaction, &event_id, EVENT, &event).await?;
            }
            State::Refused | State::Cancelled => {
                open_cart_again(&mut transaction, &order.id).await?;
            }
            State::Pending | State::Reserved | State::Confirmed => {}
        }
        transaction.commit().await?;
        if change.to != State::Reserved {
            self.outcomes.count(change.to);
        }
        if change.to == State::Confirmed {
            match &self.memory_outbox {
                None => self.bell.notify_one(),
                Some(outbox) => outbox.put(&event_id, EVENT, &event).await,
            }
        }
        Ok(true)
    }
}

impl Change {
    async fn update(&self, connection: &mut AnyConnection, id: &str) -> Result<bool, sqlx::Error> {
        let updated = sqlx::query(
            "UPDATE orders SET state = $3, due = $4, amount = $5, lines = $6, refusal = $7, reason = $8,
                               charge_id = $9, updated_at = $10
             WHERE id = $1 AND state = $2",
        )
        .bind(id)
        .bind(self.from.name())
        .bind(self.to.name())
        .bind(i64::from(self.due))
        .bind(self.amount)
        .bind(&self.lines)
        .bind(self.refusal)
        .bind(&self.reason)
        .bind(&self.charge_id)
        .bind(clock::now_ms())
        .execute(connection)
        .await?;
        Ok(updated.rows_affected() == 1)
    }
}

// The shopper may change the cart and try again.
async fn open_cart_again(
    connection: &mut AnyConnection,
    order_id: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("UPDATE carts SET order_id = NULL WHERE id = (SELECT cart_id FROM orders WHERE id = $1) AND order_id = $1")
        .bind(order_id)
        .execute(connection)
        .await?;
    Ok(())
}
