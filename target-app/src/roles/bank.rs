//! The bank: moves the money, and knows nothing of the shop.
//!
//! It stands for a company of its own. It shares no database, no table and no code of book-keeping with
//! the shop, so a charge that the shop made twice, or forgot, shows in the bank's book all the same. One
//! process plays it; its whole book is one file that only grows (see `ledger`).
//!
//! Invariant: money has moved once its line is written to the ledger, and only then is the caller
//! answered; a key moves money at most once, and always gets the answer it got first.

mod entry;
mod ledger;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::http::StatusCode;
use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::audit::{self, Book, Lines};
use crate::http::body::FromRole;
use crate::http::error::ApiError;
use crate::http::extract::{IdempotencyKey, is_id};
use crate::serve::{ServeError, Started, Tasks, stopped};
use entry::Entry;
use ledger::Ledger;
pub(crate) use ledger::LedgerError;

/// How often what was written is brought to the disk, if anything was: the death of the process loses
/// nothing, that of the machine at most so much.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// Ledger lines of an audit between two chances for other requests.
const AUDIT_BATCH: usize = 500;
/// The most that is moved at once, in hundredths.
const AMOUNT_MAX: i64 = 10_000_000;
/// The card that is always declined, for demonstrations and tests.
const DECLINED_CARD: &str = "card-declined";

struct Bank {
    ledger: Mutex<Ledger>,
    delay: Duration,
}

/// Prepares the role; `delay` is what an answer takes on its way back, after the money has moved.
pub(super) async fn start(data: &Path, delay: Duration) -> Result<Started, ServeError> {
    let ledger = Mutex::new(Ledger::open(data).await?);
    let bank = Arc::new(Bank { ledger, delay });
    let mut tasks = Tasks::new();
    tasks.start(|stop| keep_on_disk(Arc::clone(&bank), stop));
    let router = Router::new()
        .route("/charges", post(charge))
        .route("/refunds", post(refund))
        .route("/voids", post(void))
        .with_state(Arc::clone(&bank))
        .merge(audit::route(data, LedgerBook(bank)));
    Ok(Started {
        router,
        database: None,
        tasks,
    })
}

impl Bank {
    // A panic in between left no half-done change: the ledger's file decides, not its index.
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Deserialize)]
struct ChargeWish {
    order: String,
    amount: i64,
    card: String,
}

async fn charge(
    State(bank): State<Arc<Bank>>,
    key: IdempotencyKey,
    FromRole(wish): FromRole<ChargeWish>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let key = key.required()?;
    check(&wish)?;
    let entry = bank.ledger().charge(&key, &wish, reason_to_decline(&wish));
    tokio::time::sleep(bank.delay).await;
    match entry? {
        Entry::Charge(charge) if charge.is_for(&wish) => Ok((
            StatusCode::CREATED,
            Json(json!({ "id": charge.id, "order": charge.order, "amount": charge.amount })),
        )),
        Entry::Decline(decline) if decline.is_for(&wish) => {
            Err(ApiError::new(StatusCode::PAYMENT_REQUIRED, decline.reason).field("card"))
        }
        _ => Err(key_used()),
    }
}

fn check(wish: &ChargeWish) -> Result<(), ApiError> {
    if wish.amount > 0 && is_id(&wish.order) && (1..=64).contains(&wish.card.len()) {
        return Ok(());
    }
    Err(ApiError::invalid(
        "body",
        "`amount` above 0, the id of an `order` and a `card` are needed",
    ))
}

// What the bank says depends on the wish alone.
fn reason_to_decline(wish: &ChargeWish) -> Option<&'static str> {
    if wish.card == DECLINED_CARD {
        return Some("the card was declined");
    }
    (wish.amount > AMOUNT_MAX).then_some("the amount is above the limit for one order")
}

#[derive(Debug, Deserialize)]
struct RefundWish {
    charge: String,
}

async fn refund(
    State(bank): State<Arc<Bank>>,
    key: IdempotencyKey,
    FromRole(wish): FromRole<RefundWish>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let key = key.required()?;
    let entry = bank.ledger().refund(&key, &wish.charge);
    tokio::time::sleep(bank.delay).await;
    match entry? {
        Some(Entry::Refund(refund)) if refund.charge == wish.charge => Ok((
            StatusCode::CREATED,
            Json(json!({
                "id": refund.id, "charge": refund.charge, "order": refund.order, "amount": refund.amount,
            })),
        )),
        Some(_) => Err(key_used()),
        None => Err(ApiError::conflict("there is no such charge to give back").field("charge")),
    }
}

// The wish is repeated with it: without a charge to go by, it says what is declined from now on.
async fn void(
    State(bank): State<Arc<Bank>>,
    key: IdempotencyKey,
    FromRole(wish): FromRole<ChargeWish>,
) -> Result<Json<Value>, ApiError> {
    let key = key.required()?;
    check(&wish)?;
    let entry = bank.ledger().void(&key, &wish);
    tokio::time::sleep(bank.delay).await;
    match entry? {
        Some(Entry::Refund(refund)) => Ok(Json(
            json!({ "refund": { "id": refund.id, "charge": refund.charge, "amount": refund.amount } }),
        )),
        Some(_) => Ok(Json(json!({ "refund": null }))),
        None => Err(key_used()),
    }
}

fn key_used() -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "this key was used for something else",
    )
    .field("Idempotency-Key")
    .help("use a new key for each charge and each refund, and void a charge under its own")
}

impl From<LedgerError> for ApiError {
    fn from(error: LedgerError) -> Self {
        Self::busy("the bank cannot write its ledger").detail(format!("{error:?}"))
    }
}

async fn keep_on_disk(bank: Arc<Bank>, mut stop: watch::Receiver<bool>) {
    loop {
        let last = tokio::select! {
            () = stopped(&mut stop) => true,
            () = tokio::time::sleep(SYNC_EVERY) => false,
        };
        let unsynced = bank.ledger().unsynced();
        if let Some(file) = unsynced {
            let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
            if !matches!(synced, Ok(Ok(()))) {
                tracing::warn!(?synced, "failed to bring the ledger to the disk");
            }
        }
        if last {
            return;
        }
    }
}

struct LedgerBook(Arc<Bank>);

impl Book for LedgerBook {
    // The ledger only grows, so what stands in it now is one moment, however long it is read.
    async fn read_out(&self, lines: &mut Lines) -> Result<(), ApiError> {
        let mut entries = self.0.ledger().read()?;
        let mut count = 0;
        while let Some(entry) = entries.next_entry()? {
            if let Some(line) = entry.into_line() {
                lines.put(&line)?;
            }
            count += 1;
            if count % AUDIT_BATCH == 0 {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_card(amount: i64, card: &str, fine: bool) {
        let wish = ChargeWish {
            order: "o-1".to_owned(),
            amount,
            card: card.to_owned(),
        };
        assert_eq!(reason_to_decline(&wish).is_none(), fine, "{wish:?}");
    }

    #[test]
    fn only_a_declined_card_and_a_huge_amount_are_declined() {
        check_card(AMOUNT_MAX, "card-demo", true);
        check_card(AMOUNT_MAX + 1, "card-demo", false);
        check_card(1, DECLINED_CARD, false);
    }
}
