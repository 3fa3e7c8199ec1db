//! Fills a catalog with a large assortment, before or while its role runs.
//!
//! Invariant: at most [`BATCH`] products are in memory, and the write lock is held for one batch at a time.

use std::time::Duration;

use super::{SCHEMA, assortment, seed};
use crate::config::Storage;
use crate::database::{Database, DatabaseError};
use crate::serve::Tasks;

/// Products of one transaction.
const BATCH: u32 = 1000;
/// Products after which the log says how far it is.
const TELL_EVERY: u32 = 10_000;
/// How long a server's tables may take to be made.
const PREPARE_WAIT: Duration = Duration::from_secs(30);

/// Why the catalog could not be filled. The text completes "failed to ...".
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlantError {
    #[error(transparent)]
    Open(#[from] DatabaseError),
    #[error("prepare the tables of the catalog within {PREPARE_WAIT:?}: {0}")]
    Prepare(String),
    #[error("add products from number {from}; those before are there, so run it again")]
    Add { from: u32, source: sqlx::Error },
}

/// Adds what is missing of the first `products` of a seed; says how many were added.
pub(crate) async fn plant(
    storage: &Storage,
    products: u32,
    seed: u64,
) -> Result<usize, PlantError> {
    let mut tasks = Tasks::new();
    let own = |database| async move { seed::products(&database, seed::PRODUCTS).await };
    let database = Database::start(storage, SCHEMA, own, &mut tasks).await?;
    prepared(&database).await?;
    let mut added = 0;
    for from in (1..=products).step_by(BATCH as usize) {
        let to = products.min(from + BATCH - 1);
        let made = seed::missing(&database, from..=to, seed).await;
        added += made.map_err(|source| PlantError::Add { from, source })?;
        if to.is_multiple_of(TELL_EVERY) || to == products {
            tracing::info!(checked = to, of = products, added, "seeding");
        }
    }
    tasks.end().await;
    database.close().await;
    Ok(added)
}

/// The most products there can be.
pub(crate) const PRODUCTS_MAX: u32 = assortment::PRODUCTS_MAX;

async fn prepared(database: &Database) -> Result<(), PlantError> {
    let (_keep, mut never) = tokio::sync::watch::channel(false);
    let waiting = tokio::time::timeout(PREPARE_WAIT, database.prepared(&mut never));
    if waiting.await.is_ok_and(|there| there) {
        return Ok(());
    }
    let trouble = database.trouble().await;
    Err(PlantError::Prepare(trouble.unwrap_or_default()))
}
