//! Charges cards through the bank, each at most once for a key, and gives the money back.
//!
//! The bank is asked first and what it said is written afterwards. A process that dies in between has
//! moved money it knows nothing of; whoever is asked next asks the bank under the same key, and hears of
//! the same charge.
//!
//! Invariant: the answer to a key is written before it is given, and every later request with the key
//! gets the same answer; a key used for something else is refused.

mod bank;
mod forgetful;
mod refunds;

use std::sync::Arc;

use ::http::StatusCode;
use ::http::uri::Authority;
use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{FromRow, Row as _};
use uuid::Uuid;

use crate::bug::Bug;
use crate::clock;
use crate::config::Storage;
use crate::database::{Database, Schema, no_rows};
use crate::http::body::FromRole;
use crate::http::context::Context;
use crate::http::error::ApiError;
use crate::http::extract::{IdempotencyKey, Ids};
use crate::serve::{ServeError, Started, Tasks};
use crate::upstream::Connections;
use crate::upstream::limits::PAYMENTS_CALL;
use bank::{Bank, Verdict};
use forgetful::Forgetful;
use refunds::Refund;

const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/payments/0001_start.sql"),
    include_str!("../../migrations/payments/0002_refunds.sql"),
];
pub(super) const SCHEMA: Schema = Schema {
    name: "payments",
    sqlite: MIGRATIONS,
    postgres: &[
        include_str!("../../migrations/postgres/payments/0001_start.sql"),
        include_str!("../../migrations/postgres/payments/0002_refunds.sql"),
    ],
};

#[derive(Debug)]
struct Payments {
    database: Database,
    bank: Bank,
    /// With the bug that promises refunds only.
    forgetful: Option<Forgetful>,
}

/// Prepares the role.
pub(super) async fn start(
    storage: &Storage,
    bank: Authority,
    bug: Option<Bug>,
    registry: &mut Registry,
) -> Result<Started, ServeError> {
    let mut tasks = Tasks::new();
    let database = Database::start(storage, SCHEMA, no_rows, &mut tasks).await?;
    let upstream = Connections::new(registry).to("bank", bank, PAYMENTS_CALL);
    let (forgetful, asking) = forgetful::queue(bug);
    let payments = Arc::new(Payments {
        database: database.clone(),
        bank: Bank::new(upstream, bug),
        forgetful,
    });
    if let Some(asking) = asking {
        tasks.start(|stop| asking.run(Arc::clone(&payments), stop));
    }
    let router = Router::new()
        .route("/charges", post(charge))
        .route("/charges/{order_id}", get(show))
        .route("/refunds", post(refunds::refund))
        .route("/voids", post(refunds::void))
        .with_state(payments);
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
    /// What went back of it; told where the whole order is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refunds: Vec<Refund>,
}

impl Charge {
    fn must_be_for(&self, wish: &Wish) -> Result<(), ApiError> {
        let same =
            self.order_id == wish.order_id && self.amount == wish.amount && self.card == wish.card;
        same.then_some(()).ok_or_else(|| key_used("charge"))
    }
}

// A key that stands for something else, of this kind.
fn key_used(kind: &'static str) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        format!("this key was used for another {kind}"),
    )
    .field("Idempotency-Key")
    .help(format!("use a new key for each {kind}"))
}

impl FromRow<'_, AnyRow> for Charge {
    fn from_row(row: &AnyRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            id: row.try_get("charge_id")?,
            order_id: row.try_get("order_id")?,
            shopper_id: row.try_get("shopper_id")?,
            amount: row.try_get("amount")?,
            card: row.try_get("card")?,
            state: row.try_get("state")?,
            reason: row.try_get("reason")?,
            refunds: Vec::new(),
        })
    }
}

async fn charge(
    State(payments): State<Arc<Payments>>,
    key: IdempotencyKey,
    context: Context,
    FromRole(wish): FromRole<Wish>,
) -> Result<(StatusCode, Json<Charge>), ApiError> {
    let key = key.required()?;
    if wish.amount <= 0 {
        return Err(ApiError::invalid("amount", "`amount` must be above 0"));
    }
    let charge = if let Some(charge) = find(&payments.database, &key).await? {
        charge
    } else {
        let verdict = payments.bank.charge(&key, &wish, &context).await?;
        write(&payments.database, &key, &wish, verdict).await?
    };
    charge.must_be_for(&wish)?;
    let status = if charge.state == "charged" {
        StatusCode::OK
    } else {
        StatusCode::PAYMENT_REQUIRED
    };
    Ok((status, Json(charge)))
}

