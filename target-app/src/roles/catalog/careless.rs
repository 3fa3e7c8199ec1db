//! The planted bugs of the catalog: stock that is read, reckoned with and written back (`stock_race`), and
//! prices that are read once (`stale_price`).
//!
//! Invariant: without a bug nothing of this file runs.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::AnyConnection;

use super::reservations::{Line, WishedLine};
use crate::bug::Bug;
use crate::database::Database;

/// How long the catalog reckons between reading stock and writing it back.
const RECKONING: Duration = Duration::from_millis(30);
/// The most prices remembered; others are asked for each time.
const PRICES_MAX: usize = 10_000;

/// What is wrong with a catalog.
#[derive(Debug)]
pub(super) enum Careless {
    /// Writes back stock as it was read before.
    Stock,
    /// Keeps the price it heard first.
    Prices(Mutex<BTreeMap<String, i64>>),
}

impl Careless {
    /// The carelessness of a bug, if it is one.
    pub(super) fn of(bug: Option<Bug>) -> Option<Self> {
        match bug? {
            Bug::StockRace => Some(Self::Stock),
            Bug::StalePrice => Some(Self::Prices(Mutex::default())),
            _ => None,
        }
    }

    /// What is there of each product now, to be written back later; nothing with another bug.
    pub(super) async fn look(
        &self,
        database: &Database,
        wished: &[WishedLine],
    ) -> Result<Option<BTreeMap<String, i64>>, sqlx::Error> {
        if !matches!(self, Self::Stock) {
            return Ok(None);
        }
        let mut seen = BTreeMap::new();
        for WishedLine { product_id, .. } in wished {
            let available: Option<i64> =
                sqlx::query_scalar("SELECT available FROM stock WHERE product_id = $1")
                    .bind(product_id)
                    .fetch_optional(database.reader())
                    .await?;
            seen.extend(available.map(|available| (product_id.clone(), available)));
        }
        tokio::time::sleep(RECKONING).await;
        Ok(Some(seen))
    }

    /// The price of a product that costs so much now, as this catalog has it.
    pub(super) fn price(&self, product_id: &str, now: i64) -> i64 {
        let Self::Prices(prices) = self else {
            return now;
        };
        let mut prices = prices.lock().unwrap_or_else(PoisonError::into_inner);
        if prices.len() >= PRICES_MAX && !prices.contains_key(product_id) {
            return now;
        }
        *prices.entry(product_id.to_owned()).or_insert(now)
    }
}

/// Writes back what was seen, less what is taken.
pub(super) async fn write_back(
    connection: &mut AnyConnection,
    seen: &BTreeMap<String, i64>,
    lines: &[Line],
) -> Result<(), sqlx::Error> {
    for line in lines {
        let Some(available) = seen.get(&line.product_id) else {
            continue;
        };
        sqlx::query("UPDATE stock SET available = $2 WHERE product_id = $1")
            .bind(&line.product_id)
            .bind((available - line.quantity).max(0))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
