//! Gives money back: that of a charge, or whatever a key may have moved.
//!
//! A refund is for a charge that is known. A void is for a charge of which nobody knows what became: the
//! bank is told to decline its key from now on and to give back what it moved, so that in the end no money
//! has moved, whether the charge comes before the void, at the same moment, or after it.
//!
//! Invariant: what the bank gave back is written before the caller is answered, once for a key, and every
//! later request with the key gets the same answer.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};

use super::bank::{MoneyBack, Verdict};
use super::{Charge, Payments, Wish, key_used};
use crate::clock;
use crate::database::Database;
use crate::http::body::FromRole;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::extract::IdempotencyKey;

/// Why a voided charge that never happened is refused from now on.
const VOIDED: &str = "the payment was called off";

#[derive(Debug, Deserialize)]
pub(super) struct RefundWish {
    order_id: String,
    charge_id: String,
}

/// Money that went back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Refund {
    #[serde(rename = "refund_id")]
    id: String,
    pub(super) charge_id: String,
    order_id: String,
    amount: i64,
    created_at: i64,
}

impl FromRow<'_, AnyRow> for Refund {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("refund_id")?,
            charge_id: row.try_get("charge_id")?,
            order_id: row.try_get("order_id")?,
            amount: row.try_get("amount")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// `POST /refunds`
pub(super) async fn refund(
    State(payments): State<Arc<Payments>>,
    key: IdempotencyKey,
    context: Context,
    FromRole(wish): FromRole<RefundWish>,
) -> Result<Json<Refund>, ApiError> {
    let key = key.required()?;
    let refund = match find(&payments.database, &key).await? {
        Some(refund) => refund,
        None => give_back(&payments, &key, &wish, &context).await?,
    };
    if (&refund.order_id, &refund.charge_id) != (&wish.order_id, &wish.charge_id) {
        return Err(key_used("refund"));
    }
    Ok(Json(refund))
}

async fn give_back(
    payments: &Payments,
    key: &str,
    wish: &RefundWish,
    context: &Context,
) -> Result<Refund, ApiError> {
    let Some(amount) = charged(&payments.database, wish).await? else {
        let text = format!("there is no charge `{}` of that order", wish.charge_id);
        return Err(ApiError::not_found(text).field("charge_id"));
    };
    if let Some(forgetful) = &payments.forgetful {
        let back = forgetful.promise(key, &wish.charge_id, amount).await;
        return write(&payments.database, key, &wish.order_id, back).await;
    }
    let back = payments
        .bank
        .refund(key, &wish.charge_id, context)
        .await?
        .ok_or_else(|| {
            ApiError::conflict("the money of this charge went back already").field("charge_id")
        })?;
    write(&payments.database, key, &wish.order_id, back).await
}

/// `POST /voids`, under the key of the charge.
pub(super) async fn void(
    State(payments): State<Arc<Payments>>,
    key: IdempotencyKey,
    context: Context,
    FromRole(wish): FromRole<Wish>,
) -> Result<Json<Value>, ApiError> {
    let key = key.required()?;
    let database = &payments.database;
    let known = super::find(database, &key).await?;
    if let Some(charge) = &known {
        charge.must_be_for(&wish)?;
    }
    if known.is_none_or(|charge| charge.state == "charged") {
        let back = payments.bank.void(&key, &wish, &context).await?;
        let verdict = match &back {
            Some(back) => Verdict::Charged(back.charge.clone()),
            None => Verdict::Declined(VOIDED.to_owned()),
        };
        let charge: Charge = super::write(database, &key, &wish, verdict).await?;
        charge.must_be_for(&wish)?;
        if let Some(back) = back {
            // No caller's key has a space in it.
            write(database, &format!("{key} void"), &wish.order_id, back).await?;
        }
    }
    Ok(Json(
        json!({ "order_id": wish.order_id, "state": "voided" }),
    ))
}

/// What went back of the money of an order, oldest first.
pub(super) async fn of_order(
    database: &Database,
    order_id: &str,
) -> Result<Vec<Refund>, sqlx::Error> {
    sqlx::query_as(
        "SELECT refund_id, charge_id, order_id, amount, created_at FROM refunds
         WHERE order_id = $1 ORDER BY created_at, refund_id",
    )
    .bind(order_id)
    .fetch_all(database.reader())
    .await
}

async fn find(database: &Database, key: &str) -> Result<Option<Refund>, sqlx::Error> {
    sqlx::query_as(
        "SELECT refund_id, charge_id, order_id, amount, created_at FROM refunds WHERE request_key = $1",
    )
    .bind(key)
    .fetch_optional(database.reader())
    .await
}

// The amount of the charge a refund is wished of.
async fn charged(database: &Database, wish: &RefundWish) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT amount FROM charges WHERE order_id = $1 AND charge_id = $2 AND state = 'charged'",
    )
    .bind(&wish.order_id)
    .bind(&wish.charge_id)
    .fetch_optional(database.reader())
    .await
}

// Inserts or finds, as for charges.
async fn write(
    database: &Database,
    key: &str,
    order_id: &str,
    back: MoneyBack,
) -> Result<Refund, ApiError> {
    let refund = sqlx::query_as(
        "INSERT INTO refunds (request_key, refund_id, charge_id, order_id, amount, created_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT DO NOTHING
         RETURNING refund_id, charge_id, order_id, amount, created_at",
    )
    .bind(key)
    .bind(&back.id)
    .bind(back.charge)
    .bind(order_id)
    .bind(back.amount)
    .bind(clock::now_ms());
    if let Some(refund) = refund.fetch_optional(database.writer()).await? {
        return Ok(refund);
    }
    let there = find(database, key).await?;
    there.ok_or_else(|| super::known_under_another_key("refund", &back.id))
}