async fn find(database: &Database, key: &str) -> Result<Option<Charge>, ApiError> {
    let charge = sqlx::query_as(
        "SELECT charge_id, order_id, shopper_id, amount, card, state, reason FROM charges WHERE request_key = $1",
    )
    .bind(key);
    Ok(charge.fetch_optional(database.reader()).await?)
}

// Inserts or finds: two instances with the same key at once get the same row. No single statement does
// both: where it names the key as the one thing that may be there already, `PostgreSQL` refuses a row
// whose `charge_id` another writes at this moment, and the bank gives all who ask with one key the same.
async fn write(
    database: &Database,
    key: &str,
    wish: &Wish,
    verdict: Verdict,
) -> Result<Charge, ApiError> {
    let (id, state, reason) = match verdict {
        Verdict::Charged(id) => (id, "charged", None),
        Verdict::Declined(reason) => {
            let id = format!("no-{}", Uuid::now_v7().simple());
            (id, "refused", Some(reason))
        }
    };
    let charge = sqlx::query_as(
        "INSERT INTO charges (request_key, charge_id, order_id, shopper_id, amount, card, state, reason, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT DO NOTHING
         RETURNING charge_id, order_id, shopper_id, amount, card, state, reason",
    )
    .bind(key)
    .bind(&id)
    .bind(&wish.order_id)
    .bind(&wish.shopper_id)
    .bind(wish.amount)
    .bind(&wish.card)
    .bind(state)
    .bind(reason)
    .bind(clock::now_ms());
    if let Some(charge) = charge.fetch_optional(database.writer()).await? {
        return Ok(charge);
    }
    let there = find(database, key).await?;
    there.ok_or_else(|| known_under_another_key("charge", &id))
}

// The bank has said under two keys that the same money moved.
fn known_under_another_key(kind: &str, id: &str) -> ApiError {
    ApiError::internal(format!("the bank's {kind} `{id}` stands under another key"))
}

async fn show(
    State(payments): State<Arc<Payments>>,
    ids: Ids,
) -> Result<Json<Vec<Charge>>, ApiError> {
    let order_id = ids.get("order_id");
    let mut charges: Vec<Charge> = sqlx::query_as(
        "SELECT charge_id, order_id, shopper_id, amount, card, state, reason FROM charges
         WHERE order_id = $1 ORDER BY created_at, charge_id",
    )
    .bind(order_id)
    .fetch_all(payments.database.reader())
    .await?;
    for refund in refunds::of_order(&payments.database, order_id).await? {
        let charge = charges
            .iter_mut()
            .find(|charge| charge.id == refund.charge_id);
        if let Some(charge) = charge {
            charge.refunds.push(refund);
        }
    }
    Ok(Json(charges))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish {
            order_id: "o-1".to_owned(),
            shopper_id: "s-0001".to_owned(),
            amount: 990,
            card: "card-demo".to_owned(),
        }
    }

    #[tokio::test]
    async fn the_same_key_on_two_instances_at_once_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut charging = tokio::task::JoinSet::new();
        for instance in 0..2 {
            let database = Database::open(folder.path(), "payments", MIGRATIONS)
                .await
                .unwrap();
            for turn in 0..10 {
                let database = database.clone();
                // Whatever the bank were to say, all hear what was written first.
                let verdict = Verdict::Charged(format!("ch-{instance}-{turn}"));
                charging.spawn(async move {
                    write(&database, "key-1", &wish(), verdict).await.unwrap()
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
    async fn what_was_written_is_found_by_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), "payments", MIGRATIONS)
            .await
            .unwrap();
        let declined = Verdict::Declined("no".to_owned());
        let written = write(&database, "key-1", &wish(), declined).await.unwrap();
        assert_eq!(
            (written.state.as_str(), written.reason.as_deref()),
            ("refused", Some("no"))
        );
        assert_eq!(find(&database, "key-1").await.unwrap(), Some(written));
        assert_eq!(find(&database, "key-2").await.unwrap(), None);
    }
}
