//! An order as it is stored and passed from step to step.

use serde_json::{Value, json};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, FromRow, Row as _};

use super::state::State;
use crate::clock;
use crate::database::Database;
use crate::http::error::ApiError;

/// Who refused an order, as stored: the catalog, for want of stock.
pub(super) const BY_CATALOG: &str = "catalog";
/// Who refused an order, as stored: payments, for want of money.
pub(super) const BY_PAYMENTS: &str = "payments";

/// Why an order was refused, as stored: what became of its payment stayed open for too long.
pub(super) const UNDECIDED: &str = "undecided";

/// An order on its way.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub(super) id: String,
    pub(super) shopper_id: String,
    pub(super) card: String,
    /// What is bought, as JSON: first as wished, then with names and prices as reserved.
    pub(super) lines: String,
    pub(super) amount: i64,
    pub(super) state: State,
    pub(super) refusal: Option<String>,
    pub(super) reason: Option<String>,
    /// Once it is charged.
    pub(super) charge_id: Option<String>,
    /// In milliseconds since 1970.
    pub(super) created_at: i64,
}

/// An order, and what its key was first used for.
struct Stored(Order, String);

impl FromRow<'_, AnyRow> for Stored {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        let state: String = row.try_get("state")?;
        let order = Order {
            id: row.try_get("id")?,
            shopper_id: row.try_get("shopper_id")?,
            card: row.try_get("card")?,
            lines: row.try_get("lines")?,
            amount: row.try_get("amount")?,
            state: state
                .parse()
                .map_err(|error: String| sqlx::Error::Decode(error.into()))?,
            refusal: row.try_get("refusal")?,
            reason: row.try_get("reason")?,
            charge_id: row.try_get("charge_id")?,
            created_at: row.try_get("created_at")?,
        };
        Ok(Self(order, row.try_get("fingerprint")?))
    }
}

impl Order {
    /// An order just made.
    pub(super) fn pending(id: String, shopper: &str, card: &str, lines: String) -> Self {
        let (shopper_id, card) = (shopper.to_owned(), card.to_owned());
        Self {
            id,
            shopper_id,
            card,
            lines,
            amount: 0,
            state: State::Pending,
            refusal: None,
            reason: None,
            charge_id: None,
            created_at: clock::now_ms(),
        }
    }

    /// The order a shopper's key stands for, and what the key was first used for.
    pub(super) async fn by_key(
        connection: &mut AnyConnection,
        shopper: &str,
        key: &str,
    ) -> Result<Option<(Self, String)>, ApiError> {
        let row: Option<Stored> = sqlx::query_as(
            "SELECT id, shopper_id, card, lines, amount, state, refusal, reason, charge_id,
                    created_at, fingerprint FROM orders
             WHERE shopper_id = $1 AND request_key = $2",
        )
        .bind(shopper)
        .bind(key)
        .fetch_optional(connection)
        .await?;
        Ok(row.map(|Stored(order, fingerprint)| (order, fingerprint)))
    }

    /// The order of an id.
    pub(super) async fn by_id(database: &Database, id: &str) -> Result<Self, ApiError> {
        let Stored(order, _) = sqlx::query_as(
            "SELECT id, shopper_id, card, lines, amount, state, refusal, reason, charge_id,
                    created_at, fingerprint FROM orders
             WHERE id = $1",
        )
        .bind(id)
        .fetch_one(database.reader())
        .await?;
        Ok(order)
    }

    /// The order of an id, if it is this shopper's.
    pub(super) async fn of_shopper(
        database: &Database,
        id: &str,
        shopper: &str,
    ) -> Result<Option<Self>, ApiError> {
        let row: Option<Stored> = sqlx::query_as(
            "SELECT id, shopper_id, card, lines, amount, state, refusal, reason, charge_id,
                    created_at, fingerprint FROM orders
             WHERE id = $1 AND shopper_id = $2",
        )
        .bind(id)
        .bind(shopper)
        .fetch_optional(database.reader())
        .await?;
        Ok(row.map(|Stored(order, _)| order))
    }

    /// Whether it was the payment that was refused, and not the stock.
    pub(super) fn refused_by_payments(&self) -> bool {
        self.refusal.as_deref() == Some(BY_PAYMENTS)
    }

    /// Whether it was refused because nobody said in time what became of its payment.
    pub(super) fn is_undecided(&self) -> bool {
        self.refusal.as_deref() == Some(UNDECIDED)
    }

    /// What payments is asked to charge, or to void.
    pub(super) fn payment(&self) -> Value {
        json!({
            "order_id": self.id, "shopper_id": self.shopper_id, "amount": self.amount, "card": self.card,
        })
    }
}
