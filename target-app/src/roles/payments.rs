//! Charges cards, each at most once for a key.
//!
//! Invariant: the answer to a key is written before it is given, and every later request with the key
//! gets the same answer; a key used for something else is refused.

use std::path::Path;
use std::sync::Arc;

use ::http::StatusCode;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::clock;
use crate::database::Database;
use crate::http::body::FromRole;
use crate::http::error::ApiError;
use crate::http::extract::{IdempotencyKey, Ids};
use crate::serve::{ServeError, Started, Tasks};

const MIGRATIONS: &[&str] = &[include_str!("../../migrations/payments/0001_start.sql")];
/// The most one order may cost, in hundredths.
const AMOUNT_MAX: i64 = 10_000_000;
/// The card that is always declined, for demonstrations and tests.
const DECLINED_CARD: &str = "card-declined";

/// Prepares the role.
pub(super) async fn start(data: &Path) -> Result<Started, ServeError> {
    let database = Database::open(data, "payments", MIGRATIONS).await?;
    let mut tasks = Tasks::new();
    tasks.start(|stop| database.clone().keep_log_short(stop));
    let router = Router::new()
        .route("/charges", post(charge))
        .route("/charges/{order_id}", get(show))
        .with_state(Arc::new(database.clone()));
    Ok(Started {
        router,
        database: Some(database),
        tasks,
    })
}

#[derive(Debug, Clone, Deserialize)]
struct Wish {
    order_id: String,
    shopper_id: String,
    amount: i64,
    card: String,
}

/// A charge that was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Charge {
    #[serde(rename = "charge_id")]
    id: String,
    order_id: String,
    shopper_id: String,
    amount: i64,
    #[serde(skip)]
    card: String,
    state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl FromRow<'_, SqliteRow> for Charge {
    fn from_row(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("charge_id")?,
            order_id: row.try_get("order_id")?,
            shopper_id: row.try_get("shopper_id")?,
            amount: row.try_get("amount")?,
            card: row.try_get("card")?,
            state: row.try_get("state")?,
            reason: row.try_get("reason")?,
        })
    }
}

async fn charge(
    State(database): State<Arc<Database>>,
    key: IdempotencyKey,
    FromRole(wish): FromRole<Wish>,
) -> Result<(StatusCode, Json<Charge>), ApiError> {
    let key = key.required()?;
    if wish.amount <= 0 {
        return Err(ApiError::invalid("amount", "`amount` must be above 0"));
    }
    let charge = decide(&database, &key, &wish).await?;
    let same = charge.order_id == wish.order_id
        && charge.amount == wish.amount
        && charge.card == wish.card;
    if !same {
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this key was used for another charge",
        )
        .field("Idempotency-Key")
        .help("use a new key for each charge"));
    }
    let status = if charge.state == "charged" {
        StatusCode::OK
    } else {
        StatusCode::PAYMENT_REQUIRED
    };
    Ok((status, Json(charge)))
}

// One statement that inserts or finds: two instances with the same key at once get the same row.
async fn decide(database: &Database, key: &str, wish: &Wish) -> Result<Charge, ApiError> {
    let refusal = reason_to_refuse(wish);
    let state = if refusal.is_none() {
        "charged"
    } else {
        "refused"
    };
    let charge = sqlx::query_as(
        "INSERT INTO charges (request_key, charge_id, order_id, shopper_id, amount, card, state, reason, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (request_key) DO UPDATE SET request_key = excluded.request_key
         RETURNING charge_id, order_id, shopper_id, amount, card, state, reason",
    )
    .bind(key)
    .bind(format!("ch-{}", Uuid::now_v7().simple()))
    .bind(&wish.order_id)
    .bind(&wish.shopper_id)
    .bind(wish.amount)
    .bind(&wish.card)
    .bind(state)
    .bind(refusal)
    .bind(clock::now_ms());
    Ok(charge.fetch_one(database.writer()).await?)
}

// Stands for the bank: what it says depends on the wish alone.
fn reason_to_refuse(wish: &Wish) -> Option<&'static str> {
    if wish.card == DECLINED_CARD {
        return Some("the card was declined");
    }
    (wish.amount > AMOUNT_MAX).then_some("the amount is above the limit for one order")
}

async fn show(
    State(database): State<Arc<Database>>,
    ids: Ids,
) -> Result<Json<Vec<Charge>>, ApiError> {
    let charges = sqlx::query_as(
        "SELECT charge_id, order_id, shopper_id, amount, card, state, reason FROM charges WHERE order_id = ?1",
    )
    .bind(ids.get("order_id"))
    .fetch_all(database.reader())
    .await?;
    Ok(Json(charges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(amount: i64, card: &str) -> Wish {
        Wish {
            order_id: "o-1".to_owned(),
            shopper_id: "s-0001".to_owned(),
            amount,
            card: card.to_owned(),
        }
    }

    #[test]
    fn only_a_declined_card_and_a_huge_amount_are_refused() {
        assert_eq!(reason_to_refuse(&wish(AMOUNT_MAX, "card-demo")), None);
        assert!(reason_to_refuse(&wish(AMOUNT_MAX + 1, "card-demo")).is_some());
        assert!(reason_to_refuse(&wish(1, DECLINED_CARD)).is_some());
    }

    #[tokio::test]
    async fn the_same_key_on_two_instances_at_once_is_charged_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut charging = tokio::task::JoinSet::new();
        for _ in 0..2 {
            let database = Database::open(folder.path(), "payments", MIGRATIONS)
                .await
                .unwrap();
            for _ in 0..10 {
                let database = database.clone();
                charging.spawn(async move {
                    decide(&database, "key-1", &wish(990, "card-demo"))
                        .await
                        .unwrap()
                });
            }
        }
        let charges = charging.join_all().await;
        assert_eq!(charges.len(), 20);
        assert!(
            charges.iter().all(|charge| *charge == charges[0]),
            "{charges:#?}"
        );
    }

    #[tokio::test]
    async fn a_key_used_for_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let database = Arc::new(
            Database::open(folder.path(), "payments", MIGRATIONS)
                .await
                .unwrap(),
        );
        let ask = async |amount| {
            let key = IdempotencyKey(Some("key-1".to_owned()));
            charge(
                State(Arc::clone(&database)),
                key,
                FromRole(wish(amount, "card-demo")),
            )
            .await
        };
        assert_eq!(ask(990).await.unwrap().0, StatusCode::OK);
        assert_eq!(
            ask(991).await.unwrap_err().status(),
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
}
