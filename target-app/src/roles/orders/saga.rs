//! Drives an order from where it stands to its end.
//!
//! Invariant: every step reads its decision from the role that owns it, writes it here only if the
//! order still stands where the step began, and can be taken by any number of drivers at once: they
//! get the same decisions, one of them writes, and the others read what it wrote.

use std::time::Duration;

use ::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::Orders;
use super::order::{BY_CATALOG, BY_PAYMENTS, Order, UNDECIDED};
use super::state::State;
use crate::bug::Bug;
use crate::clock;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::outbox;
use crate::upstream::Upstream;

/// Steps from the first state to the last, and one more for each time another driver was faster.
const STEPS_MAX: u32 = 6;
/// The kind of the event of a sold order.
const SOLD: &str = "order-confirmed";
/// The kind of the event of a sold order that was taken back.
const TAKEN_BACK: &str = "order-refunded";

/// How long the planted bug that tells of a sale first takes to write it.
const HASTE: Duration = Duration::from_millis(100);

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
    /// To another state and nothing else; `due` if somebody still has to act afterwards.
    pub(super) fn new(order: &Order, to: State, due: bool) -> Self {
        Self {
            from: order.state,
            to,
            due,
            amount: order.amount,
            lines: order.lines.clone(),
            refusal: None,
            reason: None,
            charge_id: order.charge_id.clone(),
        }
    }

    /// To `refused`, by whom and why.
    pub(super) fn refused(
        order: &Order,
        due: bool,
        refusal: &'static str,
        reason: Option<String>,
    ) -> Self {
        Self {
            refusal: Some(refusal),
            reason,
            ..Self::new(order, State::Refused, due)
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
            charge_id: self.charge_id.clone(),
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
                State::Cancelling => self.refund(&order, context).await?,
                State::Voiding => self.void(&order, context).await?,
                _ => return Ok(order),
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
            Change::refused(order, false, BY_CATALOG, reservation.reason)
        };
        self.write(order, change).await
    }

    async fn charge(&self, order: &Order, context: &Context) -> Result<Option<Order>, ApiError> {
        let answer = self
            .payments
            .post_json("/charges", &order.id, &order.payment(), context)
            .await;
        if answer.is_err() && self.bug == Some(Bug::ForgetCompensation) {
            let change = Change::refused(order, false, UNDECIDED, None);
            return self.write(order, change).await;
        }
        let answer = answer?;
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
        let change = Change::refused(order, true, BY_PAYMENTS, payment.reason);
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

    /// The order as changed, or nothing if it no longer stood where the change begins.
    pub(super) async fn write(
        &self,
        order: &Order,
        change: Change,
    ) -> Result<Option<Order>, ApiError> {
        debug_assert!(
            change.from.may_become(change.to),
            "{} to {}",
            change.from,
            change.to
        );
        let changed = change.applied_to(order);
        let written = match &self.late {
            Some(late) if late.takes(change.to) => late.promise(changed.clone(), change).await,
            _ => self.commit(&changed, &change).await?,
        };
        Ok(written.then_some(changed))
    }

    /// Writes a change of an order, given as it is afterwards; says whether the order still stood where
    /// the change begins.
    pub(super) async fn commit(&self, order: &Order, change: &Change) -> Result<bool, ApiError> {
        let event = change.event(order);
        if let (Some(consumer), Some(event)) = (&self.hasty, &event) {
            event.publish_now(consumer).await?;
        }
        let mut transaction = self.database.begin().await?;
        let written = if self.bug == Some(Bug::ReorderStates) {
            let anywhere = change
                .wherever_it_stands(&mut transaction, &order.id)
                .await?;
            anywhere.update(&mut transaction, &order.id).await?
        } else {
            change.update(&mut transaction, &order.id).await?
        };
        if !written {
            transaction.rollback().await?;
            return Ok(false);
        }
        match (&event, &self.memory_outbox) {
            (Some(_), None) if self.hasty.is_some() => {}
            (Some(event), None) => {
                outbox::put(&mut transaction, &event.id, event.kind, &event.payload).await?;
            }
            _ if matches!(change.to, State::Refused | State::Cancelled) => {
                open_cart_again(&mut transaction, &order.id).await?;
            }
            _ => {}
        }
        transaction.commit().await?;
        if change.to.is_at_rest() {
            self.outcomes.count(change.to);
        }
        match (&event, &self.memory_outbox) {
            (Some(_), None) => self.bell.notify_one(),
            (Some(event), Some(outbox)) => {
                outbox.put(&event.id, event.kind, &event.payload).await;
            }
            (None, _) => {}
        }
        Ok(true)
    }
}

/// What is told of a change.
struct Event {
    id: String,
    kind: &'static str,
    payload: Value,
}

impl Event {
    // The planted bug `publish_before_commit`: what is written afterwards, and perhaps by another process
    // once more, has been told already, under a name that nobody will see again.
    async fn publish_now(&self, consumer: &Upstream) -> Result<(), ApiError> {
        let id = format!("{}-{}", self.id, uuid::Uuid::new_v4().simple());
        let events = json!({
            "events": [{ "id": id, "kind": self.kind, "payload": self.payload }],
        });
        let context = Context::background("publish");
        let answer = consumer
            .post_json("/events", &id, &events, &context)
            .await?;
        consumer.document::<Value>(&answer, &[StatusCode::OK])?;
        tokio::time::sleep(HASTE).await;
        Ok(())
    }
}

impl Change {
    // The planted bug `reorder_states`: wherever the order stands, the change is made there.
    async fn wherever_it_stands(
        &self,
        connection: &mut AnyConnection,
        id: &str,
    ) -> Result<Self, ApiError> {
        let state: String = sqlx::query_scalar("SELECT state FROM orders WHERE id = $1")
            .bind(id)
            .fetch_one(connection)
            .await?;
        let from = state
            .parse()
            .map_err(|error: String| ApiError::internal(error))?;
        Ok(Self {
            from,
            ..self.clone()
        })
    }

    fn event(&self, order: &Order) -> Option<Event> {
        let (prefix, kind) = match self.to {
            State::Confirmed => ("e", SOLD),
            State::Refunded => ("r", TAKEN_BACK),
            _ => return None,
        };
        Some(Event {
            id: format!("{prefix}-{}", order.id),
            kind,
            payload: json!({
                "order_id": order.id, "shopper_id": order.shopper_id, "amount": order.amount,
                "at": clock::now_ms(),
            }),
        })
    }

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
